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


def patches(images):
    """Return what the kernel sees at each of the 64 positions, ``[n, 64, 9]``."""
    padded = jnp.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    shifted = [padded[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    return jnp.stack(shifted, -1).reshape(len(images), 64, 9)


def positions(stride):
    """Return which positions a kernel with ``stride`` is used at, 0 or 1, ``[64]``.

    The middle one if there is but one: the corners of these images are dark, and a
    kernel that sees a corner alone gets hardly a gradient.
    """
    used = np.arange(8) % stride == stride // 2
    return np.outer(used, used).ravel().astype(np.float32)


def init(key, flatten, count):
    """Return a 3×3 kernel, the same for all strides, and a head for its outputs."""
    first, second = jax.random.split(key)
    head = jax.random.normal(second, (CHANNELS * (64 if flatten else 1), 10))
    return {
        "kernel": jax.random.normal(first, (9, CHANNELS)) / 3,
        "head": head / (CHANNELS * (count if flatten else 1)) ** 0.5,
    }


def logits(params, seen, weights, flatten):
    """Return ``[batch, 10]``: convolution, ReLU, positions weighted, head."""
    features = jax.nn.relu(seen @ params["kernel"]) * weights[:, None]
    features = features.reshape(len(seen), -1) if flatten else features.sum(1)
    return features @ params["head"]


@functools.partial(jax.jit, static_argnums=(0, 1))
def network(flatten, steps, weights, keys, data):
    """Return the typical pull on the kernel, one per seed."""

    def loss(params, key):
        drawn = _digits.batch(key, data, 16)
        found = logits(params, drawn.images, weights, flatten)
        losses = optax.softmax_cross_entropy_with_integer_labels(found, drawn.labels)
        return losses.mean()

    def one(key):
        first, rest = jax.random.split(key)
        found = _pull.measure(
            loss,
            init(first, flatten, (weights > 0).sum()),
            rest,
            steps=steps,
            learning_rate=ETA,
            weight_decay=LAMBDA,
        )
        # Near θ = 0 the pull is a quotient of two small numbers.
        return jnp.median(jnp.abs(found.pull["kernel"]))

    return jax.vmap(one)(keys)


@functools.partial(jax.jit, static_argnums=0)
def made_up(steps, weights, aligned, keys):
    """Return the typical pull on weights that get Gaussian gradients by position."""

    def loss(theta, key):
        grads = jax.random.normal(key, (64, CHANNELS))
        return theta @ (weights @ jnp.where(aligned, grads[:1], grads))

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
    data = data._replace(images=patches(data.images))
    used = [positions(stride) for stride in STRIDES]
    averaged = [weights / weights.sum() for weights in used]
    pulls = {}
    for head in HEADS:
        progress(head)
        pulls[head] = [
            np.asarray(network(head == "flatten", steps, w, keys, data), float).tolist()
            for w in (averaged if head == "mean" else used)
        ]
    for kind in GRADIENTS:
        progress(kind)
        aligned = kind.startswith("aligned")
        pulls[kind] = [
            np.asarray(made_up(steps, w, aligned, keys), float).tolist()
            for w in (averaged if kind.endswith("averaged") else used)
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
