// Sorting and filtering of tables, figures, and the switch between light and dark. No server and no network are needed.
"use strict";

// --- light and dark -------------------------------------------------------------------------------------------------

const THEME = "crystalbench-theme";

function stored(value) {
  try {
    if (value === undefined) return localStorage.getItem(THEME);
    localStorage.setItem(THEME, value);
  } catch (error) { /* a page from a file may have no storage */ }
  return null;
}

if (stored()) document.documentElement.dataset.theme = stored();

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

document.getElementById("theme").addEventListener("click", () => {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  stored(next);
  redraw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

// --- tables ---------------------------------------------------------------------------------------------------------

function valueOf(row, column) {
  const cell = row.cells[column];
  const number = cell.dataset.value !== undefined ? cell.dataset.value : cell.textContent.trim().replace(/[,≈]/g, "");
  if (number === "") return null;
  return isNaN(number) ? number.toLowerCase() : Number(number);
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return -1;
  if (typeof b === "number") return 1;
  return a.localeCompare(b);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // rows without a value stay last
      return descending ? compare(b, a) : compare(a, b);
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }));
}

function filter(name) {
  const text = document.querySelector(`[data-filter="${name}"]`).value.toLowerCase();
  const ours = document.querySelector(`[data-ours="${name}"]`).checked;
  for (const row of document.getElementById(name).tBodies[0].rows) {
    row.hidden = (ours && !row.classList.contains("ours")) || !row.textContent.toLowerCase().includes(text);
  }
}

for (const box of document.querySelectorAll("[data-filter]")) box.addEventListener("input", () => filter(box.dataset.filter));
for (const box of document.querySelectorAll("[data-ours]")) box.addEventListener("change", () => filter(box.dataset.ours));

// --- figures --------------------------------------------------------------------------------------------------------

const DRAWN = new Set();
const LINES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a8a8a", "#B8A200"];

function dataOf(id) {
  return JSON.parse(document.getElementById(`data-${id}`).textContent);
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return { text: style.getPropertyValue("--text").trim(), line: style.getPropertyValue("--line").trim() };
}

function layoutOf(layout) {
  const { text, line } = colours();
  const axis = { gridcolor: line, zerolinecolor: text, linecolor: line };
  const result = {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: text, family: getComputedStyle(document.body).fontFamily, size: 12 },
    colorway: LINES,
    hovermode: "closest",
  };
  for (const name of ["xaxis", "yaxis"]) result[name] = { ...axis, ...(layout[name] || {}) };
  return result;
}

function parity(chart, chosen) {
  const model = chart.models[chosen];
  const all = [...chart.targets, ...model.predictions].filter((v) => v !== null);
  const ends = [Math.min(...all), Math.max(...all)];
  const label = (name) => ({ text: chart.unit ? `${name} (${chart.unit})` : name });
  const names = chart.ids.map((id, k) => (chart.formulas && chart.formulas[k] ? `${id}: ${chart.formulas[k]}` : id));
  return {
    data: [
      {
        type: "scatter", mode: "markers", x: chart.targets, y: model.predictions, text: names, name: model.name,
        marker: { color: model.color, size: 5, opacity: 0.6 },
        hovertemplate: "%{text}<br>target %{x:.4g}<br>prediction %{y:.4g}<extra></extra>",
      },
      { type: "scatter", mode: "lines", x: ends, y: ends, line: { color: "#8a8a8a", dash: "dash" }, hoverinfo: "skip", showlegend: false },
    ],
    layout: {
      height: 480, showlegend: false, margin: { l: 70, r: 15, t: 10, b: 50 },
      xaxis: { title: label("target"), constrain: "domain" },
      yaxis: { title: label("prediction"), scaleanchor: "x", constrain: "domain" },
    },
  };
}

function draw(place) {
  const chart = dataOf(place.dataset.chart);
  const figure = chart.kind === "parity" ? parity(chart, Number(place.dataset.model || 0)) : chart;
  const narrow = place.clientWidth < 560;
  const layout = layoutOf(figure.layout);
  if (narrow) layout.font.size = 10;
  place.querySelector("noscript")?.remove();
  DRAWN.add(place);
  return Plotly.react(place, figure.data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
}

function redraw() {
  for (const place of DRAWN) draw(place);
  for (const select of document.querySelectorAll("[data-periodic]")) colourElements(select);
}

for (const select of document.querySelectorAll("[data-parity]")) {
  const place = document.querySelector(`[data-chart="${select.dataset.parity}"]`);
  dataOf(select.dataset.parity).models.forEach((model, k) => select.add(new Option(model.name, k)));
  select.addEventListener("change", () => { place.dataset.model = select.value; draw(place); });
}

const watcher = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) {
    if (isIntersecting) { watcher.unobserve(target); draw(target); }
  }
}, { rootMargin: "600px" });
for (const place of document.querySelectorAll("[data-chart]")) watcher.observe(place);
addEventListener("beforeprint", () => document.querySelectorAll("[data-chart]").forEach(draw));

// --- periodic table -------------------------------------------------------------------------------------------------

function colourElements(select) {
  const errors = dataOf(select.dataset.periodic)[select.value];
  const values = Object.values(errors).map(([error]) => error).sort((a, b) => a - b);
  const low = values[Math.floor(0.05 * (values.length - 1))], high = values[Math.ceil(0.95 * (values.length - 1))];
  for (const cell of document.querySelectorAll(`#${select.dataset.periodic}-table .element`)) {
    const found = errors[cell.dataset.symbol];
    cell.classList.toggle("there", found !== undefined);
    cell.querySelector("span").textContent = found ? found[0].toPrecision(3) : "";
    const share = found ? Math.min(Math.max((found[0] - low) / (high - low || 1), 0), 1) : 0;
    cell.style.background = found ? `rgba(213, 94, 0, ${0.06 + 0.5 * share})` : "none";
    const name = cell.dataset.name || (cell.dataset.name = cell.title);
    cell.title = found ? `${name}: ${found[0]} in ${found[1]} rows` : `${name}: no rows`;
  }
}

for (const select of document.querySelectorAll("[data-periodic]")) {
  Object.keys(dataOf(select.dataset.periodic)).forEach((name) => select.add(new Option(name, name)));
  select.addEventListener("change", () => colourElements(select));
  colourElements(select);
}
