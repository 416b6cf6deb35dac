"""C4: a kernel that is used at more positions.

One 3×3 convolution on handwritten digits with stride 1, 2, 4 or 8, so 64 to 1
positions, under three heads; and the same question of gradients made up: independent or
aligned from position to position, summed or averaged. How hard decay pulls on the
kernel inside Adam + L2, against the number of positions.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from examples.claims import _digits, _pull
from examples.claims._claim import Claim, Size, Verdict, outcome_of
from examples.claims._statistics import Interval, slope_over_seeds

STRIDES, CHANNELS = (1, 2, 4, 8), 8
POSITIONS = tuple((8 // stride) ** 2 for stride in STRIDES)
HEADS = ("sum", "flatten", "mean")
GRADIENTS = ("independent, summed", "aligned, summed", "independent, averaged")
ETA, LAMBDA = 1e-3, 1e-4
SEEDS = {"smoke": 2, "quick": 10, "full": 40}
STEPS = {"smoke": 50, "quick": 600, "full": 2000}


def patches(images, stride):
    """Return what the kernel sees, ``[n, positions, 9]``.

    Every stride-th position, the middle one if there is but one: the corners of these
    images are dark, and a kernel that sees a corner alone gets hardly a gradient.
    """
    first = stride // 2
    padded = jnp.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))

    def shifted(*offsets):
        rows, columns = (slice(first + k, first + k + 8, stride) for k in offsets)
        return padded[:, rows, columns].reshape(len(images), -1)

    return jnp.stack([shifted(i, j) for i in range(3) for j in range(3)], -1)


def init(key, positions, head):
    """Return a 3×3 kernel, the same for all strides, and a head for its outputs."""
    first, second = jax.random.split(key)
    inputs = CHANNELS * (positions if head == "flatten" else 1)
    return {
        "kernel": jax.random.normal(first, (9, CHANNELS)) / 3,
        "head": jax.random.normal(second, (inputs, 10)) / inputs**0.5,
    }


def logits(params, seen, head):
    """Return ``[batch, 10]``: convolution, ReLU, pooling, head."""
    features = jax.nn.relu(seen @ params["kernel"])
    if head == "flatten":
        return features.reshape(len(seen), -1) @ params["head"]
    pool = jnp.sum if head == "sum" else jnp.mean
    return pool(features, 1) @ params["head"]


@functools.partial(jax.jit, static_argnums=(0, 1))
def network(head, steps, keys, data):
    """Return the typical pull on the kernel, one per seed."""

    def loss(params, key):
        drawn = _digits.batch(key, data, 16)
        found = logits(params, drawn.images, head)
        losses = optax.softmax_cross_entropy_with_integer_labels(found, drawn.labels)
        return losses.mean()

    def one(key):
        first, rest = jax.random.split(key)
        found = _pull.measure(
            loss,
            init(first, data.images.shape[1], head),
            rest,
            steps=steps,
            learning_rate=ETA,
            weight_decay=LAMBDA,
        )
        # Near θ = 0 the pull is a quotient of two small numbers.
        return jnp.median(jnp.abs(found.pull["kernel"]))

    return jax.vmap(one)(keys)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def made_up(kind, positions, steps, keys):
    """Return the typical pull on weights that get Gaussian gradients by position."""
    shape = (CHANNELS,) if kind.startswith("aligned") else (positions, CHANNELS)

    def loss(theta, key):
        grads = jax.random.normal(key, shape)
        grads = positions * grads if kind.startswith("aligned") else grads.sum(0)
        return theta @ (grads / positions if kind.endswith("averaged") else grads)

    def one(key):
        found = _pull.measure(
            loss,
            jnp.ones(CHANNELS),
            key,
            steps=steps,
            learning_rate=1e-6,
            weight_decay=LAMBDA,
        )
        return jnp.median(jnp.abs(found.pull))

    return jax.vmap(one)(keys)


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure the pull under every head, and for made-up gradients."""
    keys, steps = jax.random.split(jax.random.key(0), SEEDS[size]), STEPS[size]
    data, _, _ = _digits.load(train_size=800)
    views = [data._replace(images=patches(data.images, stride)) for stride in STRIDES]
    pulls = {}
    for head in HEADS:
        progress(head)
        pulls[head] = [
            np.asarray(network(head, steps, keys, view), float).tolist()
            for view in views
        ]
    for kind in GRADIENTS:
        progress(kind)
        pulls[kind] = [
            np.asarray(made_up(kind, count, steps, keys), float).tolist()
            for count in POSITIONS
        ]
    return {"seeds": len(keys), "steps": steps, "positions": POSITIONS, "pull": pulls}


def slopes(numbers: dict[str, Any]) -> dict[str, Interval]:
    """Return the slope of log pull on log positions, over the seeds."""
    return {
        name: slope_over_seeds(numbers["positions"], pull)
        for name, pull in numbers["pull"].items()
    }


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge by the slopes under the three heads."""
    found = slopes(numbers)
    outcome = outcome_of(found[head].high < 0 for head in HEADS)
    estimate = (
        "Slope of log pull on log positions: "
        + ", ".join(f"{found[head]} ({head} head)" for head in HEADS)
        + "."
    )
    finding = (
        "Of made-up gradients the slope is "
        + ", ".join(f"{found[kind]} ({kind})" for kind in GRADIENTS)
        + ". AdamW pulls with 1 everywhere."
    )
    advice = (
        "What counts is how gradients add up, not sharing itself: summed over "
        "positions they grow and L2 inside Adam fades, averaged they do not. Decoupled "
        "decay sees neither: use it where layers differ in how they share."
    )
    return Verdict(outcome, estimate, finding, advice)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw pull against positions."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, names, title in zip(
        figure.subplots(1, 2),
        (HEADS, GRADIENTS),
        ("a convolution on digits", "made-up gradients"),
        strict=True,
    ):
        for marker, name in zip(("o-", "s--", "^:"), names, strict=True):
            values = np.asarray(numbers["pull"][name])
            mean = np.exp(np.log(values).mean(1))
            axes.loglog(numbers["positions"], mean, marker, label=name)
        axes.axhline(1, color="black", linewidth=0.8)
        axes.annotate("AdamW", (1, 1), va="bottom")
        axes.set(xlabel="positions", ylabel="pull of decay over ηλθ", title=title)
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    return figure


CLAIM = Claim(
    name="C4",
    title="Weight sharing in a CNN",
    sentence="A kernel used at more positions has larger gradients, so L2 inside Adam "
    "regularises it less.",
    comparisons=len(HEADS),
    settings={
        "learning_rate": ETA,
        "weight_decay": LAMBDA,
        "positions": POSITIONS,
        "channels": CHANNELS,
    },
    run=run,
    judge=judge,
    draw=draw,
)
