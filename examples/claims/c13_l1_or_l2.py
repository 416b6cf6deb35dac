"""C13: is L2 inside Adam closer to an L1 penalty?

Linear regression on features of scales from 0.2 to 5, half of which matter not at all
and some of which are never lit. Where Adam + L2 ends, from small steps and a learning
rate that falls to zero: its distance to ridge at the same λ and to the nearest point of
the lasso path; how many weights it zeroes; and the way of weights without a gradient.
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
from examples.claims._claim import Claim, Size, Verdict, outcome_of
from examples.claims._statistics import interval, paired

COUNT, LIT, DEAD, BATCH, ETA = 200, 20, 4, 32, 1e-2
SCALES = np.append(np.geomspace(0.2, 5.0, LIT), np.zeros(DEAD))
LAMBDAS = tuple(float(x) for x in np.geomspace(1e-3, 1.0, 7))
SEEDS = {"smoke": 3, "quick": 10, "full": 40}
STEPS = {"smoke": 500, "quick": 6000, "full": 30_000}


def draw_data(key):
    """Return features ``[n, d]``, targets ``[n]`` and true weights ``[d]``."""
    keys = jax.random.split(key, 4)
    x = jax.random.normal(keys[0], (COUNT, LIT + DEAD)) * SCALES
    matters = jax.random.permutation(keys[1], jnp.arange(LIT) < LIT // 2)
    truth = jnp.append(
        matters * jax.random.rademacher(keys[2], (LIT,)), jnp.zeros(DEAD)
    )
    return x, x @ truth + 0.5 * jax.random.normal(keys[3], (COUNT,)), truth


@functools.partial(jax.jit, static_argnums=0)
def train(steps, weight_decays, keys):
    """Return weights ``[seed, λ, d]`` at the end, and the path of the dead ones."""

    def one(key, weight_decay):
        first, second = jax.random.split(key)
        x, y, _ = draw_data(first)
        schedule = optax.cosine_decay_schedule(ETA, steps)
        tx = optaxwd.adam_l2(schedule, weight_decay=weight_decay)
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
    """Train, and solve ridge and lasso of the same data."""
    keys = jax.random.split(jax.random.key(0), SEEDS[size])
    progress("Adam + L2")
    weights, dead = map(np.asarray, train(STEPS[size], jnp.array(LAMBDAS), keys))
    to_ridge, to_lasso, zeros = (np.zeros(weights.shape[:2]) for _ in range(3))
    progress("ridge and lasso")
    for seed, key in enumerate(keys):
        x, y, _ = (np.asarray(a, float) for a in draw_data(jax.random.split(key)[0]))
        largest = np.abs(x.T @ y).max() / COUNT
        alphas = largest * np.geomspace(1, 1e-4, 200)
        _, path, _ = lasso_path(x[:, :LIT], y, alphas=alphas)
        for at, weight_decay in enumerate(LAMBDAS):
            w = weights[seed, at].astype(float)
            size_of = np.linalg.norm(w[:LIT])
            apart = np.linalg.norm(w[:LIT] - ridge(x, y, weight_decay)[:LIT])
            to_ridge[seed, at] = apart / size_of
            nearest = np.linalg.norm(path - w[:LIT, None], axis=0).min()
            to_lasso[seed, at] = nearest / size_of
            zeros[seed, at] = np.mean(np.abs(w[:LIT]) < 1e-3)
    return {
        "seeds": len(keys),
        "steps": STEPS[size],
        "to_ridge": to_ridge.tolist(),
        "to_lasso": to_lasso.tolist(),
        "zeros": zeros.tolist(),
        "dead": dead[0].astype(float).tolist(),
    }


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge the solution and the way of weights without gradient."""
    to_ridge, to_lasso = (np.asarray(numbers[k]) for k in ("to_ridge", "to_lasso"))
    gaps = [paired(to_lasso[:, i], to_ridge[:, i]) for i in range(len(LAMBDAS))]
    ridge_wins = sum(gap.low > 0 for gap in gaps)
    lasso_wins = sum(gap.high < 0 for gap in gaps)
    # The first steps of a dead weight: the same whatever λ, as under a penalty |θ|.
    starts = np.asarray(numbers["dead"])[:, 20:40]
    speeds = -np.diff(starts, axis=1).mean(1) / ETA
    linear = bool(np.ptp(speeds) < 0.2 and abs(speeds.mean() - 1) < 0.3)
    outcome = outcome_of((lasso_wins > ridge_wins, linear))
    estimate = (
        f"Nearer to ridge at the same λ in {ridge_wins}, to the lasso path in "
        f"{lasso_wins} of {len(gaps)} λ: relative distance "
        f"{interval(to_ridge.mean(1))} against {interval(to_lasso.mean(1))}."
    )
    finding = (
        f"{np.mean(numbers['zeros']):.1%} of the weights are zero. Weights without "
        f"gradient start to fall by {speeds.min():.2f} to {speeds.max():.2f} η per "
        f"step at λ from {LAMBDAS[0]:g} to {LAMBDAS[-1]:g}"
        + (": the same for all, as under |θ|." if linear else ".")
    )
    advice = (
        "Adam + L2 minimises the L2 penalty, where it converges. Only the way is like "
        "L1: a weight without gradient of its own moves at the speed of the learning "
        "rate. Do not expect sparsity from it."
    )
    return Verdict(outcome, estimate, finding, advice)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the distances, and the way of a weight without gradient."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for key, style, label in (
        ("to_ridge", "o-", "to ridge at the same λ"),
        ("to_lasso", "s--", "to the nearest lasso"),
    ):
        left.loglog(LAMBDAS, np.asarray(numbers[key]).mean(0), style, label=label)
    left.set(xlabel="λ", ylabel="relative distance", title="where Adam + L2 ends")
    left.legend(fontsize="small")
    for at, style in ((0, "-"), (len(LAMBDAS) // 2, "--"), (len(LAMBDAS) - 1, ":")):
        right.plot(
            numbers["dead"][at], style, color="black", label=f"{LAMBDAS[at]:.2g}"
        )
    right.set(xlabel="step", ylabel="θ", title="a weight without gradient")
    right.legend(title="λ", fontsize="small")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


CLAIM = Claim(
    name="C13",
    title="Closer to L1 than L2",
    sentence="Adam + L2 acts like an L1 penalty.",
    comparisons=len(LAMBDAS),
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
