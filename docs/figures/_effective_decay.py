"""How much of a weight decay takes per step, measured over the size of gradients."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optaxwd

LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.01
SIZES = np.geomspace(1e-4, 10, 31)


def effective_decay(
    factory: Callable[..., optax.GradientTransformation], steps: int = 400
) -> np.ndarray:
    """Return the decay per step of a weight of 1, for each of ``SIZES``.

    The update with λ less the update without, under the same random gradients; the
    mean of 500 weights after the moments have settled.
    """
    params = jnp.ones((500, len(SIZES)))
    pair = [factory(LEARNING_RATE, weight_decay=x) for x in (WEIGHT_DECAY, 0.0)]

    def step(states, key):
        grads = jnp.asarray(SIZES) * jax.random.normal(key, params.shape)
        found = [
            optimizer.update(grads, state, params)
            for optimizer, state in zip(pair, states, strict=True)
        ]
        decay = found[1][0] - found[0][0]
        return [state for _, state in found], decay.mean(0)

    @jax.jit
    def whole():
        keys = jax.random.split(jax.random.key(0), steps)
        states = [optimizer.init(params) for optimizer in pair]
        return jax.lax.scan(step, states, keys)[1][steps // 4 :].mean(0)

    return np.asarray(whole())


def draw_effective_decay(axes, line) -> None:
    """Draw both methods over the size of the gradients."""
    line(axes, SIZES, effective_decay(optaxwd.adam_l2), 1, "Adam + L2")
    line(axes, SIZES, effective_decay(optaxwd.adamw), 0, "AdamW")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("size of the gradients (RMS)")
    axes.set_ylabel("decay per step, of the weight")
    axes.set_title("The same λ, another decay")
