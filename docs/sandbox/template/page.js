// The state of the page, which the address keeps, and what happens when it changes.

const SLIDERS = {
  ratio: settings.ratios, lambda: settings.weight_decays, eta: settings.learning_rates,
  b2: settings.b2s,
};
const DEFAULT = {
  problem: "smaller", ratio: 100, lambda: 0.03, eta: 0.01, b2: 0.999, show: "adam_l2,adamw",
};
const names = Object.keys(settings.methods);
const byId = (id) => document.getElementById(id);
const announceAfter = 400;

function stateOf(asked) {
  const at = { problem: Object.keys(settings.problems).indexOf(asked.problem) };
  for (const [name, values] of Object.entries(SLIDERS)) at[name] = values.indexOf(asked[name]);
  const show = names.filter((name) => asked.show.split(",").includes(name));
  return { problem: asked.problem, at, methods: names, show };
}

// What the address asks for; what it does not say, or says wrongly, is the default.
function fromAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  const asked = { ...DEFAULT };
  if (Object.hasOwn(settings.problems, said.get("problem"))) asked.problem = said.get("problem");
  if (said.has("show")) asked.show = said.get("show");
  for (const [name, values] of Object.entries(SLIDERS)) {
    if (values.includes(Number(said.get(name))) && said.has(name)) asked[name] = Number(said.get(name));
  }
  return asked;
}

function fromControls() {
  const asked = { problem: document.querySelector("#problems input:checked").value };
  for (const [name, values] of Object.entries(SLIDERS)) asked[name] = values[byId(name).value];
  asked.show = [...document.querySelectorAll("#methods input:checked")]
    .map((box) => box.value).join(",");
  return asked;
}

function setControls(asked) {
  const shown = asked.show.split(",");
  for (const input of document.querySelectorAll("#problems input")) {
    input.checked = input.value === asked.problem;
  }
  for (const input of document.querySelectorAll("#methods input")) {
    input.checked = shown.includes(input.value);
  }
  for (const [name, values] of Object.entries(SLIDERS)) {
    byId(name).value = values.indexOf(asked[name]);
  }
}

function buildControls() {
  const choice = (type, name, value, ...words) => {
    const input = Object.assign(document.createElement("input"), { type, name, value });
    const label = document.createElement("label");
    label.append(input, ...words);
    return label;
  };
  for (const [name, { title }] of Object.entries(settings.problems)) {
    byId("problems").append(choice("radio", "problem", name, title));
  }
  for (const [name, { title, note }] of Object.entries(settings.methods)) {
    byId("methods").append(
      choice("checkbox", "method", name, swatch(name), `${title} ${note}`.trim()));
  }
  for (const [name, values] of Object.entries(SLIDERS)) byId(name).max = values.length - 1;
}

function showValues(asked) {
  for (const name of Object.keys(SLIDERS)) {
    const words = plain.format(asked[name]);
    byId(`${name}-value`).textContent = words;
    byId(name).setAttribute("aria-valuetext", words);
  }
}

function showTable(found) {
  byId("table").replaceChildren(...tableRows(found).map(([title, ...cells]) => {
    const row = document.createElement("tr");
    const head = Object.assign(document.createElement("th"), { scope: "row", textContent: title });
    row.append(head, ...cells.map((words) =>
      Object.assign(document.createElement("td"), { textContent: words })));
    return row;
  }));
}

let announcing = 0;

// A screen reader hears where a slider came to rest, not every position on the way.
function announce(words, delay) {
  clearTimeout(announcing);
  announcing = setTimeout(() => { byId("status").textContent = words; }, delay);
}

function show(runs, asked, delay = announceAfter) {
  const state = stateOf(asked);
  const found = summaries(runs, state);
  showValues(asked);
  drawPaths(byId("paths"), found, state);
  drawRates([byId("rates-0"), byId("rates-1")], found);
  showTable(found);
  announce(sentences(found, state), delay);
}

function remember(asked) {
  const address = Object.entries(asked).map(([name, value]) => `${name}=${value}`).join("&");
  // Replaced, not added: going back leaves the page.
  history.replaceState(null, "", `#${address}`);
}

async function start() {
  buildControls();
  setControls(fromAddress());
  const runs = await loadRuns();
  byId("controls").addEventListener("input", () => {
    const asked = fromControls();
    remember(asked);
    show(runs, asked);
  });
  byId("reset").addEventListener("click", () => {
    setControls(DEFAULT);
    remember(DEFAULT);
    show(runs, DEFAULT);
  });
  addEventListener("hashchange", () => {
    setControls(fromAddress());
    show(runs, fromAddress());
  });
  addEventListener("resize", () => show(runs, fromControls()));
  show(runs, fromControls(), 0);
}

start().catch((error) => {
  byId("status").textContent =
    `This browser cannot show the page, one from 2023 or later can: ${error.message}.`;
});
