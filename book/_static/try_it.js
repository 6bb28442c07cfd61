// The page "Try it here": gives a file to a worker made of try_it_core.js, and shows what it measures.
(() => {
  "use strict";
  const MOST_SHOWN = 200;
  const PLOT = { width: 320, height: 150, left: 44, bottom: 26, decades: 6 };
  let worker = null;

  document.addEventListener("DOMContentLoaded", () => {
    const root = document.getElementById("try-it");
    if (!root) return;
    const input = root.querySelector("input[type=file]");
    input.disabled = false;
    input.addEventListener("change", () => input.files.length && start(root, input.files[0]));
    for (const type of ["dragenter", "dragover"]) {
      root.addEventListener(type, (event) => {
        event.preventDefault();
        root.classList.add("over");
      });
    }
    root.addEventListener("dragleave", () => root.classList.remove("over"));
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      root.classList.remove("over");
      if (event.dataTransfer.files.length) start(root, event.dataTransfer.files[0]);
    });
  });

  function start(root, file) {
    const [progress, status, results] = ["progress", ".status", ".results"].map((it) => root.querySelector(it));
    worker?.terminate(); // the file before, if it is still being read
    // from its text, for a page that is opened as a file may not load a worker
    const url = URL.createObjectURL(new Blob([`(${tryItCore})(self)`], { type: "text/javascript" }));
    worker = new Worker(url);
    results.replaceChildren();
    progress.hidden = false;
    progress.value = 0;
    root.classList.remove("failed");
    status.textContent = `Reading ${file.name} ...`;
    const end = (message, failed) => {
      progress.hidden = true;
      status.textContent = message;
      root.classList.toggle("failed", failed);
      worker.terminate();
      URL.revokeObjectURL(url);
    };
    worker.onerror = (event) => end(`${file.name}: ${event.message}`, true);
    worker.onmessage = ({ data }) => {
      if (data.error) end(data.error, true);
      else if (data.report) {
        results.replaceChildren(...shown(data.report));
        end(answer(data.report), false);
        results.querySelector("h2")?.focus();
        root.report = data.report;
      } else progress.value = data.progress;
    };
    worker.postMessage(file);
  }

  function answer({ file, tables }) {
    const judged = tables.filter(({ verdict }) => verdict.endsWith("collapsed"));
    const collapsed = judged.filter(({ verdict }) => verdict === "collapsed");
    const others = tables.length - judged.length;
    return `${file}: collapsed are ${collapsed.length} of ${judged.length} tables.${others ? ` Not judged: ${others}.` : ""}`;
  }

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function shown({ tables, left }) {
    const parts = tables.map(card);
    if (left.length) {
      parts.push(element("h2", {}, "Not measured"), element("ul", {}, ...left.map((line) => element("li", {}, line))));
    }
    return parts;
  }

  const rounded = (value) => (value === undefined || value === null ? "-" : value.toFixed(2));

  function card(table) {
    const facts = {
      shape: `${table.rows.toLocaleString("en-US")} \u00d7 ${table.columns}, ${table.dtype}`,
      "information abundance": rounded(table.information_abundance),
      "random, same shape": rounded(table.random_information_abundance),
      "share of random": rounded(table.share_of_random),
      "effective rank": rounded(table.effective_rank),
      "stable rank": rounded(table.stable_rank),
      "dimensions with 99 % of the energy": table.energy_dimensions ?? "-",
      "dimensions above noise": table.above_noise ?? "-",
      "exponent alpha": rounded(table.alpha),
    };
    const list = element("dl");
    for (const [name, value] of Object.entries(facts)) {
      list.append(element("div", {}, element("dt", {}, name), element("dd", {}, String(value))));
    }
    const made = element("section", { className: table.verdict.replaceAll(" ", "-") });
    made.append(element("h2", { tabIndex: -1 }, table.name), element("p", { className: "verdict" }, table.verdict), list);
    if (table.note) made.append(element("p", {}, table.note));
    if (table.singular_values[0]) made.append(spectrum(table));
    return made;
  }

  function drawn(tag, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // The singular values over the largest, on a logarithmic scale, beside those of random matrices.
  function spectrum({ singular_values: values, random_singular_values: random }) {
    const { width, height, left, bottom, decades } = PLOT, most = values.length;
    const step = Math.max(1, most / MOST_SHOWN);
    const line = (numbers, kind) => {
      const points = [];
      for (let i = 0; i < most; i += step) {
        const index = Math.floor(i), log = Math.log10(Math.max(numbers[index] / numbers[0], 10 ** -decades));
        const x = left + ((width - left - 8) * index) / Math.max(most - 1, 1);
        points.push(`${x.toFixed(1)},${(8 + ((height - bottom - 8) * -log) / decades).toFixed(1)}`);
      }
      return drawn("polyline", { class: kind, points: points.join(" ") });
    };
    const label =
      `Singular values over the largest, from 1 to ${(values.at(-1) / values[0]).toExponential(1)}; ` +
      `of random matrices from 1 to ${random.at(-1).toExponential(1)}.`;
    const chart = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    chart.append(drawn("path", { class: "axis", d: `M${left},8V${height - bottom}H${width - 8}` }));
    for (let decade = 0; decade <= decades; decade += 2) {
      const y = 12 + ((height - bottom - 8) * decade) / decades;
      chart.append(drawn("text", { x: left - 6, y, "text-anchor": "end" }, decade ? `1e-${decade}` : "1"));
    }
    const middle = { x: (left + width) / 2, y: height - 8, "text-anchor": "middle" };
    chart.append(drawn("text", middle, "singular value"));
    chart.append(drawn("text", { x: width - 8, y: height - 8, "text-anchor": "end" }, String(most)));
    chart.append(line(random, "random"), line(values, "learned"));
    return chart;
  }
})();
