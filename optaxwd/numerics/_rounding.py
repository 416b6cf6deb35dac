"""From float32 to the numbers of a narrower float, to the nearest or at random.

All of it in integers, on the bits of float32: additions of floats flush subnormal
numbers on some devices, and XLA may leave out a cast to a narrower float and back.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_MAGNITUDE = 0x7FFFFFFF
_INFINITY = 0x7F800000
_FRACTION_BITS = 23
_BIAS = 127


class _Neighbours(NamedTuple):
    """A number between its neighbours in a narrower float; magnitudes only.

    Attributes:
      down: bits, as float32, of the neighbour towards zero.
      up: bits of the neighbour away from zero.
      excess: how far the number lies above ``down``, in units of which ``2**shift``
        make one step up.
      shift: number of bits that the narrower float does not have here, up to 31.
      is_odd: whether the last bit of ``down`` is set, which ties to even ask for.
    """

    down: jax.Array
    up: jax.Array
    excess: jax.Array
    shift: jax.Array
    is_odd: jax.Array


def round_nearest(x: jax.Array, dtype: Any) -> jax.Array:
    """Round to the nearest number of a narrower float, ties to even.

    Args:
      x: float32, any shape.
      dtype: a float with at most 22 bits of fraction, such as bfloat16 or float16.

    Returns:
      What ``x.astype(dtype).astype(jnp.float32)`` should be, in float32. NaN stays
      what it was; numbers that overflow become infinite; subnormal numbers of
      ``dtype`` are kept, also where the device flushes those of float32.
    """
    near = _neighbours(x, dtype)
    half = jnp.uint32(1) << (near.shift - 1)
    is_up = (near.excess > half) | ((near.excess == half) & near.is_odd)
    return _assemble(x, jnp.where(is_up, near.up, near.down), dtype)


def round_stochastic(key: jax.Array, x: jax.Array, dtype: Any) -> jax.Array:
    """Round to one of the two neighbours, so that the mean is the number itself.

    The neighbour away from zero is taken with the probability (|x| − down)/(up − down),
    to 32 bits exact. Beyond the largest number of ``dtype`` there is nothing to choose
    from, and ``x`` is rounded to the nearest.

    Args:
      key: a PRNG key, new for every call.
      x: float32, any shape.
      dtype: a float with at most 22 bits of fraction, such as bfloat16 or float16.

    Returns:
      A number of ``dtype`` for each of ``x``, in float32; NaN and infinities stay what
      they were, and no finite number becomes infinite that rounds to a finite one.
    """
    near = _neighbours(x, dtype)
    if _drops_evenly(dtype):
        # Where the shift is always 16, 16 random bits are exact.
        drawn = jax.random.bits(key, x.shape, jnp.uint16).astype(jnp.uint32)
    else:
        drawn = jax.random.bits(key, x.shape, jnp.uint32) >> (32 - near.shift)
    chosen = _assemble(x, jnp.where(drawn < near.excess, near.up, near.down), dtype)
    is_beyond = _magnitude(x) > _bits_of(_largest(dtype))
    return jnp.where(is_beyond, round_nearest(x, dtype), chosen)


def spacing(x: jax.Array, dtype: Any) -> jax.Array:
    """Return the step from ``|x|`` to the next larger number of ``dtype``, in float32.

    Args:
      x: float32, any shape; finite.
      dtype: a float with at most 22 bits of fraction.
    """
    info = jnp.finfo(dtype)
    exponent = jnp.maximum(_magnitude(x) >> _FRACTION_BITS, info.minexp + _BIAS)
    # A power of two; that of the smallest bfloat16 is subnormal in float32.
    power = jax.lax.bitcast_convert_type(exponent << _FRACTION_BITS, jnp.float32)
    return power * 2.0**-info.nmant


def _neighbours(x: jax.Array, dtype: Any) -> _Neighbours:
    info = jnp.finfo(dtype)
    magnitude = _magnitude(x)
    missing = jnp.int32(_FRACTION_BITS - info.nmant)
    if not _drops_evenly(dtype):
        exponent = jnp.maximum(magnitude >> _FRACTION_BITS, 1).astype(jnp.int32)
        missing += jnp.maximum(info.minexp + _BIAS - exponent, 0)
    shift = jnp.minimum(missing, 31).astype(jnp.uint32)
    # Below the smallest number, zero is the one neighbour and that number the other.
    is_below = missing > _FRACTION_BITS
    unit = jnp.uint32(1) << jnp.minimum(shift, _FRACTION_BITS)
    kept = magnitude & ~(unit - 1)
    fraction = magnitude & ((1 << _FRACTION_BITS) - 1)
    leading = jnp.where(magnitude >> _FRACTION_BITS > 0, 1 << _FRACTION_BITS, 0)
    further = jnp.clip(missing - 31, 0, 31).astype(jnp.uint32)
    significand = (fraction | leading.astype(jnp.uint32)) >> further
    return _Neighbours(
        down=jnp.where(is_below, 0, kept),
        up=jnp.where(is_below, _bits_of(float(info.smallest_subnormal)), kept + unit),
        excess=jnp.where(is_below, significand, magnitude & (unit - 1)),
        shift=shift,
        is_odd=~is_below & _is_odd(kept, shift),
    )


def _is_odd(kept: jax.Array, shift: jax.Array) -> jax.Array:
    """Return whether the last bit that is kept is set; the leading one is implied."""
    bit = (kept >> jnp.minimum(shift, _FRACTION_BITS - 1)) & 1
    return jnp.where(shift == _FRACTION_BITS, True, bit == 1)


def _assemble(x: jax.Array, magnitude: jax.Array, dtype: Any) -> jax.Array:
    """Return ``magnitude`` with the sign of ``x``; what is not finite stays."""
    is_over = magnitude > _bits_of(_largest(dtype))
    magnitude = jnp.where(is_over, _INFINITY, magnitude).astype(jnp.uint32)
    rounded = jax.lax.bitcast_convert_type(
        magnitude | (_bits(x) & ~_MAGNITUDE), x.dtype
    )
    return jnp.where(_magnitude(x) >= _INFINITY, x, rounded)


def _drops_evenly(dtype: Any) -> bool:
    """Return whether ``dtype`` has the exponents of float32, as bfloat16 has."""
    return jnp.finfo(dtype).minexp == jnp.finfo(jnp.float32).minexp


def _largest(dtype: Any) -> float:
    return float(jnp.finfo(dtype).max)


def _bits_of(number: float) -> int:
    return int(np.float32(number).view(np.uint32))


def _bits(x: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(x, jnp.uint32)


def _magnitude(x: jax.Array) -> jax.Array:
    return _bits(x) & _MAGNITUDE
