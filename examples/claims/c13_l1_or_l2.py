"""C13: is L2 inside Adam closer to an L1 penalty?

Linear regression on features of scales from 0.2 to 5, half of which matter not at all
and some of which are never lit. Where Adam + L2 ends, from small steps and a learning
rate that falls to zero: its distance to ridge at the same λ and to the nearest point of
the lasso path; how many weights it zeroes; and the way of weights without a gradient.
Adam + L1 is the control: what an L1 penalty does in the same place.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.linear_model import lasso_path

import optaxwd
from examples.claims._claim import Claim, Size, Verdict, said
from examples.claims._statistics import interval, paired

COUNT, LIT, DEAD, BATCH, ETA = 200, 20, 4, 32, 1e-2
SCALES = np.append(np.geomspace(0.2, 5.0, LIT), np.zeros(DEAD))
LAMBDAS = tuple(float(x) for x in np.geomspace(1e-3, 1.0, 7))
ZERO = 1e-3
METHODS = {"Adam + L2": "l2", "Adam + L1": "l1"}
SEEDS = {"smoke": 3, "quick": 10, "full": 40}
STEPS = {"smoke": 500, "quick": 6000, "full": 30_000}


def draw_data(key):
    """Return features ``[n, d]`` and targets ``[n]``."""
    keys = jax.random.split(key, 4)
    x = jax.random.normal(keys[0], (COUNT, LIT + DEAD)) * SCALES
    matters = jax.random.permutation(keys[1], jnp.arange(LIT) < LIT // 2)
    truth = jnp.append(
        matters * jax.random.rademacher(keys[2], (LIT,)), jnp.zeros(DEAD)
    )
    return x, x @ truth + 0.5 * jax.random.normal(keys[3], (COUNT,))


@functools.partial(jax.jit, static_argnums=(0, 1))
def train(steps, penalty, weight_decays, keys):
    """Return weights ``[seed, λ, d]`` at the end, and the path of the dead ones."""

    def one(key, weight_decay):
        first, second = jax.random.split(key)
        x, y = draw_data(first)
        schedule = optax.cosine_decay_schedule(ETA, steps)
        tx = optaxwd.adam_l2(schedule, weight_decay=weight_decay, penalty=penalty)
        w = jnp.full(LIT + DEAD, 0.5)

        def step(carry, key):
            w, state = carry
            chosen = jax.random.randint(key, (BATCH,), 0, COUNT)
            grads = x[chosen].T @ (x[chosen] @ w - y[chosen]) / BATCH
            updates, state = tx.update(grads, state, w)
            return (optax.apply_updates(w, updates), state), w[-1]

        carry = (w, tx.init(w))
        (w, _), dead = jax.lax.scan(step, carry, jax.random.split(second, steps))
        return w, dead[:400]

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(keys, weight_decays)


def ridge(x, y, weight_decay):
    """Return the minimum of ½ mean (y − xw)² + ½λ‖w‖²."""
    gram = x.T @ x / len(y) + weight_decay * np.eye(x.shape[1])
    return np.linalg.solve(gram, x.T @ y / len(y))


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Train, and compare with ridge and lasso of the same data."""
    keys = jax.random.split(jax.random.key(0), SEEDS[size])
    progress("ridge and lasso")
    known = [references(key) for key in keys]
    methods = {}
    for name, penalty in METHODS.items():
        progress(name)
        found = train(STEPS[size], penalty, jnp.array(LAMBDAS), keys)
        weights, dead = map(np.asarray, found)
        rows = [compare(*pair) for pair in zip(known, weights, strict=True)]
        methods[name] = {k: [row[k] for row in rows] for k in rows[0]}
        methods[name]["dead"] = dead[0].astype(float).tolist()
    return {"seeds": len(keys), "steps": STEPS[size], "methods": methods}


def references(key):
    """Return, for the data of a seed, ridge at every λ and the lasso path."""
    x, y = (np.asarray(a, float) for a in draw_data(jax.random.split(key)[0]))
    x = x[:, :LIT]
    largest = np.abs(x.T @ y).max() / COUNT
    _, path, _ = lasso_path(x, y, alphas=largest * np.geomspace(1, 1e-4, 200))
    return [ridge(x, y, weight_decay) for weight_decay in LAMBDAS], path


