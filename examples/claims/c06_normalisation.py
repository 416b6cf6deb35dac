"""C6: weights before a normalisation layer.

A random walk under AdamW and under Adam + L2, and a batch-normalised perceptron on
handwritten digits: is the gradient orthogonal to the weights, do their size and their
rotation per step settle where the formulas say, and is the step of Adam orthogonal too?
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import optaxwd
from examples.claims import _digits
from examples.claims._claim import Claim, Size, Verdict
from examples.claims._statistics import Interval, interval

B1, BATCH, LAYERS, EPS = 0.9, 64, (64, 64, 64, 10), 1e-5
MOMENTA = {"AdamW": B1, "AdamW, β₁ = 0": 0.0}  # of the perceptron
WALKERS = 1000
WALKS = {  # name: optimizer, η, λ, RMS of the gradient
    "AdamW": ("adamw", 0.01, 0.1, 1.0),
    "AdamW, η / 10, λ × 10": ("adamw", 0.001, 1.0, 1.0),
    "AdamW, gradient / 10": ("adamw", 0.01, 0.1, 0.1),
    "Adam + L2": ("adam_l2", 0.01, 0.1, 1.0),
    "Adam + L2, gradient / 10": ("adam_l2", 0.01, 0.1, 0.1),
}
ETA, LAMBDA = 3e-3, 0.5  # of the perceptron
NAMES = ("first", "second", "head")
SEEDS = {"smoke": 3, "quick": 10, "full": 40}
STEPS = {"smoke": 100, "quick": 4000, "full": 12_000}


def turned(before, after):
    """Return the angle in radians between two arrays, small or not."""
    before, after = (x / jnp.linalg.norm(x) for x in (before, after))
    return 2 * jnp.arcsin(jnp.linalg.norm(after - before) / 2)


def predict(optimizer, learning_rate, weight_decay, b1, gradient_rms=None):
    """Return RMS and rotation per step of weights in equilibrium."""
    given: Any = {"learning_rate": learning_rate, "weight_decay": weight_decay}
    if optimizer == "adam_l2":
        given["gradient_rms"] = gradient_rms
    return {
        "rms": optaxwd.equilibrium_rms(optimizer, **given),
        "rotation": optaxwd.equilibrium_rotation(optimizer, b1=b1, **given),
    }


@functools.partial(jax.jit, static_argnums=(0, 1))
def walk(optimizer, steps, learning_rate, weight_decay, gradient_rms, start, keys):
    """Return RMS and rotation per step of a random walk, ``[seed, step]`` each."""
    tx = optaxwd.create_optimizer(
        optimizer, learning_rate=learning_rate, b1=B1, weight_decay=weight_decay
    )

    def step(carry, key):
        theta, state = carry
        grads = gradient_rms * jax.random.normal(key, theta.shape)
        updates, state = tx.update(grads, state, theta)
        new: Any = optax.apply_updates(theta, updates)
        found = {"rms": jnp.sqrt(jnp.mean(new**2)), "rotation": turned(theta, new)}
        return (new, state), found

    def one(key):
        first, rest = jax.random.split(key)
        theta = start * jax.random.normal(first, (WALKERS,))
        keys = jax.random.split(rest, steps)
        return jax.lax.scan(step, (theta, tx.init(theta)), keys)[1]

    return jax.vmap(one)(keys)


def loss(kernels, data):
    """Return the loss of a perceptron with batch normalisation after hidden layers."""
    x = data.images
    for kernel in kernels[:-1]:
        x = x @ kernel
        x = jax.nn.relu((x - x.mean(0)) / jnp.sqrt(x.var(0) + EPS))
    found = x @ kernels[-1]
    return optax.softmax_cross_entropy_with_integer_labels(found, data.labels).mean()


def measures(theta, grads, updates):
    """Return what is measured of a kernel in a step of AdamW."""
    square = jnp.sum(theta**2)
    adam = updates + ETA * LAMBDA * theta
    return {
        "cosine": jnp.sum(grads * theta) / jnp.linalg.norm(grads) / jnp.sqrt(square),
        "rms": jnp.sqrt(square / theta.size),
        "rotation": turned(theta, theta + updates),
        # What Adam's step alone adds to the length, as decay takes ηλ from it.
        "radial": jnp.sum(adam * theta) / square / (ETA * LAMBDA),
    }


@functools.partial(jax.jit, static_argnums=0)
def network(steps, b1, keys, data):
    """Return measures of every kernel, ``[seed, step]`` each."""
    tx = optaxwd.adamw(ETA, b1, weight_decay=LAMBDA)

    def step(carry, key):
        kernels, state = carry
        grads = jax.grad(loss)(kernels, _digits.batch(key, data, BATCH))
        stepped: Any = tx.update(grads, state, kernels)
        updates, state = stepped
        found = [measures(*one) for one in zip(kernels, grads, updates, strict=True)]
        return (optax.apply_updates(kernels, updates), state), found

    def one(key):
        first, rest = jax.random.split(key)
        kernels = [layer["kernel"] for layer in _digits.init(first, LAYERS)]
        keys = jax.random.split(rest, steps)
        return jax.lax.scan(step, (kernels, tx.init(kernels)), keys)[1]

    return jax.vmap(one)(keys)


def root_mean_square(values, axis):
    """Return what counts of lengths and angles, as steps come in bursts."""
    return np.sqrt((np.asarray(values, np.float64) ** 2).mean(axis))


def late(values, mean):
    """Return the mean over the second half of the steps, by seed."""
    return mean(values[:, values.shape[1] // 2 :], 1).tolist()


def run(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    """Walk at random, and train."""
    keys, steps = jax.random.split(jax.random.key(0), SEEDS[size]), STEPS[size]
    walks, networks = {}, {}
    for name, (optimizer, eta, weight_decay, gradient_rms) in WALKS.items():
        progress(name)
        expected = predict(optimizer, eta, weight_decay, B1, gradient_rms)
        start = 2 * expected["rms"]
        found = walk(optimizer, steps, eta, weight_decay, gradient_rms, start, keys)
        walks[name] = {
            key: late(found[key] / expected[key], root_mean_square) for key in expected
        }
    data, _, _ = _digits.load(train_size=800)
    for name, b1 in MOMENTA.items():
        progress(f"perceptron, {name}")
        expected = predict("adamw", ETA, LAMBDA, b1) | {"cosine": 1.0, "radial": 1.0}
        found = network(steps, b1, keys, data)
        networks[name] = {
            layer: {
                key: _summary(
                    np.asarray(values, np.float64) / expected[key],
                    np.mean if key == "radial" else root_mean_square,
                )
                for key, values in measured.items()
            }
            for layer, measured in zip(NAMES, found, strict=True)
        }
    return {"seeds": len(keys), "steps": steps, "walks": walks, "networks": networks}


def _summary(values, mean):
    """Return what is kept of a measure: by seed at the end, and its way."""
    every = max(values.shape[1] // 100, 1)
    blocks = values[:, : values.shape[1] // every * every]
    way = mean(blocks.reshape(len(values), -1, every), (0, 2))
    return {"late": late(values, mean), "way": way.tolist(), "every": every}


def judge(numbers: dict[str, Any]) -> Verdict:
    """Judge gradients, equilibrium, and whether Adam's step leaves the size alone."""
    adamw, plain = (numbers["networks"][name] for name in MOMENTA)
    cosine = {name: interval(adamw[name]["cosine"]["late"]) for name in NAMES}
    settled = {
        f"{key}, {name}": interval(adamw[name][key]["late"])
        for key in ("rms", "rotation")
        for name in NAMES[:2]
    }
    walks = [interval(x) for walk in numbers["walks"].values() for x in walk.values()]
    radial, without = (
        {name: interval(arm[name]["radial"]["late"]) for name in NAMES[:2]}
        for arm in (adamw, plain)
    )
    orthogonal = all(cosine[name].high < 1e-3 for name in NAMES[:2])
    separated = _within(radial.values(), 0.2, around=0)
    parts = {
        "orthogonal gradients": orthogonal,
        "random walks that settle as predicted": _within(walks, 0.05),
        "a network that settles as predicted": _within(settled.values(), 0.15),
        "an Adam step that leaves the size alone": separated,
    }
    estimate = (
        f"|cos(g, w)| {max(cosine[name].mean for name in NAMES[:2]):.0e} before "
        f"normalisation, {cosine['head'].mean:.2f} in the head. Measured over "
        "predicted: "
        + ", ".join(f"{x} ({name} layer)" for name, x in settled.items())
        + ". Radial part of Adam's step over ηλ: "
        + ", ".join(f"{x} ({name} layer)" for name, x in radial.items())
        + "."
    )
    worst = max(walks, key=lambda x: abs(x.mean - 1))
    finding = (
        "Random walks under AdamW and Adam + L2 settle where the formulas say, to "
        f"{abs(worst.mean - 1):.1%}. Decay moves only the size of the weights, and "
        "their size sets how far a step turns them. With β₁ = 0 the radial part of "
        "Adam's step is "
        + ", ".join(f"{x} ({name} layer)" for name, x in without.items())
        + ": what momentum holds was orthogonal to the weights of before, not to those "
        "of now."
    )
    advice = (
        "Before a normalisation layer read λ as a learning rate of the direction, "
        "√(2ηλ(1 − β₁)/(1 + β₁)) per step, and not as a penalty: change η and λ "
        "together. Watch the rotation per step; weights without normalisation, such as "
        "the head, follow another law."
    )
    return Verdict(parts, estimate, finding, advice)


