"""C5: decay in a recurrent network, against the length of the sequence.

A tanh network of 16 units that is unrolled over 2, 8 or 32 steps, with losses that are
summed, averaged, or those of the last step. How hard decay pulls on the recurrent
weights inside Adam + L2; and decoupled decay without gradient against (1 − ηλ)^n.
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
from examples.claims import _pull
from examples.claims._claim import NOT_SUPPORTED, Claim, Size, Verdict, outcome_of
from examples.claims._precision import float64
from examples.claims._statistics import Interval, slope_over_seeds

UNITS, BATCH, ETA, LAMBDA = 16, 32, 1e-3, 1e-4
LENGTHS = (2, 8, 32)
LOSSES = ("sum", "mean", "last")
SEEDS = {"smoke": 2, "quick": 10, "full": 40}
STEPS = {"smoke": 40, "quick": 500, "full": 2000}


def init(key):
    """Return the weights of the network."""
    keys = jax.random.split(key, 3)
    return {
        "recurrent": jax.random.orthogonal(keys[0], UNITS) * 0.9,
        "input": jax.random.normal(keys[1], (UNITS,)),
        "output": jax.random.normal(keys[2], (UNITS,)) / UNITS**0.5,
    }


def weights(length, kind):
    """Return what each step counts in the loss, ``[max(LENGTHS)]``."""
    steps = np.arange(max(LENGTHS))
    shares = {
        "sum": steps < length,
        "mean": (steps < length) / length,
        "last": steps == length - 1,
    }
    return shares[kind].astype(np.float32)


def loss(params, key, weights):
    """Return the loss of following a leaky sum of noise; later steps count nothing."""
    inputs = jax.random.normal(key, (len(weights), BATCH))

    def step(carry, x):
        hidden, target = carry
        hidden = jnp.tanh(hidden @ params["recurrent"] + x[:, None] * params["input"])
        target = 0.8 * target + 0.2 * x
        error = ((hidden @ params["output"] - target) ** 2).mean()
        return (hidden, target), error

    carry = (jnp.zeros((BATCH, UNITS)), jnp.zeros(BATCH))
    return weights @ jax.lax.scan(step, carry, inputs)[1]


@functools.partial(jax.jit, static_argnums=0)
def pulls(steps, weights, keys):
    """Return the typical pull on the recurrent weights, one per seed."""

    def one(key):
        first, rest = jax.random.split(key)
        found = _pull.measure(
            lambda params, key: loss(params, key, weights),
            init(first),
            rest,
            steps=steps,
            learning_rate=ETA,
            weight_decay=LAMBDA,
        )
        return jnp.median(jnp.abs(found.pull["recurrent"]))

    return jax.vmap(one)(keys)


@jax.jit
def shrink(weights):
    """Return how far AdamW is from (1 − ηλ)^n when the unrolled loss counts nothing."""
    updates = 50
    tx = optaxwd.adamw(ETA, weight_decay=0.1)
    params = init(jax.random.key(1))

    def step(carry, key):
        params, state = carry
        grads = jax.grad(lambda p: 0.0 * loss(p, key, weights))(params)
        changes, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, changes), state), None

    keys = jax.random.split(jax.random.key(2), updates)
    last: Any = jax.lax.scan(step, (params, tx.init(params)), keys)[0]
    ratio = last[0]["recurrent"] / params["recurrent"] / (1 - ETA * 0.1) ** updates
    return jnp.abs(ratio - 1).max()


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure the pull for every loss and length, and decay without gradient."""
    keys, steps = jax.random.split(jax.random.key(0), SEEDS[size]), STEPS[size]
    found = {}
    for kind in LOSSES:
        progress(kind)
        found[kind] = [
            np.asarray(pulls(steps, weights(length, kind), keys), float).tolist()
            for length in LENGTHS
        ]
    progress("zero gradient")
    with float64():
        errors = [float(shrink(weights(n, "sum")[:n])) for n in LENGTHS]
    return {"seeds": len(keys), "steps": steps, "pull": found, "errors": errors}


def slopes(numbers: dict[str, Any]) -> dict[str, Interval]:
    """Return the slope of log pull on log length, over the seeds."""
    return {
        kind: slope_over_seeds(LENGTHS, pull) for kind, pull in numbers["pull"].items()
    }


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge the decay without gradient, and whether the pull goes with the length."""
    found = slopes(numbers)
    exact = max(numbers["errors"]) < 1e-9
    depends = outcome_of(found[kind].excludes_zero for kind in LOSSES)
    outcome = depends if exact else NOT_SUPPORTED
    estimate = (
        "Slope of log pull on log length inside Adam + L2: "
        + ", ".join(f"{found[kind]} ({kind} of the losses)" for kind in LOSSES)
        + "."
    )
    finding = (
        f"Without gradient AdamW follows (1 − ηλ)^n to {max(numbers['errors']):.0e} "
        "for every length: once per update. Inside Adam + L2 the pull of decay "
        + ", ".join(_trend(kind, found[kind]) for kind in LOSSES)
        + "."
    )
    advice = (
        "Decoupled decay acts once per update. L2 inside Adam changes with the length "
        "of the sequence and with how its losses are reduced: change one of them, and "
        "the same λ is another decay."
    )
    return Verdict(outcome, estimate, finding, advice)


def _trend(kind: str, found: Interval) -> str:
    """Return in words how the pull goes with the length."""
    if not found.excludes_zero:
        word = "does not change"
    else:
        word = "falls" if found.mean < 0 else "rises"
    return f"{word} with the length ({kind} of the losses)"


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw pull against length."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for marker, kind in zip(("o-", "s--", "^:"), LOSSES, strict=True):
        mean = np.exp(np.log(np.asarray(numbers["pull"][kind])).mean(1))
        axes.loglog(LENGTHS, mean, marker, label=f"{kind} of the losses")
    axes.axhline(1, color="black", linewidth=0.8, label="AdamW")
    axes.set(xlabel="length of the sequence", ylabel="pull of decay over ηλθ")
    axes.set_title("recurrent weights inside Adam + L2")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return figure


CLAIM = Claim(
    name="C5",
    title="Recurrence",
    sentence="Decoupled decay is applied once per update, however long the unrolled "
    "sequence; under Adam + L2 its effective size depends on the length.",
    comparisons=len(LOSSES),
    settings={
        "learning_rate": ETA,
        "weight_decay": LAMBDA,
        "lengths": LENGTHS,
        "units": UNITS,
        "batch": BATCH,
    },
    run=run,
    judge=judge,
    draw=draw,
)
