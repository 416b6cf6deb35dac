"""C3: coupled and decoupled decay under SGD.

A noisy quadratic in float64, so that only the decay differs. Plain SGD: the library's
two forms, and the order in which PyTorch's decoupled optimizers compute. Then what
turns it round: momentum, Nesterov, λ/(1 − μ) as a repair; λ against 2λ; shrinking after
the step.
"""

import functools
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
from examples.claims._statistics import interval

ETA, LAMBDA = 0.01, 0.1
ENTRIES = 100
MOMENTA = (0.5, 0.9, 0.99)
SAME = 1e-12  # relative: rounding adds up to less, another update to more
ULP = 2.0**-52
SEEDS = {"smoke": 3, "quick": 10, "full": 40}
STEPS = {"smoke": 200, "quick": 1600, "full": 4000}
POINTS = 200  # at which a path is kept
# Curvatures from stiff to none at all: where there is no task, decay is alone.
CURVATURE = np.append(np.geomspace(1e-3, 10.0, ENTRIES - 20), np.zeros(20))


def train(tx, steps, seed):
    """Return the weights of a noisy quadratic, ``[POINTS, entries]`` on the way."""
    keys = jax.random.split(jax.random.key(seed), 3)
    optimum = jax.random.normal(keys[0], (ENTRIES,))
    theta = jax.random.normal(keys[1], (ENTRIES,))

    def step(carry, key):
        theta, state = carry
        grads: Any = CURVATURE * (theta - optimum)
        grads += 0.1 * jnp.sqrt(CURVATURE) * jax.random.normal(key, theta.shape)
        updates, state = tx.update(grads, state, theta)
        return (optax.apply_updates(theta, updates), state), None

    def stretch(carry, keys):
        carry, _ = jax.lax.scan(step, carry, keys)
        return carry, carry[0]

    keys = jax.random.split(keys[2], (POINTS, steps // POINTS))
    return jax.lax.scan(stretch, (theta, tx.init(theta)), keys)[1]


def shrink_before(learning_rate, momentum, nesterov, *, weight_decay):
    """Return SGD that shrinks first, as PyTorch's AdamW does: (1 − ηλ)θ − ηu."""

    def before(updates: Any, theta: Any) -> Any:
        return (1 - learning_rate * weight_decay) * theta + updates - theta

    step = optax.sgd(learning_rate, momentum, nesterov)
    return optax.chain(step, optax.stateless_with_tree_map(before))


def shrink_after(learning_rate, momentum, nesterov, *, weight_decay):
    """Return SGD that shrinks what the step has reached: (1 − ηλ)(θ − ηu)."""

    def after(updates: Any, theta: Any) -> Any:
        return (1 - learning_rate * weight_decay) * (theta + updates) - theta

    step = optax.sgd(learning_rate, momentum, nesterov)
    return optax.chain(step, optax.stateless_with_tree_map(after))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def over_seeds(factory, nesterov, steps, momentum, weight_decay, seeds):
    """Train once per seed; one compilation for all momenta and λ."""
    tx = factory(ETA, momentum, nesterov, weight_decay=weight_decay)
    return jax.vmap(lambda seed: train(tx, steps, seed))(seeds)


def arms() -> dict[str, tuple[Any, Any]]:
    """Return pairs of (optimizer, Nesterov, momentum, λ) to compare."""
    plain = (optaxwd.sgdw, False, None, LAMBDA)
    coupled = (optaxwd.sgd_l2, False, None, LAMBDA)
    pairs = {
        "plain": (plain, coupled),
        "PyTorch's order": ((shrink_before, False, None, LAMBDA), coupled),
        "λ against 2λ": (plain, (optaxwd.sgd_l2, False, None, 2 * LAMBDA)),
        "shrunk after the step": (plain, (shrink_after, False, None, LAMBDA)),
    }
    for mu in MOMENTA:
        for nesterov in (False, True):
            name = f"{'Nesterov' if nesterov else 'momentum'} {mu}"
            coupled = (optaxwd.sgd_l2, nesterov, mu, LAMBDA)
            pairs[name] = ((optaxwd.sgdw, nesterov, mu, LAMBDA), coupled)
            repaired = (optaxwd.sgdw, nesterov, mu, LAMBDA / (1 - mu))
            pairs[f"{name}, λ/(1 − μ)"] = (repaired, coupled)
    return pairs


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Train every arm once, and measure how far apart the pairs are."""
    seeds, steps = jnp.arange(SEEDS[size]), STEPS[size]
    paths, found = {}, {}
    with float64():
        for name, pair in arms().items():
            progress(name)
            for arm in pair:
                if arm not in paths:
                    factory, nesterov, momentum, weight_decay = arm
                    paths[arm] = over_seeds(
                        factory, nesterov, steps, momentum, weight_decay, seeds
                    )
            found[name] = _distance(*(paths[arm] for arm in pair))
    every = steps // POINTS
    return {"steps": steps, "every": every, "seeds": len(seeds), "relative": found}


def _distance(first, second):
    """Return the relative distance of each seed after all steps, and on the way."""
    apart = np.linalg.norm(np.asarray(first - second), axis=-1)
    relative = apart / np.linalg.norm(np.asarray(second), axis=-1)
    return {"final": relative[:, -1].tolist(), "way": relative.mean(0).tolist()}


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge plain SGD; what momentum makes of it is no part of the claim."""
    relative = numbers["relative"]
    plain, order = (max(relative[k]["final"]) for k in ("plain", "PyTorch's order"))
    estimate = (
        f"After {numbers['steps']} steps of plain SGD, relative to the weights and at "
        f"most over the seeds: the library's two forms are {_in_ulp(plain)} apart; L2 "
        f"and shrinking first, as PyTorch's AdamW does, {_in_ulp(order)}."
    )
    parts = {
        "the library's two forms": plain < SAME,
        "PyTorch's order of operations": order < SAME,
    }
    found = {name: interval(one["final"]).mean for name, one in relative.items()}
    return Verdict(parts, estimate, _finding(parts, found), _advice(parts, found))


def _in_ulp(distance: float) -> str:
    return f"{distance:.1e} ({distance / ULP:.2g} · 2⁻⁵²)" if distance else "exactly 0"


def _finding(parts, found) -> str:
    rows = [
        f"{kind} {mu}: {found[f'{kind} {mu}']:.2g}, "
        f"{found[f'{kind} {mu}, λ/(1 − μ)']:.2g}"
        for kind in ("momentum", "Nesterov")
        for mu in MOMENTA
    ]
    return said(
        (all(parts.values()), "Without momentum the forms differ by rounding at most."),
        (not all(parts.values()), "Not all forms of plain SGD are the same update."),
        (
            True,
            "With momentum the two end as far apart as follows, at the same λ and with "
            f"λ/(1 − μ) for the decoupled one. {'; '.join(rows)}. Without momentum, "
            f"2λ for λ makes {found['λ against 2λ']:.2g}, shrinking after the step "
            f"instead of before {found['shrunk after the step']:.2g}.",
        ),
    )


def _advice(parts, found) -> str:
    names = [f"{kind} {mu}" for kind in ("momentum", "Nesterov") for mu in MOMENTA]
    broken = all(found[name] > 1e-6 for name in names)
    repairs = all(found[f"{name}, λ/(1 − μ)"] < found[name] / 5 for name in names)
    return said(
        (all(parts.values()), "Under plain SGD take either form."),
        (
            broken,
            "With momentum the choice matters: λ in the gradient is not the λ outside "
            "of it.",
        ),
        (
            broken and repairs,
            "λ/(1 − μ) outside is nearly λ inside; the rest is the buffer's delay.",
        ),
        (
            found["λ against 2λ"] > found["shrunk after the step"],
            "Say which of λ and 2λ you mean before you worry about the order.",
        ),
    )


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the distance over the steps."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    shown = {
        "plain": ("tab:green", "-"),
        "PyTorch's order": ("black", "-"),
        "shrunk after the step": ("black", ":"),
        "λ against 2λ": ("black", "--"),
        "momentum 0.9": ("tab:orange", "-"),
        "Nesterov 0.9": ("tab:orange", ":"),
        "momentum 0.9, λ/(1 − μ)": ("tab:blue", "-"),
        "Nesterov 0.9, λ/(1 − μ)": ("tab:blue", ":"),
    }
    for name, (color, style) in shown.items():
        found = numbers["relative"][name]
        steps = numbers["every"] * (1 + np.arange(POINTS))
        way = np.maximum(found["way"], 1e-17)
        axes.loglog(steps, way, style, color=color, label=name)
    axes.set(
        xlabel="step",
        ylabel="distance of the weights, relative (0 drawn as 1e-17)",
        title="coupled against decoupled decay under SGD",
    )
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return figure


CLAIM = Claim(
    name="C3",
    title="SGD",
    sentence="Coupled and decoupled decay are the same update for plain SGD.",
    comparisons=16,
    settings={
        "learning_rate": ETA,
        "weight_decay": LAMBDA,
        "momenta": MOMENTA,
        "curvature": CURVATURE.tolist(),
    },
    run=run,
    judge=judge,
    draw=draw,
)
