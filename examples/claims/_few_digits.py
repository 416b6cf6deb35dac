"""Training on a few digits, and fine-tuning on a few after many others.

A perceptron with dropout, on few labels of which some are wrong. And one pre-trained on
upright digits and fine-tuned on a few that are turned by 90°: the whole of it, with
decay to zero or to the pre-trained weights; or adapters, on a base that is frozen or
only gets no gradient.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

import optaxwd
from examples.claims import _digits
from examples.claims._digits import Split

LAYERS, BATCH, ETA = (64, 64, 10), 16, 3e-3
LABELS, WRONG, FEW, RANK = 100, 10, 40, 4
ZERO, INIT, FROZEN, TRAP = ARMS = (
    "decay to zero",
    "decay to the pre-trained weights",
    "adapters on a frozen base",
    "adapters on a base without gradient",
)
KERNELS = optaxwd.rules.matrices_only()
FREEZE_BASE = optaxwd.DecayRules([("base/.*", "frozen")])


def train(tx, loss, params, key, data, steps):
    """Return the parameters after each third of ``steps``; ``loss`` gets a key."""

    def step(carry, key):
        params, state = carry
        first, second = jax.random.split(key)
        grads = jax.grad(loss)(params, _digits.batch(first, data, BATCH), second)
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    def third(carry, keys):
        carry, _ = jax.lax.scan(step, carry, keys)
        return carry, carry[0]

    keys = jax.random.split(key, (3, steps // 3))
    return jax.lax.scan(third, (params, tx.init(params)), keys)[1]


@jax.jit
def begin(keys, pool):
    """Return, by seed, a network and the pool in a random order."""

    def one(key):
        first, second = jax.random.split(key)
        order = jax.random.permutation(second, len(pool.labels))
        return _digits.init(first, LAYERS), take(pool, order)

    return jax.lax.map(one, keys)


def take(data, chosen):
    """Return the ``chosen`` examples."""
    return Split(data.images[chosen], data.labels[chosen])


def scores(params, valid, test):
    """Return the loss on validation data, and loss and accuracy on test data."""
    right = _digits.logits(params, test.images).argmax(-1) == test.labels
    return {
        "valid": _digits.loss(params, valid),
        "loss": _digits.loss(params, test),
        "accuracy": right.mean(),
    }


def dropout_loss(params, data, key, rate):
    """Return the loss where hidden units are dropped at ``rate``."""
    *first, last = params
    hidden = jax.nn.relu(_digits.logits(first, data.images))
    kept = jax.random.uniform(key, hidden.shape) >= rate
    hidden = jnp.where(kept, hidden / (1 - rate), 0.0)
    return _digits.loss([last], Split(hidden, data.labels))


@functools.partial(jax.jit, static_argnums=0)
def with_dropout(steps, keys, starts, pools, others, weight_decays, rates):
    """Return scores ``[seed, λ, dropout, third]``."""

    def one(key, params, pool, weight_decay, rate):
        first, second = jax.random.split(key)
        few = take(pool, slice(LABELS))
        wrong = few.labels + jax.random.randint(first, (LABELS,), 1, 10)
        labels = jnp.where(jnp.arange(LABELS) < WRONG, wrong % 10, few.labels)
        tx = optaxwd.adamw(ETA, weight_decay=weight_decay, mask=KERNELS)
        loss = functools.partial(dropout_loss, rate=rate)
        few = few._replace(labels=labels)
        found = train(tx, loss, params, second, few, steps)
        return jax.vmap(lambda params: scores(params, *others))(found)

    rows = jax.vmap(one, (None, None, None, None, 0))
    grid: Any = jax.vmap(rows, (None, None, None, 0, None))
    # One seed at a time: the networks of its grid fit into the cache.
    return jax.lax.map(
        lambda seed: grid(*seed, weight_decays, rates), (keys, starts, pools)
    )


def turned(data):
    """Return the images of ``data`` turned by 90°."""
    images = jnp.rot90(data.images.reshape(-1, 8, 8), axes=(1, 2))
    return data._replace(images=images.reshape(-1, 64))


@functools.partial(jax.jit, static_argnums=0)
def pretrain(steps, keys, starts, pools):
    """Return, by seed, a network with adapters, and the few it has not seen, turned."""
    tx = optaxwd.adamw(ETA, weight_decay=0.0)

    def loss(params, data, key):
        del key
        return _digits.loss(params, data)

    def one(seed):
        key, params, pool = seed
        first, second = jax.random.split(key)
        few, rest = take(pool, slice(FEW)), take(pool, slice(FEW, None))
        found = train(tx, loss, params, first, rest, steps)
        base = jax.tree.map(lambda x: x[-1], found)
        return {"base": base, "adapters": adapters(second, base)}, turned(few)

    return jax.lax.map(one, (keys, starts, pools))


def adapters(key, layers):
    """Return the factors of a zero update of low rank, for every kernel."""
    keys = jax.random.split(key, len(layers))
    shapes = [layer["kernel"].shape for layer in layers]
    return [
        {
            "lora_a": jax.random.normal(key, (inputs, RANK)) / inputs**0.5,
            "lora_b": jnp.zeros((RANK, outputs)),
        }
        for key, (inputs, outputs) in zip(keys, shapes, strict=True)
    ]


def merged(params):
    """Return the layers of the base with its adapters, if it has any."""
    if "adapters" not in params:
        return params["base"]
    return [
        layer | {"kernel": layer["kernel"] + pair["lora_a"] @ pair["lora_b"]}
        for layer, pair in zip(params["base"], params["adapters"], strict=True)
    ]


def optimizer(arm, learning_rate, weight_decay):
    """Return AdamW as ``arm`` wants it."""
    tx = optaxwd.adamw(
        learning_rate,
        weight_decay=weight_decay,
        mask=KERNELS,
        anchor="init" if arm == INIT else None,
    )
    return optaxwd.freeze(tx, FREEZE_BASE) if arm == FROZEN else tx


@functools.partial(jax.jit, static_argnums=(0, 1))
def fine_tune(arm, steps, keys, starts, few, weight_decays, learning_rates):
    """Return the parameters ``[seed, λ, η, third]``."""
    adapted = arm in (FROZEN, TRAP)
    starts = starts if adapted else {"base": starts["base"]}

    def loss(params, data, key):
        del key
        if adapted:
            params = params | {"base": jax.lax.stop_gradient(params["base"])}
        return _digits.loss(merged(params), data)

    def one(key, start, few, weight_decay, learning_rate):
        tx = optimizer(arm, learning_rate, weight_decay)
        return train(tx, loss, start, key, few, steps)

    rows = jax.vmap(one, (None, None, None, None, 0))
    grid: Any = jax.vmap(rows, (None, None, None, 0, None))
    return jax.lax.map(
        lambda seed: grid(*seed, weight_decays, learning_rates), (keys, starts, few)
    )


def outcomes(params, starts, others):
    """Return scores, what became of the base, and the norm of adapters.

    Apart from :func:`fine_tune`, so that it is compiled once for all arms.
    """
    found = _outcomes(merged(params), params["base"], starts["base"], others)
    if "adapters" not in params:
        return found
    squares = [(x**2).sum((-2, -1)) for x in jax.tree.leaves(params["adapters"])]
    return found | {"adapters": sum(squares) ** 0.5}


@jax.jit
def _outcomes(networks, bases, starts, others):
    def one(network, base, start):
        kernels, old = ([layer["kernel"] for layer in x] for x in (base, start))
        changed = jax.tree.map(lambda x, y: (x != y).sum(), base, start)
        return scores(network, *map(turned, others)) | {
            "changed": optax.tree.sum(changed),
            "left": optax.tree.norm(kernels) / optax.tree.norm(old),
            "upright": _digits.loss(base, others[-1]),
        }

    grid = one
    for _ in ("third", "η", "λ"):
        grid = jax.vmap(grid, (0, 0, None))
    return jax.lax.map(lambda seed: grid(*seed), (networks, bases, starts))
