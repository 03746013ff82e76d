"use strict";
const specs = JSON.parse(document.getElementById("specs").textContent);
const views = new Map();
// the place says what its figure shows, and the table behind it has the numbers
const still = { mark: { aria: false }, axis: { aria: false }, legend: { aria: false }, autosize: { type: "fit-x", contains: "padding" }, background: null, font: "Liberation Sans, Arial, Helvetica, sans-serif" };

function chosenRows() {
  return [...document.querySelectorAll(".legend input:checked")].map((box) => box.value);
}

async function draw(place) {
  const name = place.dataset.picture;
  if (views.has(name)) return;
  views.set(name, null);
  const options = {
    renderer: "svg", actions: false, config: still, ast: false,
    bind: place.parentElement.querySelector(".choose"),
    tooltip: { theme: "custom", id: "vg-tooltip-element", disableDefaultStyle: true },
  };
  const { view } = await window.drawn(place, specs[name], options);
  views.set(name, view);
  show(view);
}

function show(view) {
  try { view.signal("shown", chosenRows()).runAsync(); } catch { /* a figure without rows */ }
}

// figures near the reader first, the others when there is time
const places = [...document.querySelectorAll("[data-picture]")];
const near = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
}, { rootMargin: "600px" });
places.forEach((place) => near.observe(place));
const idle = window.requestIdleCallback || ((work) => setTimeout(work, 50));
async function drawRest() {
  const place = places.find((one) => !views.has(one.dataset.picture));
  if (!place) {
    while ([...views.values()].includes(null)) await new Promise((done) => setTimeout(done, 20));
    document.body.dataset.ready = "all";
    return;
  }
  await draw(place);
  idle(drawRest);
}
document.body.dataset.ready = "tables";
idle(drawRest);

document.querySelector(".legend")?.addEventListener("change", () => {
  for (const view of views.values()) if (view) show(view);
});

// tables that are long are built when they are asked for
document.addEventListener("toggle", (event) => {
  const inside = event.target.querySelector?.(":scope > template");
  if (event.target.open && inside) inside.replaceWith(inside.content.cloneNode(true));
}, true);

function sortBy(head) {
  const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "descending";
  for (const other of head.parentElement.cells) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", down ? "ascending" : "descending");
  const value = (row) => {
    const said = row.cells[column].dataset.v;
    if (said === undefined) return null;
    const number = Number(said);
    return Number.isNaN(number) ? said : number;
  };
  const rows = [...body.rows].map((row) => [value(row), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return down ? order : -order;
  });
  body.append(...rows.map(([, row]) => row));
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("thead button");
  if (button) sortBy(button.closest("th"));
});
