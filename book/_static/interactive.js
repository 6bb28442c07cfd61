// Offers the interactive chart of a <script class="interactive-chart"> (a Vega-Lite specification) below the figure before
// it, and puts it ahead of the static picture; interactive.css shows one of them. The charting library, which weighs more
// than the page, is loaded when the first chart is asked for.
(() => {
  const folder = document.currentScript.src;
  let library;

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("script.interactive-chart").forEach(offer);
  });

  function element(tag, properties) {
    return Object.assign(document.createElement(tag), properties);
  }

  function load() {
    library ??= new Promise((onload, onerror) => {
      document.head.append(element("script", { src: new URL("vega.js", folder), onload, onerror }));
    });
    return library;
  }

  function offer(script) {
    const before = (figure) => figure.compareDocumentPosition(script) & Node.DOCUMENT_POSITION_FOLLOWING;
    const figure = [...document.querySelectorAll("figure")].filter(before).at(-1);
    if (!figure) return;
    const button = element("button", { type: "button", className: "chart-toggle", textContent: "Interactive figure" });
    let shown;
    button.addEventListener("click", async () => {
      button.disabled = true;
      await (shown ??= load().then(() => show(script, figure)));
      button.disabled = false;
      button.textContent = figure.classList.toggle("has-chart") ? "Static figure" : "Interactive figure";
      figure.dispatchEvent(new Event("chart-toggle"));
    });
    figure.insertBefore(button, figure.querySelector("figcaption"));
  }

  async function show(script, figure) {
    const spec = JSON.parse(script.textContent);
    const number = figure.querySelector(".caption-number")?.textContent.trim().replace("Fig.", "Figure");
    const chart = element("div", { className: "chart", role: "group" });
    chart.ariaLabel = `Interactive version of ${number ?? "the figure"}`;
    const inputs = chart.appendChild(element("div", { className: "chart-inputs" }));
    const picture = chart.appendChild(element("div", { className: "chart-picture" }));
    figure.prepend(chart);
    const { view } = await window.vegaEmbed(picture, spec, {
      actions: false,
      renderer: "svg",
      bind: inputs,
      defaultStyle: false,
      logLevel: 1, // errors: a choice without values is none
      tooltip: { theme: "chart", disableDefaultStyle: true },
    });
    for (const label of inputs.querySelectorAll("label")) {
      label.querySelector("select, input").ariaLabel = label.querySelector(".vega-bind-name").textContent;
    }
    await fit(view, picture);
    document.addEventListener("click", (event) => tap(event, picture.querySelector("svg")));
    let pause;
    new ResizeObserver(() => {
      clearTimeout(pause);
      pause = setTimeout(fit, 100, view, picture);
    }).observe(picture);
    if (spec.usermeta?.filters_tables) filterTables(view, figure);
  }

  // Makes the chart as wide as its place: Vega-Lite does not for several panels, nor when a sidebar opens.
  function fit(view, picture) {
    const excess = picture.querySelector("svg").width.baseVal.value - picture.clientWidth;
    return excess ? view.width(view.width() - excess).runAsync() : view;
  }

  // A tap shows what a hovering pointer shows, until the next one.
  function tap({ target, clientX, clientY }, svg) {
    const [place, type] = svg.contains(target) ? [target, "pointermove"] : [svg, "pointerout"];
    place.dispatchEvent(new PointerEvent(type, { bubbles: true, clientX, clientY }));
  }

  // Hides the rows of the page's tables that the chart's choice of model and source leaves out.
  function filterTables(view, figure) {
    const tables = [...document.querySelectorAll("table")].map((table) => ({
      rows: [...(table.tBodies[0]?.rows ?? [])],
      columns: ["model", "source"].map((name) =>
        [...(table.tHead?.rows[0]?.cells ?? [])].findIndex((cell) => cell.textContent.trim() === name),
      ),
    }));
    const filtered = tables.filter(({ columns }) => !columns.includes(-1));
    if (!filtered.length) return;
    const note = element("p", { className: "chart-note", role: "status" });
    figure.insertBefore(note, figure.querySelector("figcaption"));
    const update = () => {
      const [model, shown] = [view.signal("model"), view.signal("shown")];
      let [kept, all] = [0, 0];
      for (const { rows, columns } of filtered) {
        for (const row of rows) {
          const [ofModel, source] = columns.map((column) => row.cells[column].textContent.trim());
          const keep =
            !figure.classList.contains("has-chart") ||
            ((model === "all models" || ofModel === model) && (shown === "both" || source.startsWith(shown)));
          row.classList.toggle("left-out", !keep);
          kept += keep;
          all += 1;
        }
      }
      note.textContent = kept < all ? `Tables below: the rows of this model and source alone, ${kept} of ${all}.` : "";
    };
    view.addSignalListener("model", update);
    view.addSignalListener("shown", update);
    figure.addEventListener("chart-toggle", update);
  }
})();
