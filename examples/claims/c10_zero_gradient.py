"""C10: what decay does to a weight whose gradient is zero.

θ₀ = 0.4 with η = 3e-4, and weights of η and below, under AdamW and Adam + L2, from cold
moments and from those that a thousand gradients have left; L2 also with smaller λ. In
float64.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import optaxwd
from examples.claims._claim import Claim, Size, Verdict, said
from examples.claims._precision import float64

ETA, LAMBDA, GRADIENT = 3e-4, 0.1, 0.01
SMALLER = (0.01, 0.001)  # λ too, of Adam + L2
START, SMALL = 0.4, (1e-4, 2e-4, 3e-4)
NEAR = 0.1  # of η: what counts as zero
SECOND = (0.95, 0.999)
STEPS = {"smoke": 3000, "quick": 10_000, "full": 30_000}
METHODS = {"AdamW": optaxwd.adamw, "Adam + L2": optaxwd.adam_l2}
LAMBDAS = {"AdamW": (LAMBDA,), "Adam + L2": (LAMBDA, *SMALLER)}


def named(method: str, weight_decay: float, b2: float, moments: str) -> str:
    """Return the name of a case."""
    return f"{method}, λ = {weight_decay:g}, β₂ = {b2}, {moments}"


CASES = {
    named(method, weight_decay, b2, moments): (method, weight_decay, b2, moments)
    for method in METHODS
    for b2 in SECOND
    for moments in ("cold", "warm")
    for weight_decay in LAMBDAS[method]
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
        for name, (method, weight_decay, b2, moments) in CASES.items():
            progress(name)
            tx = METHODS[method](ETA, 0.9, b2, weight_decay=weight_decay)
            path = follow(tx, START, steps, moments == "warm")
            numbers["paths"][name] = _summary(path, weight_decay)
        for b2 in SECOND:
            tx = METHODS["Adam + L2"](ETA, 0.9, b2, weight_decay=LAMBDA)
            for start in SMALL:
                path = follow(tx, start, 200, warm=False)
                numbers["small"][f"{start:g}, β₂ = {b2}"] = path.tolist()
    return numbers


def _summary(path: np.ndarray, weight_decay: float) -> dict[str, Any]:
    """Return what is kept of a path: where it goes, how, and what it does at zero."""
    geometric = path[0] * (1 - ETA * weight_decay) ** np.arange(len(path))
    to_eta, to_zero = _first(path <= ETA), _first(path <= 0)
    until = len(path) - 1 if to_eta is None else to_eta
    steps = -np.diff(path)[: max(until - 1, 1)] / ETA
    every = max(len(path) // 500, 1)
    return {
        "path": path[::every].tolist(),
        "every": every,
        "from_geometric": float(np.max(np.abs(path / geometric - 1))),
        "smallest_step": float(steps.min()),
        "largest_step": float(steps.max()),
        "to_eta": to_eta,
        "to_zero": to_zero,
        "overshoot": None if to_zero is None else float(-path.min() / ETA),
    }


def _first(found: np.ndarray) -> int | None:
    """Return the first step at which something is so, ``None`` without one."""
    return int(np.argmax(found)) if found.any() else None


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge the three parts: geometric, constant step, zeroed in one step."""
    paths = numbers["paths"]
    coupled = {k: v for k, v in paths.items() if k.startswith("Adam +")}
    error = {
        moments: max(
            v["from_geometric"]
            for k, v in paths.items()
            if k.startswith("AdamW") and k.endswith(moments)
        )
        for moments in ("cold", "warm")
    }
    lowest = min(v["smallest_step"] for v in coupled.values())
    highest = max(v["largest_step"] for v in coupled.values())
    small = np.abs(list(numbers["small"].values()))[:, 1:] / ETA
    stay = int((small.max(1) < NEAR).sum())
    parts = {
        "AdamW is geometric": error["cold"] < 1e-9,
        "Adam + L2 walks a constant step": all(
            v["smallest_step"] > v["largest_step"] / 1.1 for v in coupled.values()
        ),
        "small weights are zeroed in one step": stay == len(small),
    }
    estimate = (
        f"AdamW follows (1 − ηλ)^t to {error['cold']:.1e} from cold moments, to "
        f"{error['warm']:.1e} from warm ones. The steps of Adam + L2 from {START:g} "
        f"down to η are {lowest:.2f} to {highest:.2f} η. Of {len(small)} weights of at "
        f"most η, {int((small[:, 0] < NEAR).sum())} are at zero after one step "
        f"(|θ| < {NEAR:g} η), and {stay} stay there."
    )
    return Verdict(parts, estimate, _finding(numbers, coupled), _advice(parts, coupled))


