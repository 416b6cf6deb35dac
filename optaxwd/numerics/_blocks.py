"""Arrays of float32 in 8 bits, block by block, wherever they are."""

import math

import jax
import jax.numpy as jnp

from optaxwd.numerics._codes import decode, encode
from optaxwd.numerics._shardings import (
    beside,
    fit_sharding,
    sharding_of,
    with_auto_axes,
)

BLOCK = 256


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
    drawn = None if key is None else _in_blocks(draw(key, x.shape))
    codes, scales = encode(_in_blocks(x), drawn)
    shape = scale_shape(x.shape)
    assert shape is not None
    return beside(codes.reshape(x.shape), x), scales.reshape(shape)


def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return the random numbers that :func:`quantize` rounds by."""
    return jax.random.bits(key, shape, jnp.uint16)


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
    rows = _in_blocks(codes)
    return decode(rows, scales.reshape(*rows.shape[:-1], 1)).reshape(codes.shape)


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
