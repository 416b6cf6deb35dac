"""C5: decay in a recurrent network, against the length of the sequence.

A tanh network of 16 units that is unrolled over 2, 8 or 32 steps, with losses that are
summed, averaged, or those of the last step. How hard decay pulls on the recurrent
weights inside Adam + L2; and decoupled decay without gradient against (1 − ηλ)^n.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import optaxwd
from examples.claims import _pull
from examples.claims._claim import Claim, Size, Verdict, said
from examples.claims._precision import float64
from examples.claims._statistics import Interval, interval

UNITS, BATCH, ETA, LAMBDA = 16, 32, 1e-3, 1e-4
LENGTHS = (2, 8, 32)
PAIRS = tuple(itertools.pairwise(LENGTHS))
LOSSES = ("summed losses", "averaged losses", "the last loss")
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
        "summed losses": steps < length,
        "averaged losses": (steps < length) / length,
        "the last loss": steps == length - 1,
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
        errors = [float(shrink(weights(n, "summed losses")[:n])) for n in LENGTHS]
    return {"seeds": len(keys), "steps": steps, "pull": found, "errors": errors}


def ratios(numbers: dict[str, Any]) -> dict[str, Interval]:
    """Return the log ratio of the pull at two neighbouring lengths, over the seeds."""
    found = {}
    for kind, rows in numbers["pull"].items():
        logs = np.log(np.asarray(rows))
        for (short, long), change in zip(PAIRS, np.diff(logs, axis=0), strict=True):
            found[f"{kind} from {short} to {long} steps"] = interval(change)
    return found


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge the decay without gradient, and whether the pull changes with the length.

    By every loss and pair of lengths: a line through all lengths would hide a bend.
    """
    found = ratios(numbers)
    wide = {name: pair.among(len(found)) for name, pair in found.items()}
    error = max(numbers["errors"])
    exact, changes = error < 1e-9, {name: x.excludes_zero for name, x in wide.items()}
    estimate = (
        "Inside Adam + L2 the pull of decay is multiplied by "
        + "; ".join(f"{_ratio(pair)} ({name})" for name, pair in found.items())
        + "."
    )
    same = [name for name, changed in changes.items() if not changed]
    finding = said(
        (True, f"Without gradient AdamW is within {error:.0e} of (1 − ηλ)^n."),
        (exact, "So it decays once per update at every length."),
        (
            bool(same),
            f"No change that {numbers['seeds']} seeds show: {'; '.join(same)}.",
        ),
    )
    advice = said(
        (exact, "The length needs no thought with decoupled decay."),
        (
            any(changes.values()),
            "With L2 inside Adam choose λ anew when the length changes, where it was "
            "found to matter: the same λ is another decay there.",
        ),
        (not any(changes.values()), "Nor was it found to matter to L2 inside Adam."),
    )
    parts = {"decoupled decay once per update": exact} | changes
    return Verdict(parts, estimate, finding, advice)


def _ratio(found: Interval) -> str:
    """Return the ratio with its interval, of its logarithm."""
    mean, low, high = np.exp(found[:3])
    return f"{mean:.2f}, {low:.2f} to {high:.2f}"


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw pull against length."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for marker, kind in zip(("o-", "s--", "^:"), LOSSES, strict=True):
        mean = np.exp(np.log(np.asarray(numbers["pull"][kind])).mean(1))
        axes.loglog(LENGTHS, mean, marker, label=kind)
    axes.axhline(1, color="black", linewidth=0.8, label="AdamW")
    axes.set(xlabel="length of the sequence", ylabel="pull of decay over ηλθ")
    axes.set_xticks(LENGTHS, [str(length) for length in LENGTHS])
    axes.xaxis.set_minor_formatter("")
    axes.set_title("recurrent weights inside Adam + L2")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return figure


CLAIM = Claim(
    name="C5",
    title="Recurrence",
    sentence="Decoupled decay is applied once per update, however long the unrolled "
    "sequence; under Adam + L2 its effective size depends on the length.",
    comparisons=len(LOSSES) * len(PAIRS),
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
