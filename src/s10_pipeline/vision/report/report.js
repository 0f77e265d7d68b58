// Sorts tables, filters the gallery and collects corrections. Without this script the page shows everything, unsorted and unfiltered.
"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table);
}
for (const form of document.querySelectorAll("form.filter")) {
  makeFilter(form);
}
makeCorrections(JSON.parse(document.getElementById("report-data").textContent).corrections);

function makeSortable(table) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      // the first click sorts numbers from high to low and names from A to Z; the next click reverses the order
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
    // missing values come last in either order
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

// Adds buttons to each image that can be corrected. The browser stores the choices, and a link downloads them as a file.
function makeCorrections(given) {
  const key = `corrections, model ${given.model}`;
  const earlier = new Map(given.earlier.map((row) => [row[3], row]));
  let chosen = {};
  try {
    chosen = JSON.parse(localStorage.getItem(key)) || {};
  } catch {} // the browser forbids storage, so choices are lost when the page is closed
  const images = [...document.querySelectorAll(".fix[data-image]")].map((place) => {
    const image = JSON.parse(place.dataset.image);
    const select = document.createElement("select");
    select.setAttribute("aria-label", "another class");
    select.append(new Option("another class", ""));
    // hundreds of images times a thousand classes would take a minute, so a list is filled when it is first reached
    const fill = () => {
      const names = new Set([image.suggested, ...given.class_names].filter((name) => name && name !== image.label));
      const there = new Set([...select.options].map((option) => option.value));
      select.append(...[...names].filter((name) => !there.has(name)).map((name) => new Option(name, name)));
    };
    for (const event of ["focus", "pointerdown"]) select.addEventListener(event, fill, { once: true });
    const [keep, drop] = ["right as it is", "drop"].map((text) => Object.assign(document.createElement("button"), { type: "button", textContent: text }));
    keep.addEventListener("click", () => choose(image, "keep", ""));
    select.addEventListener("change", () => choose(image, select.value && "relabel", select.value));
    drop.addEventListener("click", () => choose(image, "drop", ""));
    place.setAttribute("role", "group");
    place.setAttribute("aria-label", `correct image ${image.row[1]}`);
    place.append(keep, select, drop);
    return { image, keep, select, drop };
  });
  const choose = (image, action, label) => {
    const digest = image.row[3];
    // a second click on the same button removes the choice
    if (!action || (action !== "relabel" && (chosen[digest] || [])[0] === action)) delete chosen[digest];
    else chosen[digest] = [action, label];
    try {
      localStorage.setItem(key, JSON.stringify(chosen));
    } catch {}
    show();
  };
  const show = () => {
    const rows = new Map(earlier);
    for (const { image, keep, select, drop } of images) {
      const digest = image.row[3];
      // an image with an earlier correction starts as "right as it is", because its label was corrected already
      const [action, label] = chosen[digest] || [earlier.has(digest) ? "keep" : ""];
      keep.setAttribute("aria-pressed", action === "keep");
      drop.setAttribute("aria-pressed", action === "drop");
      const name = action === "relabel" ? label : "";
      if (![...select.options].some((option) => option.value === name)) select.append(new Option(name, name));
      select.value = name;
      select.classList.toggle("chosen", action === "relabel");
      if (action && !(action === "keep" && earlier.has(digest))) rows.set(digest, [...image.row, action, label]);
    }
    const quoted = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
    const lines = [given.columns, ...rows.values()].map((row) => row.map(quoted).join(","));
    const text = [`# images of the source with checksum ${given.checksum}`, ...lines, ""].join("\n");
    const counts = ["keep", "relabel", "drop"].map((action) => [...rows.values()].filter((row) => row[4] === action).length);
    const bar = document.querySelector(".corrections");
    bar.querySelector("output").textContent = `${counts[0]} right as they are, ${counts[1]} of another class, ${counts[2]} to drop.`;
    bar.querySelector("a").href = `data:text/csv;charset=utf-8,${encodeURIComponent(text)}`;
    bar.hidden = rows.size === 0;
  };
  show();
}
