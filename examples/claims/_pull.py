"""How hard decay pulls inside Adam: the first moment split into its two parts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import optaxwd

B1, B2, EPS = 0.9, 0.999, 1e-8


class Pull(NamedTuple):
    """Trees like the parameters.

    Attributes:
      pull: the decay's part of the step over ηλθ; 1 would be that of AdamW.
      root: √v̂.
      theta: the weights.
    """

    pull: Any
    root: Any
    theta: Any


def measure(
    loss: Callable[[Any, jax.Array], jax.Array],
    params: Any,
    key: jax.Array,
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float,
) -> Pull:
    """Train with Adam + L2 and split its first moment exactly.

    The moment is linear in the gradient, so that the same recursion of λθ alone is the
    decay's part of it.

    Args:
      loss: of parameters and a key that draws the batch.
      params: where to start.
      key: of the batches.
      steps: number of steps.
      learning_rate: η.
      weight_decay: λ.
    """
    tx = optaxwd.adam_l2(learning_rate, B1, B2, EPS, weight_decay=weight_decay)

    def step(carry, key):
        params, state, part = carry
        grads = jax.grad(loss)(params, key)
        part = jax.tree.map(
            lambda m, theta: B1 * m + (1 - B1) * weight_decay * theta, part, params
        )
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state, part), None

    carry = (params, tx.init(params), jax.tree.map(jnp.zeros_like, params))
    last: Any = jax.lax.scan(step, carry, jax.random.split(key, steps))[0]
    theta, state, part = last
    nu: Any = optax.tree.get(state, "nu")
    root = jax.tree.map(lambda v: jnp.sqrt(v / (1 - B2**steps)), nu)
    pull = jax.tree.map(
        lambda m, r, x: m / (1 - B1**steps) / (r + EPS) / (weight_decay * x),
        part,
        root,
        theta,
    )
    return Pull(pull, root, theta)