def compare(known, weights) -> dict[str, list[float]]:
    """Return distances to ridge and lasso and shares of zeros of a seed, by λ."""
    ridges, path = known
    keys = ("to_ridge", "to_lasso", "zeros", "ridge_zeros", "lasso_zeros")
    found = {k: [] for k in keys}
    for same, w in zip(ridges, weights[:, :LIT].astype(float), strict=True):
        nearest = path[:, np.linalg.norm(path - w[:, None], axis=0).argmin()]
        for name, other in (("ridge", same), ("lasso", nearest)):
            apart = np.linalg.norm(w - other) / np.linalg.norm(w)
            found[f"to_{name}"].append(float(apart))
            found[f"{name}_zeros"].append(float(np.mean(np.abs(other) < ZERO)))
        found["zeros"].append(float(np.mean(np.abs(w) < ZERO)))
    return found


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge the solution, its zeros, and the way of weights without gradient."""
    found, control = _arrays(numbers, "Adam + L2"), _arrays(numbers, "Adam + L1")
    gaps = [
        paired(lasso, ridge).among(len(LAMBDAS))
        for lasso, ridge in zip(found["to_lasso"].T, found["to_ridge"].T, strict=True)
    ]
    ridge_wins = sum(gap.low > 0 for gap in gaps)
    lasso_wins = sum(gap.high < 0 for gap in gaps)
    # Sparse is what is nearer to the zeros of an L1 penalty than to those of ridge.
    middle = (control["zeros"] + found["ridge_zeros"]).mean(1) / 2
    parts = {
        "ends at the lasso": lasso_wins > ridge_wins,
        "sparse": paired(found["zeros"].mean(1), middle).low > 0,
        "a weight without gradient falls at one speed whatever λ": _one_speed(found),
    }
    estimate = (
        f"Nearer to ridge at the same λ in {ridge_wins}, to the lasso path in "
        f"{lasso_wins} of {len(gaps)} λ: relative distance {_mean(found, 'to_ridge')} "
        f"against {_mean(found, 'to_lasso')}. Share of zeros {_mean(found, 'zeros')}, "
        f"under Adam + L1 {_mean(control, 'zeros')}. Without gradient: "
        f"{_speeds(found)} η per step."
    )
    return Verdict(parts, estimate, _finding(found, control), _advice(parts, control))


def _arrays(numbers, name):
    return {k: np.asarray(rows) for k, rows in numbers["methods"][name].items()}


def _mean(found, key) -> str:
    return str(interval(found[key].mean(1)))


def _speed(found):
    """Return how fast dead weights fall by λ, in η per step, after a few steps."""
    return -np.diff(found["dead"][:, 20:40], axis=1).mean(1) / ETA


def _speeds(found) -> str:
    return f"{_speed(found).min():.2f} to {_speed(found).max():.2f}"


def _one_speed(found) -> bool:
    speeds = _speed(found)
    return bool(np.ptp(speeds) < 0.2 * speeds.mean())


def _finding(found, control) -> str:
    both = _one_speed(found) and _one_speed(control)
    return said(
        (
            True,
            f"Of the weights {found['ridge_zeros'].mean():.1%} are zero in ridge "
            f"(|w| < {ZERO:g}), {found['zeros'].mean():.1%} under Adam + L2, "
            f"{found['lasso_zeros'].mean():.1%} in the lasso nearest to it. Adam + L1 "
            f"at the same λ ends {_mean(control, 'to_ridge')} from ridge and "
            f"{_mean(control, 'to_lasso')} from the lasso, with "
            f"{control['zeros'].mean():.1%} zeros; {control['lasso_zeros'].mean():.1%} "
            f"in its nearest lasso. At λ from {LAMBDAS[0]:g} to {LAMBDAS[-1]:g} a "
            f"weight without gradient falls by {_speeds(found)} η per step under "
            f"L2, by {_speeds(control)} η under L1. Plain descent on λ|θ| falls by λη: "
            f"{LAMBDAS[0]:g} to {LAMBDAS[-1]:g} η.",
        ),
        (both, "The common speed is Adam's normalisation, and no sign of L1."),
    )


def _advice(parts, control) -> str:
    ends, sparse, one_speed = parts.values()
    gives = control["zeros"].mean() > 5 * control["ridge_zeros"].mean()
    return said(
        (ends, "Read the solution of Adam + L2 as one of an L1 penalty."),
        (not ends, "Do not read the solution of Adam + L2 as one of an L1 penalty."),
        (one_speed, "A weight without gradient moves at one speed, whatever λ is."),
        (not sparse, "Do not expect sparsity from it."),
        (not sparse and gives, 'For sparsity take penalty="l1".'),
    )


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw distances, zeros, and the way of a weight without gradient."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    colors = {"Adam + L2": "black", "Adam + L1": "tab:orange"}
    for name, color in colors.items():
        found = _arrays(numbers, name)
        for key, style in (("ridge", "o-"), ("lasso", "s--")):
            label = f"{name} to {key}"
            mean = found[f"to_{key}"].mean(0)
            left.loglog(LAMBDAS, mean, style, color=color, label=label)
        middle.semilogx(LAMBDAS, found["zeros"].mean(0), "o-", color=color, label=name)
        for at, style in ((0, "-"), (len(LAMBDAS) // 2, "--"), (-1, ":")):
            label = f"{name}, λ = {LAMBDAS[at]:.2g}"
            right.plot(found["dead"][at], style, color=color, label=label)
    found = _arrays(numbers, "Adam + L2")
    references = {"ridge": ("-", "ridge"), "lasso": ("--", "lasso nearest to L2's")}
    for key, (style, label) in references.items():
        mean = found[f"{key}_zeros"].mean(0)
        middle.semilogx(LAMBDAS, mean, style, color="tab:blue", label=label)
    left.set(xlabel="λ", ylabel="relative distance", title="where they end")
    middle.set(xlabel="λ", ylabel="share of zeros", title="sparsity")
    right.set(xlabel="step", ylabel="θ", title="a weight without gradient")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small")
    return figure


CLAIM = Claim(
    name="C13",
    title="Closer to L1 than L2",
    sentence="Adam + L2 acts like an L1 penalty.",
    comparisons=len(LAMBDAS) + 1,
    settings={
        "learning_rate": ETA,
        "weight_decays": LAMBDAS,
        "scales": SCALES.tolist(),
        "examples": COUNT,
        "batch": BATCH,
    },
    run=run,
    judge=judge,
    draw=draw,
)
