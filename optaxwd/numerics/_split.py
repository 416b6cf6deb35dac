"""A float32 as a number of 16 bits and the 16 bits that it lacks."""

from typing import Any

import jax
import jax.numpy as jnp

from optaxwd.numerics._rounding import round_nearest, spacing

_MAGNITUDE = 0x7FFF
_INFINITY = 0x7F80


def split(x: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """Return the nearest number of ``dtype`` and the rest, in 16 bits.

    ``join`` gives ``x`` back: all of it for bfloat16; for float16, whose range is
    narrower, from 2⁻¹⁷ to 65504, and below to the nearest multiple of 2⁻⁴⁰. Of two
    numbers that are equally near, to that precision, either may be taken.

    Args:
      x: float32, any shape.
      dtype: bfloat16 or float16.

    Returns:
      The rounded number, of ``dtype``; the rest, int16, 0 where ``x`` is not finite.
    """
    if jnp.dtype(dtype) == jnp.bfloat16:
        return _split_bits(x)
    high = round_nearest(x, dtype)
    step = spacing(high, dtype)
    rest = jnp.where(jnp.isfinite(high), jnp.round((x - high) / step * 2.0**16), 0)
    # An int16 goes down to half of a step and not quite up to it.
    is_half = rest == 2**15
    high = jnp.where(is_half, high + step, high)
    rest = jnp.where(is_half, -(2**15), rest).astype(jnp.int16)
    return high.astype(dtype), rest


def join(high: jax.Array, rest: jax.Array) -> jax.Array:
    """Return the number that :func:`split` took apart, in float32.

    A rest that belongs to another number, because ``high`` was changed, moves it by
    half of its last bit at most.

    Args:
      high: bfloat16 or float16, any shape.
      rest: int16, same shape.
    """
    if high.dtype == jnp.bfloat16:
        return _join_bits(high, rest)
    wide = high.astype(jnp.float32)
    joined = wide + rest.astype(jnp.float32) * (spacing(wide, high.dtype) * 2.0**-16)
    return jnp.where(jnp.isfinite(wide), joined, wide)


def _split_bits(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Split as integers: half of the last bit of 2^k is not the same up and down."""
    bits = jax.lax.bitcast_convert_type(x, jnp.int32)
    magnitude = bits & 0x7FFFFFFF
    high = (magnitude + 0x8000) >> 16
    rest = magnitude - (high << 16)
    signed = (high | ((bits >> 16) & 0x8000)).astype(jnp.uint16)
    rounded = jax.lax.bitcast_convert_type(signed, jnp.bfloat16)
    is_finite = jnp.isfinite(x)
    kept = jnp.where(is_finite, rest, 0).astype(jnp.int16)
    return jnp.where(is_finite, rounded, x.astype(jnp.bfloat16)), kept


def _join_bits(high: jax.Array, rest: jax.Array) -> jax.Array:
    bits = jax.lax.bitcast_convert_type(high, jnp.uint16).astype(jnp.int32)
    magnitude, rest = bits & _MAGNITUDE, rest.astype(jnp.int32)
    # A rest of another number must lead neither below zero nor from infinity to NaN.
    rest = jnp.where(magnitude >= _INFINITY, jnp.minimum(rest, 0), rest)
    joined = jnp.maximum((magnitude << 16) + rest, 0) | ((bits & 0x8000) << 16)
    return jax.lax.bitcast_convert_type(joined, jnp.float32)
