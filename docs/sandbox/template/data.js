// Reads the runs that docs/sandbox/_encode.py wrote.

const read = (id) => document.getElementById(id).textContent;
const settings = JSON.parse(read("settings"));
const layout = JSON.parse(read("layout"));
const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

async function loadRuns() {
  const packed = Uint8Array.from(atob(read("data")), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = planes.length / 2;
  const codes = new Uint16Array(count);
  const runs = {};
  let start = 0;
  for (const [name, shape] of Object.entries(layout.shapes)) {
    const end = start + sizeOf(shape);
    const points = shape.at(-1);
    for (let i = start; i < end; i++) {
      const difference = planes[i] + 256 * planes[count + i];
      codes[i] = (i - start) % points ? codes[i - 1] + difference : difference;
    }
    runs[name] = { codes: codes.subarray(start, end), shape };
    start = end;
  }
  return runs;
}

// The numbers of one curve: [coordinate][point].
function curve(runs, name, at, method) {
  const { codes, shape } = runs[name];
  const [, methods, etas, lambdas, b2s, ratios, coordinates, points] = shape;
  const outer = [[at.problem, 1], [method, methods], [at.eta, etas],
                 [at.lambda, lambdas], [at.b2, b2s]];
  const run = outer.reduce((index, [i, size]) => index * size + i, 0);
  return Array.from({ length: coordinates }, (_, coordinate) => {
    const start = ((run * coordinates + coordinate) * ratios + at.ratio) * points;
    const value = name === "theta" ? thetaOf(method) : rateOf;
    return Array.from(codes.subarray(start, start + points), value);
  });
}

function thetaOf(method) {
  return (code) => layout.theta_low[method] + layout.theta_step[method] * code;
}

function rateOf(code) {
  const [low, high] = layout.rate_range;
  return code === 0 ? 0 : 10 ** (low + ((code - 1) / 65534) * (high - low));
}
