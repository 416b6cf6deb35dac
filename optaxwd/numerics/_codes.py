"""Rows of float32 as 8-bit codes: small floats, relative to the largest of their row.

All of it in integers where it can be: comparisons of floats flush subnormal numbers on
some devices, and a table of codes would have to be searched. What is the same for a row
is computed once a row. There are only operations that a kernel can have too.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_MAGNITUDE = 0x7FFFFFFF
_SIGN = np.uint32(0x80000000)
_INFINITY = 0x7F800000
_SMALLEST_NORMAL = 0x00800000
# A code has 3 bits of fraction: it is the upper bits of a float32, with exponents that
# start at 1 where those of float32 are biased by 127.
_DROPPED = 20
_OFFSET = 126 << 3
# The largest numbers of 4 and of 5 bits of exponent.
_SIGNED_TOP = 1.875 * 2.0**14
_UNSIGNED_TOP = 1.875 * 2.0**30


def encode(x: jax.Array, drawn: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Round rows to codes.

    Args:
      x: float32 ``[..., n]``.
      drawn: random uint16 of the same shape, which are added below the last bit that is
        kept. ``None``: half of that bit, to round to the nearest.

    Returns:
      Codes, uint8 ``[..., n]``, and scales, float32 ``[..., 1]``: the largest magnitude
      of a row, with the sign bit set where the codes of the row have signs.
    """
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    magnitude = bits & _MAGNITUDE
    # As integers, magnitudes are ordered as the floats are, infinity and NaN above.
    largest = jnp.max(magnitude, axis=-1, keepdims=True)
    largest = jnp.where(largest < _SMALLEST_NORMAL, 0, largest).astype(jnp.uint32)
    signs = jnp.max(bits, axis=-1, keepdims=True) >> 31
    is_signed, is_zero = signs != 0, largest == 0

    # Its product with the factor has a reciprocal that is a normal number.
    peak = jnp.where(is_zero, jnp.float32(1.0), _float(largest))
    factor = jnp.where(peak > 1.0, jnp.float32(2.0**-64), jnp.float32(2.0**64))
    top = jnp.where(is_signed, jnp.float32(_SIGNED_TOP), jnp.float32(_UNSIGNED_TOP))
    per_unit = jnp.where(is_zero, jnp.float32(0.0), top / (peak * factor))
    codes = _round(_float(magnitude) * factor * per_unit, drawn)
    # Without signs, what is positive has a code above zero.
    floor = jnp.where(is_signed | is_zero, 0, 1).astype(jnp.uint32)
    codes = jnp.maximum(codes, jnp.minimum(magnitude, floor))
    last = jnp.where(is_signed, 0x7F, 0xFF).astype(jnp.uint32)
    codes = jnp.where(largest >= _INFINITY, last, codes)
    codes |= (bits >> 24) & (signs << 7)
    return codes.astype(jnp.uint8), _float(largest | signs << 31)


def decode(codes: jax.Array, scales: jax.Array) -> jax.Array:
    """Return the numbers of codes, float32.

    Args:
      codes: uint8 ``[..., n]``.
      scales: float32 ``[..., 1]``.
    """
    scale = jax.lax.bitcast_convert_type(scales, jnp.uint32)
    is_signed = scale >> 31 != 0
    code = codes.astype(jnp.uint32)
    sign = (code << 24) & (scale & _SIGN)
    code &= jnp.where(is_signed, 0x7F, 0xFF).astype(jnp.uint32)

    # Rounded so, 1/1.875 times 1.875 is 1 in float32.
    over_top = jnp.where(
        is_signed, jnp.float32(1 / _SIGNED_TOP), jnp.float32(1 / _UNSIGNED_TOP)
    )
    # First the ratio: the largest over the top code might be subnormal.
    magnitude = _value(code) * over_top * _float(scale & _MAGNITUDE)
    return _float(jax.lax.bitcast_convert_type(magnitude, jnp.uint32) | sign)


def _round(y: jax.Array, drawn: jax.Array | None) -> jax.Array:
    """Return a code next to a number from 0 to the top one, as uint32."""
    bits = jax.lax.bitcast_convert_type(y, jnp.uint32)
    added: Any = 1 << (_DROPPED - 1)
    if drawn is not None:
        added = drawn.astype(jnp.uint32) << (_DROPPED - 16)
    rounded = (bits + added >> _DROPPED) - _OFFSET
    # Below 1, numbers are eighths.
    eighths = y * 8.0 + jnp.float32(2.0**-_DROPPED) * added
    return jnp.where(y < 1.0, eighths.astype(jnp.uint32), rounded)


def _value(code: jax.Array) -> jax.Array:
    """Return the number of a code without its sign, in float32."""
    eighths = code.astype(jnp.float32) * 0.125
    return jnp.where(code < 8, eighths, _float(code + _OFFSET << _DROPPED))


def _float(bits: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(bits, jnp.float32)
