"""Float32 in 8 bits: small floats, relative to the largest number of each block.

All of it in integers where it can be: comparisons of floats flush subnormal numbers on
some devices, and a table of codes would have to be searched.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from optaxwd.numerics._shardings import (
    beside,
    fit_sharding,
    sharding_of,
    with_auto_axes,
)

BLOCK = 256

_MAGNITUDE = 0x7FFFFFFF
_INFINITY = 0x7F800000
_SMALLEST_NORMAL = 0x00800000
# A code has 3 bits of fraction: it is the upper bits of a float32, with exponents that
# start at 1 where those of float32 are biased by 127.
_DROPPED = 20
_OFFSET = 126 << 3
# The largest numbers of 4 and of 5 bits of exponent.
_SIGNED_TOP = 1.875 * 2.0**14
_UNSIGNED_TOP = 1.875 * 2.0**30


def scale_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of the scales for an array of ``shape``, or ``None``.

    Blocks are of 256 entries that are next to each other in row-major order. The scales
    have as many axes as the array: as many of the last ones as it takes are merged into
    one of a multiple of 256, and the others stay, so that what is sharded along those
    stays where it is. ``(768, 12, 64)`` has scales ``(768, 3, 1)``. ``None`` says that
    the size is no multiple of 256, and there are no such blocks.
    """
    axis = _first_merged(shape)
    if axis is None:
        return None
    blocks = math.prod(shape[axis:]) // BLOCK
    return (*shape[:axis], blocks, *(1 for _ in shape[axis + 1 :]))


def quantize(x: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Round to 8-bit codes, which are relative to each block's largest.

    The numbers are floats with 3 bits of fraction, times what makes the largest code
    the largest magnitude of the block. A block with a sign bit set anywhere has 4 bits
    of exponent and one of sign, so numbers down to 2⁻¹⁸ of its largest; all others,
    such as second moments, 5 bits of exponent, and numbers down to 2⁻³⁴.

    Args:
      x: float32, with a shape that has a :func:`scale_shape`.
      key: a PRNG key, to take the code above or the one below with such probabilities,
        exact to 2⁻¹⁶, that the mean is the number. ``None``: the nearest.

    Returns:
      Codes, uint8, with the shape of ``x``, and scales, float32, one per block: its
      largest magnitude, with the sign bit set where the codes have signs.

      Of two codes equally near the one away from zero is taken. Zero stays zero. In a
      block without signs, a positive number gets a code above zero: a root of it is
      divided by. A block in which nothing is a normal float32 becomes zero. One that
      holds NaN or infinity becomes that as a whole.
    """
    shape = scale_shape(x.shape)
    if shape is None:
        raise ValueError(
            f"quantize: the size must be a multiple of {BLOCK}, got shape {x.shape}. "
            "Keep such an array as it is."
        )
    codes = sharding_of(x)
    return with_auto_axes(_quantize, (codes, fit_sharding(codes, shape)))(x, key)


# Compiled, because a state outside of a compiled step would hold all that is between.
@jax.jit
def _quantize(x: jax.Array, key: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    bits = jax.lax.bitcast_convert_type(_in_blocks(x), jnp.uint32)
    magnitude = bits & _MAGNITUDE
    # As integers, magnitudes are ordered as the floats are, infinity and NaN above.
    largest = jnp.max(magnitude, axis=-1, keepdims=True)
    largest = jnp.where(largest < _SMALLEST_NORMAL, 0, largest).astype(jnp.uint32)
    signs = jnp.max(bits >> 31, axis=-1, keepdims=True)
    is_signed, is_zero = signs != 0, largest == 0

    # A quotient may be computed by a reciprocal, which must not be subnormal.
    peak = jnp.where(is_zero, jnp.float32(1.0), _float(largest))
    factor = jnp.where(peak > 1.0, jnp.float32(2.0**-64), jnp.float32(2.0**64))
    ratio = (_float(magnitude) * factor) / (peak * factor)
    top = jnp.where(is_signed, jnp.float32(_SIGNED_TOP), jnp.float32(_UNSIGNED_TOP))
    codes = _round(ratio * top, key)
    is_floored = ~is_signed & (magnitude != 0)
    codes = jnp.where(is_floored, jnp.maximum(codes, 1), codes)
    codes = jnp.where(is_zero, 0, codes)
    last = jnp.where(is_signed, jnp.uint32(0x7F), jnp.uint32(0xFF))
    codes = jnp.where(largest >= _INFINITY, last, codes)
    codes |= jnp.where(is_signed, bits >> 31 << 7, 0)

    shape = scale_shape(x.shape)
    assert shape is not None
    scales = _float(largest | signs << 31).reshape(shape)
    codes = codes.astype(jnp.uint8).reshape(x.shape)
    return beside(codes, x), scales


def dequantize(codes: jax.Array, scales: jax.Array) -> jax.Array:
    """Return the numbers that :func:`quantize` rounded to, in float32.

    The largest of each block is what it was, bit for bit, and quantizing again gives
    the same codes and scales; both as far as numbers are normal in float32, because
    devices may take others for 0.

    Args:
      codes: uint8, any shape that has a :func:`scale_shape`.
      scales: float32, of that shape.
    """
    return with_auto_axes(_dequantize, sharding_of(codes))(codes, scales)


@jax.jit
def _dequantize(codes: jax.Array, scales: jax.Array) -> jax.Array:
    code = _in_blocks(codes).astype(jnp.uint32)
    scale = jax.lax.bitcast_convert_type(scales, jnp.uint32)
    scale = scale.reshape(*code.shape[:-1], 1)
    is_signed = scale >> 31 != 0
    sign = jnp.where(is_signed, code >> 7 << 31, 0).astype(jnp.uint32)
    code = jnp.where(is_signed, code & 0x7F, code)

    # Rounded so, 1/1.875 times 1.875 is 1 in float32.
    over_top = jnp.where(
        is_signed, jnp.float32(1 / _SIGNED_TOP), jnp.float32(1 / _UNSIGNED_TOP)
    )
    # First the ratio: the largest over the top code might be subnormal.
    magnitude = _value(code) * over_top * _float(scale & _MAGNITUDE)
    bits = jax.lax.bitcast_convert_type(magnitude, jnp.uint32) | sign
    return _float(bits).reshape(codes.shape)


def _round(y: jax.Array, key: jax.Array | None) -> jax.Array:
    """Return a code next to a number from 0 to the top one, as uint32."""
    bits = jax.lax.bitcast_convert_type(y, jnp.uint32)
    added: Any = 1 << (_DROPPED - 1)
    if key is not None:
        drawn = jax.random.bits(key, y.shape, jnp.uint16)
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


def _in_blocks(x: jax.Array) -> jax.Array:
    """Return ``x`` with the axes that blocks run over as two, blocks and entries."""
    shape, axis = x.shape, _first_merged(x.shape)
    assert axis is not None
    return x.reshape(*shape[:axis], math.prod(shape[axis:]) // BLOCK, BLOCK)


def _first_merged(shape: tuple[int, ...]) -> int | None:
    """Return the last axis from which on the axes make up whole blocks."""
    for axis in reversed(range(len(shape))):
        size = math.prod(shape[axis:])
        if size and size % BLOCK == 0:
            return axis
    return None
