"""C3: coupled and decoupled decay under SGD.

A noisy quadratic in float64, so that only the decay differs: plain SGD, momentum,
Nesterov; λ against 2λ; λ/(1 − μ) as a repair; shrinking before against after the step.
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
from examples.claims._claim import (
    HOLDS,
    HOLDS_WHEN,
    NOT_SUPPORTED,
    Claim,
    Size,
    Verdict,
)
from examples.claims._precision import float64
from examples.claims._statistics import interval

ETA, LAMBDA = 0.01, 0.1
ENTRIES = 100
MOMENTA = (0.5, 0.9, 0.99)
SEEDS = {"smoke": 3, "quick": 10, "full": 40}
STEPS = {"smoke": 200, "quick": 1600, "full": 6000}
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
    pairs = {
        "plain": (plain, (optaxwd.sgd_l2, False, None, LAMBDA)),
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
    """Judge plain SGD, and what momentum makes of it."""
    found = {name: interval(one["final"]) for name, one in numbers["relative"].items()}
    plain = max(numbers["relative"]["plain"]["final"])
    momentum = {
        name: one
        for name, one in found.items()
        if name.startswith(("momentum", "Nesterov")) and "λ/" not in name
    }
    repaired = {name: one for name, one in found.items() if "λ/" in name}
    same = plain < 1e-12
    broken = [name for name, one in momentum.items() if one.low > 1e-6]
    outcome = HOLDS_WHEN if same and broken else HOLDS if same else NOT_SUPPORTED
    estimate = (
        f"Plain SGD: the two end {plain:.1e} apart, relative to the weights, after "
        f"{numbers['steps']} steps. With momentum 0.9: {found['momentum 0.9']}."
    )
    finding = (
        "The first is rounding. With the same λ and momentum they end "
        + ", ".join(f"{one.mean:.2g} ({name})" for name, one in momentum.items())
        + " apart; with λ/(1 − μ) for the decoupled one "
        + ", ".join(
            f"{one.mean:.2g} ({name.split(',')[0]})" for name, one in repaired.items()
        )
        + f". Writing λ for 2λ makes {found['λ against 2λ'].mean:.2g}, shrinking after "
        f"the step instead of before {found['shrunk after the step'].mean:.2g}."
    )
    advice = (
        "Only without momentum the two are one. With momentum, λ in the gradient works "
        "as λ/(1 − μ) outside of it, nearly: the buffer delays it. Say which of λ and "
        "2λ you mean before you worry about the rest."
    )
    return Verdict(outcome, estimate, finding, advice)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the distance over the steps."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    shown = {
        "plain": ("black", "-"),
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
        ylabel="distance of the weights, relative",
        title="coupled against decoupled decay under SGD",
    )
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return figure


CLAIM = Claim(
    name="C3",
    title="SGD",
    sentence="Coupled and decoupled decay are the same update for plain SGD.",
    comparisons=15,
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
