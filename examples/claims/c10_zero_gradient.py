"""C10: what decay does to a weight whose gradient is zero.

θ₀ = 0.4 with η = 3e-4, λ = 0.1, and weights of η and below, under AdamW and Adam + L2,
from cold moments and from those that a thousand gradients have left. In float64.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import optaxwd
from examples.claims._claim import Claim, Size, Verdict, outcome_of
from examples.claims._precision import float64

ETA, LAMBDA, GRADIENT = 3e-4, 0.1, 0.01
START, SMALL = 0.4, (1e-4, 2e-4, 3e-4)
STEPS = {"smoke": 3000, "quick": 3000, "full": 30_000}
METHODS = {
    "AdamW": lambda b2: optaxwd.adamw(ETA, 0.9, b2, weight_decay=LAMBDA),
    "Adam + L2": lambda b2: optaxwd.adam_l2(ETA, 0.9, b2, weight_decay=LAMBDA),
}
CASES = {
    f"{method}, β₂ = {b2}, {moments}": (build, b2, moments == "warm")
    for method, build in METHODS.items()
    for b2 in (0.95, 0.999)
    for moments in ("cold", "warm")
}


def follow(tx, start, steps, warm):
    """Return a weight before the first step and after each, without gradient.

    With ``warm``, 1000 random gradients come first and leave their moments.
    """

    def step(carry, grads):
        theta, state = carry
        updates, state = tx.update(grads, state, theta)
        theta = optax.apply_updates(theta, updates)
        return (theta, state), theta

    def run(theta):
        state = tx.init(theta)
        if warm:
            noise = jax.random.normal(jax.random.key(0), (1000,), theta.dtype)
            (_, state), _ = jax.lax.scan(step, (theta, state), GRADIENT * noise)
        _, path = jax.lax.scan(step, (theta, state), jnp.zeros(steps, theta.dtype))
        return path

    return np.append(start, np.asarray(jax.jit(run)(jnp.asarray(start))))


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Follow the weights."""
    steps = STEPS[size]
    numbers: dict[str, Any] = {"steps": steps, "paths": {}, "small": {}}
    with float64():
        for name, (build, b2, warm) in CASES.items():
            progress(name)
            path = follow(build(b2), START, steps, warm)
            numbers["paths"][name] = _summary(path)
        for b2 in (0.95, 0.999):
            tx = METHODS["Adam + L2"](b2)
            for start in SMALL:
                path = follow(tx, start, 200, warm=False)
                numbers["small"][f"{start:g}, β₂ = {b2}"] = path[:60].tolist()
    return numbers


def _summary(path: np.ndarray) -> dict[str, Any]:
    """Return what is kept of a path: where it goes, how, and what it does at zero."""
    geometric = path[0] * (1 - ETA * LAMBDA) ** np.arange(len(path))
    above = path > ETA
    until = len(path) - 1 if above.all() else int(np.argmin(above))
    steps = -np.diff(path)[: max(until - 1, 1)] / ETA
    every = max(len(path) // 500, 1)
    return {
        "path": path[::every].tolist(),
        "every": every,
        "from_geometric": float(np.max(np.abs(path / geometric - 1))),
        "smallest_step": float(steps.min()),
        "largest_step": float(steps.max()),
        "overshoot": float(-path.min() / ETA),
    }


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge the three parts: geometric, constant step, zeroed in one step."""
    paths = numbers["paths"]
    decoupled = {k: v for k, v in paths.items() if k.startswith("AdamW")}
    coupled = {k: v for k, v in paths.items() if k.startswith("Adam +")}
    cold_error = max(
        v["from_geometric"] for k, v in decoupled.items() if k.endswith("cold")
    )
    spread = {k: v["largest_step"] / v["smallest_step"] for k, v in coupled.items()}
    constant = {k: ratio < 1.1 for k, ratio in spread.items()}
    zeroed = {k: abs(path[1]) < 1e-3 * ETA for k, path in numbers["small"].items()}
    outcome = outcome_of(
        (cold_error < 1e-9, all(constant.values()), all(zeroed.values()))
    )
    steps = "; ".join(
        f"{k.removeprefix('Adam + L2, ')}: {v['smallest_step']:.2f} to "
        f"{v['largest_step']:.2f}"
        for k, v in coupled.items()
    )
    overshoot = max(v["overshoot"] for v in coupled.values())
    kept = [k for k, done in zeroed.items() if not done]
    estimate = (
        f"AdamW from cold moments follows (1 − ηλ)^t to {cold_error:.1e}; the steps of "
        f"Adam + L2 differ by up to a factor of {max(spread.values()):.3g}; "
        f"{sum(zeroed.values())} of {len(zeroed)} small weights are zeroed in one step."
    )
    finding = (
        f"Adam + L2 walks towards zero in steps of, in units of η, {steps}. It passes "
        f"zero and swings as far as {overshoot:.1f} η beyond it. In one step a weight "
        f"of η itself is zeroed; smaller ones, {len(kept)} of {len(zeroed)}, change "
        "their sign."
    )
    advice = (
        "Without gradient, decoupled decay is a half-life. L2 inside Adam is a walk "
        "whose speed is the learning rate and not λ: it takes a weight to zero within "
        "some θ/η steps, however small λ is. Rarely used weights feel it first."
    )
    return Verdict(outcome, estimate, finding, advice)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the paths, and small weights around zero."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = ("-", "--", "-.", ":")
    for at, (name, found) in enumerate(numbers["paths"].items()):
        steps = found["every"] * np.arange(len(found["path"]))
        color = "black" if name.startswith("AdamW") else "tab:orange"
        left.plot(steps, found["path"], styles[at % 4], color=color, label=name)
    left.set(xlabel="step", ylabel="θ", title="from 0.4, without gradient")
    left.legend(fontsize="x-small")
    for style, (name, path) in zip(
        styles[:3] * 2, numbers["small"].items(), strict=True
    ):
        color = "tab:blue" if name.endswith("0.95") else "0.4"
        values = np.asarray(path) / ETA
        right.plot(values, style, color=color, label=f"θ₀ = {name}")
    right.axhline(0, color="black", linewidth=0.5)
    right.set(xlabel="step", ylabel="θ / η", title="Adam + L2, weights of η and below")
    right.legend(fontsize="x-small")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


CLAIM = Claim(
    name="C10",
    title="Zero gradient",
    sentence="AdamW decays geometrically, (1 − ηλ)^t; Adam + L2 walks a constant step "
    "towards zero whatever the size of the weight, and weights smaller than η are "
    "zeroed in one step.",
    comparisons=3,
    settings={
        "learning_rate": ETA,
        "weight_decay": LAMBDA,
        "gradient": GRADIENT,
        "start": START,
        "small": SMALL,
    },
    run=run,
    judge=judge,
    draw=draw,
)