def _finding(numbers, coupled) -> str:
    reached = [
        f"β₂ = {b2}, {moments}: "
        + ", ".join(
            _arrival(coupled[named("Adam + L2", weight_decay, b2, moments)])
            for weight_decay in LAMBDAS["Adam + L2"]
        )
        for b2 in SECOND
        for moments in ("cold", "warm")
    ]
    beyond = [v["overshoot"] for v in coupled.values() if v["overshoot"] is not None]
    small = np.asarray(list(numbers["small"].values()))[:, 1:] / ETA
    near = np.abs(small[:, 0]) < NEAR
    leaves = near & (np.abs(small).max(1) >= NEAR)
    return said(
        (
            True,
            f"Steps of Adam + L2 until θ ≤ η and until θ ≤ 0, of {numbers['steps']}, "
            f"at λ = {', '.join(f'{one:g}' for one in LAMBDAS['Adam + L2'])}. "
            f"{'; '.join(reached)}. η alone would need {START / ETA:.0f}.",
        ),
        (
            bool(beyond),
            f"Of the {len(beyond)} that cross zero, {sum(x > NEAR for x in beyond)} "
            f"swing more than {NEAR:g} η beyond it, as far as "
            f"{max([*beyond, -np.inf]):.2g} η.",
        ),
        (
            bool(leaves.any()),
            f"{leaves.sum()} small weights are at zero after one step and leave it "
            f"again, by up to {np.abs(small[leaves]).max(initial=0):.2f} η.",
        ),
        (
            bool((small[:, 0] <= -NEAR).any()),
            f"{(small[:, 0] <= -NEAR).sum()} have changed their sign after one step.",
        ),
    )


def _arrival(found) -> str:
    """Return the steps to η and to zero."""
    times = (found["to_eta"], found["to_zero"])
    return " and ".join("never" if one is None else str(one) for one in times)


def _advice(parts, coupled) -> str:
    times = {
        (b2, moments): [
            coupled[named("Adam + L2", weight_decay, b2, moments)]["to_eta"] or np.inf
            for weight_decay in LAMBDAS["Adam + L2"]
        ]
        for b2 in SECOND
        for moments in ("cold", "warm")
    }
    cold = [times[b2, "cold"] for b2 in SECOND]
    warm = [times[b2, "warm"] for b2 in SECOND]
    reached = np.isfinite(cold).all()
    return said(
        (
            parts["AdamW is geometric"],
            "Without gradient, decoupled decay is a half-life of ln 2 / (ηλ) steps.",
        ),
        (
            bool(reached and all(max(row) < 1.01 * min(row) for row in cold)),
            "L2 inside Adam, from cold moments, is a walk whose time to η does not "
            "depend on λ.",
        ),
        (
            cold[1][0] > 1.5 * cold[0][0],
            f"With β₂ = {SECOND[1]} Adam + L2 slows down as θ falls.",
        ),
        (
            warm[1] == sorted(warm[1]) and warm[1][-1] > 1.5 * warm[1][0],
            "What gradients have left in v̂ holds that walk back, longer at smaller λ.",
        ),
        (
            not parts["small weights are zeroed in one step"],
            "Do not count on Adam + L2 for exact zeros.",
        ),
        (True, "Watch weights that are rarely used: they are without gradient often."),
    )


def table(numbers: dict[str, Any]) -> list[list[str]]:
    """Return what every weight does."""
    keys = ("smallest_step", "largest_step", "overshoot")
    rows = [
        [
            name,
            *(
                "never" if found[k] is None else str(found[k])
                for k in ("to_eta", "to_zero")
            ),
            *("" if found[k] is None else f"{found[k]:.3g}" for k in keys),
        ]
        for name, found in numbers["paths"].items()
    ]
    head = ["case", "steps to η", "to 0", "smallest step / η", "largest", "beyond 0"]
    return [head, *rows]


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the paths, the time they take, and small weights around zero."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_paths(left, numbers["paths"])
    _draw_times(middle, numbers["paths"])
    styles = ("-", "--", ":") * 2
    for style, (name, path) in zip(styles, numbers["small"].items(), strict=True):
        color = "tab:blue" if name.endswith("0.95") else "0.4"
        values = np.asarray(path[:60]) / ETA
        right.plot(values, style, color=color, label=f"θ₀ = {name}")
    right.axhline(0, color="black", linewidth=0.5)
    right.set(xlabel="step", ylabel="θ / η", title="Adam + L2, weights of η and below")
    right.legend(fontsize="x-small")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    return figure


def _draw_paths(axes, paths):
    colors = {"AdamW": "black", "Adam + L2": "tab:orange"}
    styles = {(0.95, "cold"): "-", (0.95, "warm"): "--"}
    styles |= {(0.999, "cold"): "-.", (0.999, "warm"): ":"}
    for name, (method, weight_decay, b2, moments) in CASES.items():
        if weight_decay == LAMBDA:
            found = paths[name]
            steps = found["every"] * np.arange(len(found["path"]))
            label = name.replace(f", λ = {LAMBDA:g}", "")
            axes.plot(
                steps,
                found["path"],
                styles[b2, moments],
                color=colors[method],
                label=label,
            )
    axes.set(xlabel="step", ylabel="θ", title="from 0.4, without gradient, λ = 0.1")
    axes.legend(fontsize="x-small")


def _draw_times(axes, paths):
    for b2, marker in zip(SECOND, ("o", "s"), strict=True):
        for moments, style in (("cold", "-"), ("warm", "--")):
            times = [
                paths[named("Adam + L2", one, b2, moments)]["to_eta"]
                for one in LAMBDAS["Adam + L2"]
            ]
            axes.loglog(
                LAMBDAS["Adam + L2"],
                [np.nan if one is None else one for one in times],
                marker + style,
                label=f"β₂ = {b2}, {moments}",
            )
    axes.axhline(START / ETA, color="black", linewidth=0.8, label="θ₀/η")
    axes.set(xlabel="λ", ylabel="steps until θ ≤ η", title="Adam + L2 from 0.4")
    axes.legend(fontsize="x-small")


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
        "smaller_weight_decays": SMALLER,
        "gradient": GRADIENT,
        "start": START,
        "small": SMALL,
    },
    run=run,
    judge=judge,
    draw=draw,
    table=table,
)
