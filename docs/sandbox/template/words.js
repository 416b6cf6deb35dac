// The numbers of a setting, as a table and as sentences.

const two = new Intl.NumberFormat("en", {
  minimumSignificantDigits: 2, maximumSignificantDigits: 2,
});
const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const fixed = (x) => (Math.abs(x) < 0.005 ? 0 : x).toFixed(2).replace("-", "−");
const percent = (rate) => `${rate === 0 ? 0 : two.format(100 * rate)}\u00a0%`;
const listed = (texts) =>
  texts.length < 2 ? texts.join("") : `${texts.slice(0, -1).join(", ")} and ${texts.at(-1)}`;

// What a method did: its name, where it ended, its mean decay per step.
function summaries(runs, state) {
  return state.show.map((name) => {
    const method = state.methods.indexOf(name);
    const theta = curve(runs, "theta", state.at, method);
    return {
      name,
      title: settings.methods[name].title,
      theta,
      rates: curve(runs, "rates", state.at, method),
      end: theta.map((path) => path.at(-1)),
      mean: curve(runs, "mean_rates", state.at, method).map(([rate]) => rate),
    };
  });
}

function timesAsMuch([first, second]) {
  if (first === 0 && second === 0) return "–";
  if (first === 0) return "only θ₂";
  if (second === 0) return "only θ₁";
  return two.format(second / first);
}

function tableRows(found) {
  return found.map(({ title, end, mean }) =>
    [title, ...end.map(fixed), ...mean.map(percent), timesAsMuch(mean)]);
}

function decaySentence({ title, mean }) {
  const [first, second] = mean.map(percent);
  if (first === second) return `${title} removed ${first} of each coordinate per step.`;
  const parts = `${title} removed ${first} of θ₁ and ${second} of θ₂ per step`;
  if (mean.includes(0)) return `${parts}.`;
  const times = mean[1] / mean[0];
  const compared = times > 1 ? `${two.format(times)} times as much`
    : `${two.format(1 / times)} times less`;
  return `${parts}, ${compared}.`;
}

function sentences(found, state) {
  const ratio = settings.ratios[state.at.ratio];
  const problem = settings.problems[state.problem];
  const words = ratio === 1
    ? "Both coordinates have gradients of one kind."
    : problem.words.replace("{ratio}", plain.format(ratio));
  if (!found.length) return `${words} No method is chosen.`;
  const ends = found.map(({ title, end }) => `${title} is at (${end.map(fixed).join(", ")})`);
  const decay = settings.weight_decays[state.at.lambda] === 0
    ? ["λ is 0: nothing decays."]
    : found.map(decaySentence);
  return [words, `After ${settings.steps} steps ${listed(ends)}.`, ...decay].join(" ");
}
