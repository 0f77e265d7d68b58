// Sorting of tables and filtering of the gallery. Without this script everything is there, in the order of the page.
"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table);
}
for (const form of document.querySelectorAll("form.filter")) {
  makeFilter(form);
}

function makeSortable(table) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      // numbers first from high to low, names from A to Z; a second click turns the order around
      const numeric = [...table.tBodies[0].rows].some((row) => row.cells[column].hasAttribute("data-value"));
      const before = header.getAttribute("aria-sort");
      const order = before ? (before === "ascending" ? "descending" : "ascending") : numeric ? "descending" : "ascending";
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", order);
      sortRows(table.tBodies[0], column, numeric, order === "ascending" ? 1 : -1);
    });
  });
}

function sortRows(body, column, numeric, sign) {
  const key = (row) => {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent.trim();
    const value = cell.getAttribute("data-value");
    return value === null || value === "" ? NaN : Number(value);
  };
  const rows = [...body.rows].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    if (!numeric) return sign * a.localeCompare(b, undefined, { numeric: true });
    // what is not known comes last in either order
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return sign * (a - b);
  });
  body.append(...rows);
}

function makeFilter(form) {
  const cards = [...document.querySelectorAll("figure.mistake")];
  const count = form.querySelector("output");
  for (const select of form.querySelectorAll("select")) {
    const names = new Set(cards.map((card) => card.dataset[select.name]));
    for (const name of [...names].sort((a, b) => a.localeCompare(b))) {
      const number = cards.filter((card) => card.dataset[select.name] === name).length;
      select.append(new Option(`${name} (${number})`, name));
    }
  }
  const apply = () => {
    let shown = 0;
    for (const card of cards) {
      card.hidden = [...form.querySelectorAll("select")].some(
        (select) => select.selectedIndex > 0 && card.dataset[select.name] !== select.value
      );
      shown += card.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${cards.length} shown`;
  };
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  form.hidden = false;
  apply();
}
