"""How much of a weight decay takes per step, measured over the size of gradients."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optaxwd
from docs.figures._common import line

LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.01
SIZES = np.geomspace(1e-4, 10, 31)


def decay_under_noise(
    factory: Callable[..., optax.GradientTransformation],
    weight_decay: float,
    shape: tuple[int, ...],
    sizes: Any,
    steps: int,
) -> jax.Array:
    """Return what decay takes per step of weights of 1, under gradients of these sizes.

    The update with λ less the update without, under the same random gradients; the
    mean over the steps after the first hundred, in which the moments settle.
    """
    params = jnp.ones(shape)
    pair = [factory(LEARNING_RATE, weight_decay=x) for x in (weight_decay, 0.0)]

    def step(states, key):
        grads = sizes * jax.random.normal(key, shape)
        found = [
            optimizer.update(grads, state, params)
            for optimizer, state in zip(pair, states, strict=True)
        ]
        return [state for _, state in found], found[1][0] - found[0][0]

    keys = jax.random.split(jax.random.key(0), steps)
    states = [optimizer.init(params) for optimizer in pair]
    return jax.lax.scan(step, states, keys)[1][100:].mean(0)


def _effective_decay(factory: Callable[..., optax.GradientTransformation]) -> Any:
    """Return the mean of 500 weights for each of ``SIZES``."""

    @jax.jit
    def whole():
        shape = 500, len(SIZES)
        found = decay_under_noise(factory, WEIGHT_DECAY, shape, jnp.asarray(SIZES), 400)
        return found.mean(0)

    return np.asarray(whole())


def draw_effective_decay(axes) -> None:
    """Draw both methods over the size of the gradients."""
    line(axes, SIZES, _effective_decay(optaxwd.adam_l2), 1, "Adam + L2")
    line(axes, SIZES, _effective_decay(optaxwd.adamw), 0, "AdamW")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("size of the gradients (RMS)")
    axes.set_ylabel("decay per step, of the weight")
    axes.set_title("The same λ, another decay")
