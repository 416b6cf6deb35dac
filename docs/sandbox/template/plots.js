// The pictures, as SVG in the pixels of the screen.

const SVG = "http://www.w3.org/2000/svg";
const VIEW = { x: [-0.35, 2.25], y: [-0.35, 1.95] };
const SHAPES = {
  adam_l2: "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
  adamw: "M-3.6,-3.6h7.2v7.2h-7.2Z",
  cautious: "M0,-4.8L4.6,3.4h-9.2Z",
  independent: "M0,-5L5,0L0,5L-5,0Z",
  sgd: "M0,4.8L4.6,-3.4h-9.2Z",
};

function element(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const text = (x, y, words, more = {}) => element("text", { x, y, ...more }, words);
const line = (x1, y1, x2, y2, more = {}) => element("line", { x1, y1, x2, y2, ...more });
const linear = ([low, high], [from, to]) => (x) =>
  from + ((x - low) / (high - low)) * (to - from);

function picture(holder, height, label) {
  const width = Math.max(Math.floor(holder.clientWidth), 240);
  const svg = element("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label,
  });
  holder.replaceChildren(svg);
  return { svg, width };
}

// A line with a mark every so many points, which tells the method apart without colour.
// Methods have theirs at different points, so that a path on top of another hides none.
function drawLine(group, name, points, every) {
  const first = Math.floor(Object.keys(SHAPES).indexOf(name) * every / 5);
  const { color, dashes } = settings.methods[name];
  const d = points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`);
  group.append(element("path", {
    class: "line", d: d.join(""), stroke: color, "stroke-dasharray": dashes,
  }));
  points.forEach(([x, y], i) => {
    if (i % every === first) group.append(marker(name, x, y));
  });
}

function marker(name, x, y, scale = 1) {
  const transform = `translate(${x.toFixed(1)},${y.toFixed(1)}) scale(${scale})`;
  const fill = settings.methods[name].color;
  return element("path", { class: "marker", d: SHAPES[name], transform, fill });
}

function swatch(name) {
  const svg = element("svg", { width: 36, height: 14, "aria-hidden": "true", class: "swatch" });
  const { color, dashes } = settings.methods[name];
  svg.append(line(0, 7, 36, 7, { class: "line", stroke: color, "stroke-dasharray": dashes }));
  svg.append(marker(name, 18, 7));
  return svg;
}

function drawPaths(holder, found, state) {
  const left = 42, right = 6, top = 6, bottom = 34;
  const room = Math.max(Math.floor(holder.clientWidth), 240) - left - right;
  const scale = Math.min(room / (VIEW.x[1] - VIEW.x[0]), 440 / (VIEW.y[1] - VIEW.y[0]));
  const tall = scale * (VIEW.y[1] - VIEW.y[0]);
  const wide = scale * (VIEW.x[1] - VIEW.x[0]);
  const names = listed(found.map(({ title }) => title)) || "no method";
  const { svg } = picture(holder, Math.ceil(tall + top + bottom),
    `Paths of ${names} from (${settings.start.join(", ")}) over rings of equal loss around ` +
    `(${settings.minimum.join(", ")}). The table has where they end.`);
  const box = { x: left, y: top, width: wide, height: tall };
  const x = linear(VIEW.x, [left, left + wide]);
  const y = linear(VIEW.y, [top + tall, top]);
  const inside = element("g", { "clip-path": "url(#view)" });
  drawAxes(svg, inside, x, y, box);
  drawRings(inside, state, x, y, scale);
  for (const { name, theta } of found) {
    const points = theta[0].map((value, i) => [x(value), y(theta[1][i])]);
    drawLine(inside, name, points, 5);
    inside.append(marker(name, ...points.at(-1), 1.6));
  }
  const [x0, y0] = settings.start;
  inside.append(element("circle", { class: "point", cx: x(x0), cy: y(y0), r: 7 }));
  svg.append(element("clipPath", { id: "view" }, element("rect", box)), inside,
    element("rect", { class: "frame", ...box }));
}

function drawAxes(svg, inside, x, y, { x: left, y: top, width, height }) {
  const right = left + width, bottom = top + height;
  for (const tick of [0, 0.5, 1, 1.5, 2]) {
    const kind = { class: tick ? "grid" : "zero" };
    if (tick < VIEW.y[1]) {
      svg.append(text(left - 5, y(tick) + 4, plain.format(tick), { "text-anchor": "end" }));
      inside.append(line(left, y(tick), right, y(tick), kind));
    }
    svg.append(text(x(tick), bottom + 15, plain.format(tick), { "text-anchor": "middle" }));
    inside.append(line(x(tick), top, x(tick), bottom, kind));
  }
  svg.append(text(left + width / 2, bottom + 30, "θ₁, loud", { "text-anchor": "middle" }));
  svg.append(text(0, 0, "θ₂, quiet", {
    "text-anchor": "middle", transform: `translate(10,${top + height / 2}) rotate(-90)`,
  }));
}

function curvatures(state) {
  const ratio = settings.ratios[state.at.ratio];
  return settings.problems[state.problem].scale_power.map((power) => ratio ** power);
}

// Rings of equal loss, the minimum, and where the L2 term moves it.
function drawRings(group, state, x, y, scale) {
  const [c1, c2] = curvatures(state);
  const [best1, best2] = settings.minimum;
  const apart = scale < 150 ? 0.5 : 0.25;
  for (let radius = apart; radius <= 1.5; radius += apart) {
    group.append(element("ellipse", {
      class: "ring", cx: x(best1), cy: y(best2),
      rx: scale * radius / Math.sqrt(c1), ry: scale * radius / Math.sqrt(c2),
    }));
    if (x(best1 + radius) + 22 < x(VIEW.x[1])) {
      group.append(text(x(best1 + radius) + 3, y(best2) - 3,
        two.format(c1 * radius ** 2 / 2), { class: "level" }));
    }
  }
  const lambda = settings.weight_decays[state.at.lambda];
  const [l1, l2] = [x(c1 * best1 / (c1 + lambda)), y(c2 * best2 / (c2 + lambda))];
  const [m1, m2] = [x(best1), y(best2)];
  group.append(element("path", { class: "point", d: `M${m1 - 7},${m2}h14M${m1},${m2 - 7}v14` }));
  group.append(element("path", { class: "point", d: `M${l1 - 5},${l2 - 5}l10,10m0,-10l-10,10` }));
}

// One panel per coordinate, with the same scale.
function drawRates(holders, found) {
  const range = decadesOf(found.flatMap(({ rates }) => rates.flat()));
  drawPanel(holders[0], 0, "θ₁, the loud coordinate", found, range);
  drawPanel(holders[1], 1, "θ₂, the quiet coordinate", found, range);
}

// The decades that hold the rates, up to 100 %: where θ is about 0 there may be more.
function decadesOf(rates) {
  const positive = rates.filter((rate) => rate > 0);
  if (!positive.length) return [-4, -2];
  const low = Math.floor(Math.log10(Math.min(...positive)) + 1e-9);
  const high = Math.ceil(Math.log10(Math.max(...positive)) - 1e-9);
  const top = Math.min(Math.max(high, low + 1), 0);
  return [Math.min(low, top - 1), top];
}

function drawPanel(holder, coordinate, title, found, range) {
  const height = 210, left = 54, bottom = height - 34;
  const means = found.map(({ title, mean }) => `${title} ${percent(mean[coordinate])}`);
  const { svg, width } = picture(holder, height,
    `Decay per step of ${title}, on average: ${listed(means) || "no method"}.`);
  const right = width - 12;
  const x = linear([0, settings.steps], [left, right]);
  const decade = linear(range, [bottom - 18, 26]);
  const y = (rate) => (rate > 0 ? decade(Math.min(Math.log10(rate), range[1])) : bottom);
  svg.append(text(left, 13, title, { class: "title" }));
  for (let power = range[0]; power <= range[1]; power++) {
    svg.append(line(left, decade(power), right, decade(power), { class: "grid" }));
    svg.append(text(left - 5, decade(power) + 4, powerOfTen(power + 2), { "text-anchor": "end" }));
  }
  svg.append(line(left, bottom, right, bottom, { class: "zero" }));
  svg.append(text(left - 5, bottom + 4, "none", { "text-anchor": "end" }));
  for (const tick of [0, 50, 100, 150, 200]) {
    svg.append(text(x(tick), bottom + 15, tick, { "text-anchor": "middle" }));
  }
  svg.append(text((left + right) / 2, bottom + 30, "step", { "text-anchor": "middle" }));
  for (const { name, rates } of found) {
    const at = (rate, i) => [x((i + 0.5) * settings.every), y(rate)];
    drawLine(svg, name, rates[coordinate].map(at), 10);
  }
}

function powerOfTen(power) {
  return `${plain.format(Number(`1e${power}`))} %`;
}
