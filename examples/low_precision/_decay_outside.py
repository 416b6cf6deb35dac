"""AdamW whose decay stands outside of the compensated sum: how not to do it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd.numerics import round_nearest


class DecayOutsideState(NamedTuple):
    """State of :func:`decay_outside`.

    Attributes:
      count: steps so far.
      adam: state of Adam, in float32.
      rest: what rounding left over, shapes and dtypes of the parameters.
    """

    count: jax.Array
    adam: Any
    rest: Any


def decay_outside(
    learning_rate: Any, weight_decay: float, mask: Any
) -> optax.GradientTransformation:
    """Return AdamW in the layout of AnyPrecisionAdamW and of optimi.

    Like PyTorch's ``param.mul_(1 - learning_rate * weight_decay)``, decay is rounded to
    the parameter's dtype by itself; only Adam's step is in the compensated sum.
    """
    adam = optax.adam(learning_rate)

    def init(params):
        rest = jax.tree.map(jnp.zeros_like, params)
        return DecayOutsideState(
            jnp.zeros([], jnp.int32), adam.init(_widen(params)), rest
        )

    def update(updates, state: Any, params: Any = None):
        eta: Any = (
            learning_rate(state.count) if callable(learning_rate) else learning_rate
        )
        steps, adam_state = adam.update(_widen(updates), state.adam)
        before = _widen(params)
        shares = jax.tree.map(lambda m: eta * (weight_decay * m), mask(params))
        decayed = _round(jax.tree.map(lambda x, r: x * (1 - r), before, shares), params)
        # Kahan's sum: what it leaves over is added to the next step.
        wanted = jax.tree.map(jnp.add, steps, _widen(state.rest))
        after = _round(jax.tree.map(jnp.add, decayed, wanted), params)
        rest = jax.tree.map(
            lambda w, a, d, kept: (w - (a - d)).astype(kept.dtype),
            wanted,
            after,
            decayed,
            state.rest,
        )
        updates = jax.tree.map(jnp.subtract, after, before)
        return updates, DecayOutsideState(state.count + 1, adam_state, rest)

    return optax.GradientTransformation(init, update)


def _widen(tree):
    return optax.tree.cast(tree, jnp.float32)


def _round(tree, params):
    return jax.tree.map(lambda x, p: round_nearest(x, p.dtype), tree, params)
