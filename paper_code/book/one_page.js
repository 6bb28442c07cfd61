// Put the chapters, (name, text of the page), one after the other into the open page, with the table of contents after
// the first. Places get their chapter's name in front, for every page has its own `verdict`; a link that would lead to a
// file is made plain text.
async (chapters) => {
  const names = chapters.map(([name]) => name);
  const prefix = (root, name) => {
    for (const element of root.querySelectorAll("[id]:not(svg, svg *)")) element.id = `${name}--${element.id}`;
    for (const link of root.querySelectorAll("a[href]")) {
      const href = link.getAttribute("href");
      const [path, place] = href.split("#");
      const target = path ? path.replace(/\.html$/, "") : name;
      if (names.includes(target)) link.setAttribute("href", "#" + target + (place ? "--" + place : ""));
      else if (!/^https?:/.test(href)) link.removeAttribute("href");
    }
    return root;
  };
  const contents = prefix(document.querySelector("nav.bd-links"), names[0]);
  const book = document.createElement("main");
  book.className = "bd-content";
  for (const [name, text] of chapters) {
    const page = new DOMParser().parseFromString(text, "text/html");
    const chapter = prefix(page.querySelector("article.bd-article"), name);
    chapter.id = name;
    for (const element of chapter.querySelectorAll("a.headerlink, script")) element.remove();
    book.append(chapter);
  }
  book.firstChild.after(contents);
  document.body.replaceChildren(book);
  for (const details of document.querySelectorAll("details")) details.open = true;
  document.title = document.querySelector("h1").textContent;
  await document.fonts.ready;
}
