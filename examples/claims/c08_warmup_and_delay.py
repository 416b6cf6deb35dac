"""C8: decay that starts late, and a larger λ that makes up for it.

The arithmetic is exact. Then a network on handwritten digits, from the same weights and
in the same order: decay throughout, late, and late with the larger λ.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import optaxwd
from examples.claims import _digits
from examples.claims._claim import NOT_SUPPORTED, Claim, Size, Verdict, outcome_of
from examples.claims._statistics import paired

PEAK, LAMBDA, BATCH, LAYERS = 3e-3, 0.5, 64, (64, 64, 64, 10)
STARTS = (0.1, 0.25, 0.5)  # of the run; the first is the end of the warmup
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


def schedules(learning_rate, steps) -> dict[str, Any]:
    """Return λ of every arm."""
    found: dict[str, Any] = {"throughout": optax.constant_schedule(LAMBDA)}
    for share in STARTS:
        start = round(share * steps)
        found[f"late {share}"] = optaxwd.delayed_schedule(LAMBDA, start)
        found[f"made up {share}"] = optaxwd.warmup_compensated_schedule(
            LAMBDA, learning_rate=learning_rate, steps=steps, start=start
        )
    return found


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Do the arithmetic and train every arm."""
    steps = STEPS[size]
    learning_rate = optax.warmup_cosine_decay_schedule(0.0, PEAK, steps // 10, steps)
    data = _digits.load(train_size=400)
    keys = jax.random.split(jax.random.key(0), SEEDS[size])
    plan = optaxwd.describe(learning_rate, LAMBDA, steps)
    counts, arms = jnp.arange(steps), {}
    arm = jax.jit(
        jax.vmap(
            lambda key, decay: train(key, data, learning_rate, decay), in_axes=(0, None)
        )
    )
    for name, schedule in schedules(learning_rate, steps).items():
        progress(name)
        values = jax.vmap(schedule)(counts)
        losses, norms = arm(keys, values)
        total = optaxwd.cumulative_decay(
            learning_rate=learning_rate, weight_decay=schedule, steps=steps
        )
        arms[name] = {
            "left": math.exp(total),
            "last_weight_decay": float(values[-1]),
            "loss": np.asarray(losses, np.float64).tolist(),
            "norm": np.asarray(norms[:, -1], np.float64).tolist(),
            "way": np.asarray(norms).mean(0)[:: max(steps // 200, 1)].tolist(),
        }
    return {
        "steps": steps,
        "seeds": len(keys),
        "share_of_the_warmup": plan.lost_to_warmup,
        "arms": arms,
    }


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge the arithmetic, and whether networks follow it."""
    arms = numbers["arms"]
    base = arms["throughout"]
    exact = max(
        abs(math.log(arms[f"made up {s}"]["left"]) / math.log(base["left"]) - 1)
        for s in STARTS
    )
    losses = {
        f"{kind} {s}": paired(arms[f"{kind} {s}"]["loss"], base["loss"])
        for kind in ("late", "made up")
        for s in STARTS
    }
    norms = {name: paired(arms[name]["norm"], base["norm"]) for name in losses}
    size = float(np.mean(base["norm"]))
    unharmed = outcome_of(losses[f"made up {s}"].low <= 0 for s in STARTS)
    outcome = unharmed if exact < 1e-6 else NOT_SUPPORTED
    rows = "; ".join(
        f"start at {s:.0%} of the run, λ × "
        f"{arms[f'made up {s}']['last_weight_decay'] / base['last_weight_decay']:.3g}: "
        f"loss {losses[f'late {s}']} as it is and {losses[f'made up {s}']} made up "
        f"for, norm {norms[f'late {s}'].mean / size:+.0%} and "
        f"{norms[f'made up {s}'].mean / size:+.0%}"
        for s in STARTS
    )
    estimate = (
        "Loss made up for − throughout: "
        + ", ".join(f"{losses[f'made up {s}']} (start at {s:.0%})" for s in STARTS)
        + f". Without gradient the larger λ makes up for the delay to {exact:.0e}."
    )
    finding = (
        f"The warmup costs {numbers['share_of_the_warmup']:.1%} of the decay of the "
        f"run. In a network, against decay throughout: {rows}."
    )
    advice = (
        "A warmup needs no making up. Do not make up for a long delay: gradients undo "
        "early decay, so that late decay weighs more than the arithmetic says."
    )
    return Verdict(outcome, estimate, finding, advice)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the norms over the steps."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    for axes, share in zip(
        figure.subplots(1, len(STARTS), sharey=True), STARTS, strict=True
    ):
        every = max(numbers["steps"] // 200, 1)
        for name, style in (
            ("throughout", "-"),
            (f"late {share}", ":"),
            (f"made up {share}", "--"),
        ):
            way = numbers["arms"][name]["way"]
            label = name.removesuffix(f" {share}")
            axes.plot(every * np.arange(len(way)), way, style, label=label, linewidth=2)
        axes.axvline(share * numbers["steps"], color="0.6", linewidth=1)
        axes.set(xlabel="step", title=f"start at {share:.0%} of the run")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("norm of the kernels")
    figure.axes[0].legend(fontsize="small")
    return figure


CLAIM = Claim(
    name="C8",
    title="Warmup and delay",
    sentence="Decay times the learning rate is weak during warmup; a delayed start can "
    "be compensated by a larger λ.",
    comparisons=2 * len(STARTS),
    settings={
        "peak_learning_rate": PEAK,
        "weight_decay": LAMBDA,
        "batch": BATCH,
        "layers": LAYERS,
        "starts": STARTS,
    },
    run=run,
    judge=judge,
    draw=draw,
)