def _within(found: Iterable[Interval], tolerance: float, around: float = 1) -> bool:
    low, high = around - tolerance, around + tolerance
    return all(low < x.low and x.high < high for x in found)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw size and rotation over the prediction, and the radial part."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    titles = {
        "rms": "RMS of the weights over prediction",
        "rotation": "rotation per step over prediction",
        "radial": "radial part of Adam's step over ηλ",
    }
    for axes, (key, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        for color, (arm, layers) in zip(
            ("black", "tab:orange"), numbers["networks"].items(), strict=True
        ):
            for style, name in zip(("-", "--", ":"), NAMES, strict=True):
                found = layers[name][key]
                steps = found["every"] * np.arange(len(found["way"]))
                label = f"{arm}, {name}"
                axes.plot(steps, found["way"], style, color=color, label=label)
        axes.axhline(1, color="0.6", linewidth=0.8)
        axes.set(xlabel="step", title=title)
        axes.set_yscale("linear" if key == "radial" else "log")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="x-small")
    return figure


CLAIM = Claim(
    name="C6",
    title="Normalisation layers",
    sentence="Weights before a normalisation layer have gradients orthogonal to them; "
    "decoupled decay and update balance at a predictable norm and rotation, and what "
    "they do is cleanly separated: direction and size.",
    comparisons=2 * len(WALKS) + len(NAMES) + 4 * (len(NAMES) - 1),
    settings={
        "learning_rate": ETA,
        "weight_decay": LAMBDA,
        "b1": MOMENTA,
        "walks": WALKS,
        "walkers": WALKERS,
        "batch": BATCH,
        "layers": LAYERS,
        "eps": EPS,
    },
    run=run,
    judge=judge,
    draw=draw,
)
