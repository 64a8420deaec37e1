// Sorting of tables and search over the first page's entries. Every page is whole without it.
"use strict";
(() => {
  // A region is a tab stop only where there is something to scroll to.
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

  // Missing values stay last in both directions; equal ones keep their order.
  const compare = (one, other, sign) => {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === "number") return sign * (one - other);
    return sign * one.localeCompare(other, "en", { numeric: true });
  };

  const sort = (table, heading, column) => {
    const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const isNumber = heading.dataset.sort === "number";
    for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [keyOf(row, column, isNumber), row]);
    rows.sort((one, other) => compare(one[0], other[0], sign));
    body.append(...rows.map(([, row]) => row));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      heading.removeAttribute("aria-sort");
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, heading, column));
      heading.append(button);
    });
  }

  const search = document.getElementById("search");
  if (search) {
    const { entries } = JSON.parse(document.getElementById("search-entries").textContent);
    const most = 20;
    const query = document.getElementById("query");
    const results = document.getElementById("results");
    const found = document.getElementById("found");
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
      const fits = words.length
        ? entries.filter((entry) => words.every((word) => entry.text.includes(word)))
        : [];
      fits.sort((one, other) => rank(other, words) - rank(one, words));
      results.replaceChildren(...fits.slice(0, most).map(item));
      found.textContent = words.length
        ? `${fits.length} found` + (fits.length > most ? `, the first ${most} are shown` : "")
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
