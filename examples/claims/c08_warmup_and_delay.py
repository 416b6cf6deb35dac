"""C8: decay that starts late, and a larger λ that makes up for it.

The arithmetic is exact. Then a network on handwritten digits, from the same weights and
in the same order, for two λ: decay throughout, late, and late with the larger λ. The
delay is made up for if the loss is shown to be hardly higher than throughout.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import optaxwd
from examples.claims import _digits
from examples.claims._claim import Claim, Size, Verdict, joined, said
from examples.claims._statistics import Interval, paired

PEAK, BATCH, LAYERS = 3e-3, 64, (64, 64, 64, 10)
LAMBDAS = (0.5, 0.1)
WARMUP = 0.1  # of the run
STARTS = (WARMUP, 0.25, 0.5)  # of the run
MARGIN = 0.05  # of the loss with decay throughout; what is less is hardly higher
WEAK = 0.6  # of the run's mean decay per step
SEEDS = {"smoke": 3, "quick": 10, "full": 40}
STEPS = {"smoke": 100, "quick": 1500, "full": 4000}
KERNELS = optaxwd.rules.matrices_only()


def train(key, data, learning_rate, weight_decay):
    """Train once; return test loss and the norm of the kernels after each step.

    ``weight_decay`` is λ step by step, so that all arms are one compilation.
    """
    train_data, _, test_data = data
    tx = optaxwd.adamw(
        learning_rate, weight_decay=lambda count: weight_decay[count], mask=KERNELS
    )
    first, rest = jax.random.split(key)
    params = _digits.init(first, LAYERS)

    def step(carry, key):
        params, state = carry
        drawn = _digits.batch(key, train_data, BATCH)
        grads = jax.grad(_digits.loss)(params, drawn)
        updates, state = tx.update(grads, state, params)
        params: Any = optax.apply_updates(params, updates)
        return (params, state), optax.tree.norm([layer["kernel"] for layer in params])

    keys = jax.random.split(rest, len(weight_decay))
    (params, _), norms = jax.lax.scan(step, (params, tx.init(params)), keys)
    return _digits.loss(params, test_data), norms


def schedules(learning_rate, weight_decay, steps) -> dict[str, Any]:
    """Return λ of every arm."""
    found: dict[str, Any] = {"throughout": optax.constant_schedule(weight_decay)}
    for share in STARTS:
        start = round(share * steps)
        found[f"late {share}"] = optaxwd.delayed_schedule(weight_decay, start)
        found[f"made up {share}"] = optaxwd.warmup_compensated_schedule(
            weight_decay, learning_rate=learning_rate, steps=steps, start=start
        )
    return found


def arithmetic(learning_rate, weight_decay, steps) -> dict[str, float]:
    """Return the warmup's decay per step over the run's, and what the warmup costs."""
    warmup = round(WARMUP * steps)
    whole, first = (
        optaxwd.cumulative_decay(
            learning_rate=learning_rate, weight_decay=weight_decay, steps=count
        )
        for count in (steps, warmup)
    )
    plan = optaxwd.describe(learning_rate, weight_decay, steps)
    return {
        "warmup_over_mean": first / warmup / (whole / steps),
        "lost_to_warmup": plan.lost_to_warmup,
    }


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Do the arithmetic and train every arm for every λ."""
    steps = STEPS[size]
    warmup = round(WARMUP * steps)
    learning_rate = optax.warmup_cosine_decay_schedule(0.0, PEAK, warmup, steps)
    data = _digits.load(train_size=400)
    keys = jax.random.split(jax.random.key(0), SEEDS[size])
    counts, numbers = jnp.arange(steps), {"steps": steps, "seeds": len(keys)}
    arm = jax.jit(
        jax.vmap(
            lambda key, decay: train(key, data, learning_rate, decay), in_axes=(0, None)
        )
    )

    def measure(schedule) -> dict[str, Any]:
        values = jax.vmap(schedule)(counts)
        losses, norms = arm(keys, values)
        total = optaxwd.cumulative_decay(
            learning_rate=learning_rate, weight_decay=schedule, steps=steps
        )
        return {
            "left": math.exp(total),
            "last_weight_decay": float(values[-1]),
            "loss": np.asarray(losses, np.float64).tolist(),
            "norm": np.asarray(norms[:, -1], np.float64).tolist(),
            "way": np.asarray(norms).mean(0)[:: max(steps // 200, 1)].tolist(),
        }

    arms: dict[str, Any] = {}
    for decay in LAMBDAS:
        arms[f"{decay}"] = {}
        for name, schedule in schedules(learning_rate, decay, steps).items():
            progress(f"λ = {decay}, {name}")
            arms[f"{decay}"][name] = measure(schedule)
    return numbers | arithmetic(learning_rate, LAMBDAS[0], steps) | {"arms": arms}


def inexact(arms: dict[str, Any]) -> float:
    """Return how far the larger λ is from making up for the delay without gradient."""
    base = math.log(arms["throughout"]["left"])
    return max(abs(math.log(arms[f"made up {s}"]["left"]) / base - 1) for s in STARTS)


def margin(arms: dict[str, Any]) -> float:
    """Return what is hardly more loss than with decay throughout."""
    return MARGIN * float(np.mean(arms["throughout"]["loss"]))


def compare(numbers: dict[str, Any], kind: str) -> dict[str, list[Interval]]:
    """Return the losses of an arm − those with decay throughout, by λ and start."""
    return {
        x: [
            paired(arms[f"{kind} {s}"]["loss"], arms["throughout"]["loss"])
            for s in STARTS
        ]
        for x, arms in numbers["arms"].items()
    }


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge the arithmetic, and whether networks follow it at every λ."""
    arms, made = numbers["arms"], compare(numbers, "made up")
    error = max(inexact(one) for one in arms.values())
    parts = {
        "little decay in the warmup": numbers["warmup_over_mean"] < WEAK,
        "made up for without gradient": error < 1e-6,
    }
    for x, start, gap in _places(made):
        parts[f"made up for {_place(x, start)}"] = gap.high < margin(arms[x])
    estimate = "Loss made up for − throughout: " + "; ".join(
        f"{_by_start(gaps)} with λ = {x} and a margin of {margin(arms[x]):.2g}"
        for x, gaps in made.items()
    )
    finding = said(
        (
            True,
            f"Per step the warmup decays by {numbers['warmup_over_mean']:.0%} of the "
            "run's mean, as the learning rate ends at zero; against one that starts "
            f"at its peak it costs {numbers['lost_to_warmup']:.1%} of the decay.",
        ),
        (True, f"Without gradient the larger λ misses by {error:.0e}."),
        *((True, _told(numbers, x)) for x in arms),
    )
    return Verdict(parts, f"{estimate}.", finding, _advice(numbers))


def _advice(numbers: dict[str, Any]) -> str:
    """Return when to make up for a late start."""
    harm, repaired, needless, smaller = [], [], [], True
    late, made = (_places(compare(numbers, kind)) for kind in ("late", "made up"))
    for (x, start, before), (_, _, after) in zip(late, made, strict=True):
        arms = numbers["arms"][x]
        if after.low > 0:
            harm.append(_place(x, start))
            norms = (arms[f"made up {start}"]["norm"], arms["throughout"]["norm"])
            smaller = smaller and paired(*norms).high < 0
        elif before.low > 0 and after.high < margin(arms):
            repaired.append(_place(x, start))
        if start == WARMUP and before.high < margin(arms):
            needless.append(f"λ = {x}")
    return said(
        (bool(needless), f"A warmup needs no making up with {joined(needless)}."),
        (
            bool(repaired),
            f"A late start costs, and a larger λ makes up for it, {joined(repaired)}.",
        ),
        (bool(harm), f"Do not make up for a start {joined(harm)}: it raises the loss."),
        (
            bool(harm) and smaller,
            "There the kernels end smaller: gradients undo early decay, so that late "
            "decay weighs more than the arithmetic says.",
        ),
        (not harm, "Making up for a late start was not found to do harm."),
    )


def _places(found: dict[str, list[Interval]]) -> list[tuple[str, float, Interval]]:
    """Return λ, start and the interval that all need to hold together."""
    return [
        (x, start, gap.among(len(found) * len(STARTS)))
        for x, gaps in found.items()
        for start, gap in zip(STARTS, gaps, strict=True)
    ]


def _place(x: str, start: float) -> str:
    return f"from {start:.0%} on (λ = {x})"


def _by_start(values: Iterable[Any]) -> str:
    """Return one thing for every start."""
    pairs = zip(values, STARTS, strict=True)
    return ", ".join(f"{value} (from {start:.0%} on)" for value, start in pairs)


def _told(numbers: dict[str, Any], x: str) -> str:
    """Return what becomes of loss and norm at one λ."""
    arms = numbers["arms"][x]
    base = arms["throughout"]
    norm, loss = np.mean(base["norm"]), np.mean(base["loss"])

    def norms(kind) -> str:
        found = (np.mean(arms[f"{kind} {s}"]["norm"]) / norm - 1 for s in STARTS)
        return ", ".join(f"{change:+.0%}" for change in found)

    values = (arms[f"made up {s}"]["last_weight_decay"] for s in STARTS)
    times = ", ".join(f"{value / base['last_weight_decay']:.3g}" for value in values)
    return (
        f"With λ = {x} the loss throughout is {loss:.3f}. A late start changes it by "
        f"{_by_start(compare(numbers, 'late')[x])} and the norm by {norms('late')}; "
        f"with λ × {times} it changes the norm by {norms('made up')}."
    )


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the norms over the steps."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    shape = (len(LAMBDAS), len(STARTS))
    rows = figure.subplots(*shape, sharex=True, sharey="row", squeeze=False)
    every = max(numbers["steps"] // 200, 1)
    for panels, (x, arms) in zip(rows, numbers["arms"].items(), strict=True):
        for axes, share in zip(panels, STARTS, strict=True):
            for kind, style in (("throughout", "-"), ("late", ":"), ("made up", "--")):
                way = arms[kind if kind in arms else f"{kind} {share}"]["way"]
                steps = every * np.arange(len(way))
                axes.plot(steps, way, style, label=kind, linewidth=2)
            axes.axvline(share * numbers["steps"], color="0.6", linewidth=1)
            axes.set(title=f"λ = {x}, start at {share:.0%} of the run")
            axes.grid(alpha=0.3)
        panels[0].set_ylabel("norm of the kernels")
    for axes in rows[-1]:
        axes.set_xlabel("step")
    figure.axes[0].legend(fontsize="small")
    return figure


CLAIM = Claim(
    name="C8",
    title="Warmup and delay",
    sentence="Decay times the learning rate is weak during warmup; a delayed start can "
    "be compensated by a larger λ.",
    comparisons=2 * len(LAMBDAS) * len(STARTS),
    settings={
        "peak_learning_rate": PEAK,
        "weight_decays": LAMBDAS,
        "batch": BATCH,
        "layers": LAYERS,
        "starts": STARTS,
        "margin": MARGIN,
        "weak": WEAK,
    },
    run=run,
    judge=judge,
    draw=draw,
)
