// Sorting of tables, and the search on the first page. Every page works without this script.
"use strict";
(() => {
  // A region is a tab stop only if it can be scrolled.
  const fitRegions = () => {
    for (const region of document.querySelectorAll(".wide, pre[tabindex]")) {
      const scrolls =
        region.scrollWidth > region.clientWidth || region.scrollHeight > region.clientHeight;
      if (scrolls) region.setAttribute("tabindex", "0");
      else region.removeAttribute("tabindex");
    }
  };

  const keyOf = (row, column, isNumber) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    if (!isNumber) return text;
    const number = Number.parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(number) ? null : number;
  };

  // Missing values stay last in both directions; equal values keep their order.
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number") return sign * (a - b);
    return sign * a.localeCompare(b, "en", { numeric: true });
  };

  const sort = (table, heading, column) => {
    const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const isNumber = heading.dataset.sort === "number";
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [keyOf(row, column, isNumber), row]);
    rows.sort(([a], [b]) => compare(a, b, sign));
    body.append(...rows.map(([, row]) => row));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      heading.removeAttribute("aria-sort");
      const button = document.createElement("button");
      button.type = "button";
      // The arrow of the button is beside the title; smaller text below it is not in the button.
      const isAbout = (node) => node.classList?.contains("about");
      button.append(...[...heading.childNodes].filter((node) => !isAbout(node)));
      button.addEventListener("click", () => sort(table, heading, column));
      heading.prepend(button);
    });
  }

  const search = document.getElementById("search");
  if (search) {
    const { entries } = JSON.parse(document.getElementById("search-entries").textContent);
    const maxShown = 20;
    const query = document.getElementById("query");
    const results = document.getElementById("results");
    const status = document.getElementById("search-status");
    for (const entry of entries) entry.text = `${entry.title} ${entry.words}`.toLowerCase();

    const rank = (entry, words) =>
      words.filter((word) => entry.title.toLowerCase().includes(word)).length;

    const item = (entry) => {
      const kind = document.createElement("span");
      kind.className = "kind";
      kind.textContent = entry.kind;
      const link = document.createElement("a");
      link.href = entry.link;
      link.textContent = entry.title;
      const line = document.createElement("li");
      line.append(kind, " ", link);
      return line;
    };

    const show = () => {
      const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
      const matches = words.length
        ? entries.filter((entry) => words.every((word) => entry.text.includes(word)))
        : [];
      matches.sort((a, b) => rank(b, words) - rank(a, words));
      results.replaceChildren(...matches.slice(0, maxShown).map(item));
      status.textContent = words.length
        ? `${matches.length} found` +
          (matches.length > maxShown ? `, the first ${maxShown} are shown` : "")
        : "";
    };

    query.addEventListener("input", show);
    query.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        query.value = "";
        show();
      }
    });
    search.hidden = false;
    if (query.value) show();
  }

  fitRegions();
  window.addEventListener("resize", fitRegions);
})();
