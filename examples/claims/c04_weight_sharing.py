"""C4: a kernel that is used at more positions.

One 3×3 convolution on handwritten digits with stride 1, 2, 4 or 8, so 64 to 1
positions, under three heads; and the same question of gradients made up: independent or
aligned from position to position, summed or averaged. How large the gradients of the
kernel are, and how hard decay pulls on it inside Adam + L2, against the number of
positions.
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
from examples.claims._claim import Claim, Size, Verdict, joined, said
from examples.claims._statistics import Interval, slope_over_seeds

STRIDES, CHANNELS = (1, 2, 4, 8), 8
POSITIONS = tuple((8 // stride) ** 2 for stride in STRIDES)
HEADS = ("summed", "flattened", "averaged")
GRADIENTS = tuple(
    f"{kind}, {reduced}"
    for reduced in ("summed", "averaged")
    for kind in ("independent", "aligned")
)
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


def typical(values):
    """Return the median: near θ = 0 the pull is a quotient of two small numbers."""
    return jnp.median(jnp.abs(values))


@functools.partial(jax.jit, static_argnums=(0, 1))
def network(flatten, steps, weights, keys, data):
    """Return the typical pull on the kernel and √v̂ of it, one each per seed."""

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
        return typical(found.pull["kernel"]), typical(found.root["kernel"])

    return jax.vmap(one)(keys)


@functools.partial(jax.jit, static_argnums=0)
def made_up(steps, weights, aligned, keys):
    """Return the same of weights that get Gaussian gradients by position."""

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
        return typical(found.pull), typical(found.root)

    return jax.vmap(one)(keys)


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure pull and gradients under every head, and of made-up gradients."""
    keys, steps = jax.random.split(jax.random.key(0), SEEDS[size]), STEPS[size]
    data, _, _ = _digits.load(train_size=800)
    data = data._replace(images=patches(data.images))
    used = [positions(stride) for stride in STRIDES]
    averaged = [weights / weights.sum() for weights in used]
    numbers = {"seeds": len(keys), "steps": steps, "positions": POSITIONS}
    found: dict[str, Any] = {"pull": {}, "root": {}}
    for name in (*HEADS, *GRADIENTS):
        progress(name)
        rows = []
        for weights in averaged if name.endswith("averaged") else used:
            if name in HEADS:
                rows.append(network(name == "flattened", steps, weights, keys, data))
            else:
                aligned = name.startswith("aligned")
                rows.append(made_up(steps, weights, aligned, keys))
        for measure, values in zip(found, zip(*rows, strict=True), strict=True):
            found[measure][name] = np.asarray(values, np.float64).tolist()
    return numbers | found


def slopes(numbers: dict[str, Any], measure: str) -> dict[str, Interval]:
    """Return the slope of a measure's log on log positions, over the seeds."""
    return {
        name: slope_over_seeds(numbers["positions"], values)
        for name, values in numbers[measure].items()
    }


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge by whether the pull falls under each of the three heads."""
    pull, root = slopes(numbers, "pull"), slopes(numbers, "root")
    wide = {head: pull[head].among(len(HEADS)) for head in HEADS}
    falls = {head: x.high < 0 for head, x in wide.items()}
    rises = [head for head, x in wide.items() if x.low > 0]
    # These are near enough to exact.
    made = ", ".join(f"{round(pull[x].mean, 2) + 0.0:.2f} ({x})" for x in GRADIENTS)
    estimate = f"Slope of log pull on log positions: {_each(pull)}."
    finding = said(
        (True, f"That of log √v̂, the size of the gradients: {_each(root)}."),
        (
            bool(rises),
            f"Decay pulls harder at more positions where they are {joined(rises)}.",
        ),
        (True, f"Slope of log pull with made-up gradients: {made}."),
        (True, "AdamW's pull is 1 everywhere, by what pull means."),
    )
    fading = [head for head in HEADS if falls[head]]
    advice = said(
        (
            bool(fading),
            f"L2 inside Adam fades with the positions, where {joined(fading)}.",
        ),
        (
            bool(rises),
            f"L2 inside Adam grows with the positions, where {joined(rises)}.",
        ),
        (
            bool(fading or rises),
            "So the same λ is another decay in layers that share differently: use "
            "decoupled decay there, which does not see how gradients add up.",
        ),
        (
            not fading and not rises,
            "Sharing alone is no reason to prefer one decay to the other.",
        ),
    )
    return Verdict(
        {f"positions {x}": falls[x] for x in HEADS}, estimate, finding, advice
    )


def _each(found: dict[str, Interval]) -> str:
    """Return the interval of every head."""
    return ", ".join(f"{found[head]} ({head})" for head in HEADS)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw pull and size of the gradients against positions."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    kinds = {"a convolution on digits": HEADS, "made-up gradients": GRADIENTS}
    words = {"pull": "pull of decay over ηλθ", "root": "√v̂"}
    for row, measure in zip(figure.subplots(2, 2), words, strict=True):
        for axes, (title, names) in zip(row, kinds.items(), strict=True):
            for marker, name in zip(("o-", "s--", "^:", "v-."), names, strict=False):
                values = np.asarray(numbers[measure][name])
                mean = np.exp(np.log(values).mean(1))
                axes.loglog(numbers["positions"], mean, marker, label=name)
            axes.set(xlabel="positions", ylabel=words[measure], title=title)
            axes.grid(alpha=0.3)
            if measure == "pull":
                axes.axhline(1, color="black", linewidth=0.8)
                axes.annotate("AdamW", (1, 1), va="bottom")
                axes.legend(fontsize="small")
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
