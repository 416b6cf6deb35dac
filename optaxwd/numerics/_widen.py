"""The precision that this library computes in."""

from typing import Any

import jax
import jax.numpy as jnp


def widen(x: Any) -> jax.Array:
    """Return ``x`` in float32, or its complex kin, unless it is wider already.

    In bfloat16, ``b2 = 0.999`` is 1 and the mean of squares would only ever grow.
    """
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def as_float32(x: Any) -> jax.Array:
    """Return ``x`` in float32, also where it is wider."""
    return jnp.asarray(x).astype(jnp.float32)
