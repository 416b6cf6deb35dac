"""A few steps of any optimizer, with what they were made from."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

RATE, DECAY = 1e-2, 0.1
SHAPES = {"dense": {"kernel": (6, 5), "bias": (5,)}, "head": {"kernel": (5, 3)}}


def arrays(seed, dtype="float32", scale=1.0):
    random = np.random.default_rng(seed)

    def leaf(shape):
        return jnp.asarray(scale * random.normal(size=shape), dtype)

    return jax.tree.map(leaf, SHAPES, is_leaf=lambda x: isinstance(x, tuple))


def kernels(params):
    return jax.tree.map(lambda x: x.ndim > 1, params)


def trained(tx, steps=1, *, dtype="float32", scale=0.1):
    """Return parameters before the last step, its gradients and updates, the state."""
    params = arrays(0, dtype)
    state, update = tx.init(params), jax.jit(tx.update)
    updates = jax.tree.map(jnp.zeros_like, params)
    for i in range(steps):
        params = optax.apply_updates(params, updates)
        grads = jax.tree.map(
            lambda p, g: g.astype(p.dtype), params, arrays(i + 1, scale=scale)
        )
        updates, state = update(grads, state, params)
    return params, grads, updates, state
