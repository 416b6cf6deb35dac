"""Codes of 8 bits in blocks, against a table of all codes in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import precision_for
from hypothesis import given, settings
from hypothesis import strategies as st
from narrow_floats import bits

from optaxwd.numerics import dequantize, quantize, scale_shape

SMALLEST_NORMAL = 2.0**-126
# Bits of exponent, with signs and without.
EXPONENT_BITS = {True: 4, False: 5}


def table(is_signed):
    """Return the numbers of all codes without their sign."""
    numbers = [fraction / 8 for fraction in range(8)]
    for exponent in range(1, 2 ** EXPONENT_BITS[is_signed]):
        numbers += [(1 + fraction / 8) * 2.0 ** (exponent - 1) for fraction in range(8)]
    return np.array(numbers)


def block(*numbers):
    return jnp.zeros(256, jnp.float32).at[: len(numbers)].set(jnp.array(numbers))


def examples(is_signed, seed=0):
    """Return [n, 256] blocks, two for each exponent of float32 and one of zeros.

    Entries are spread over all codes and below, a third of them next to ties.
    """
    random = np.random.default_rng(seed)
    exponents = np.repeat(np.arange(-126, 128), 2)[:, None]
    peak = np.ldexp(random.uniform(1, 1.99, exponents.shape), exponents)
    reach = 36 if not is_signed else 20
    x = peak * 2.0 ** -random.uniform(0, reach, (len(peak), 256))
    codes = table(is_signed)
    ties = (codes[1:] + codes[:-1]) / 2 / codes[-1]
    x[:, :80] = peak * random.choice(ties, (len(peak), 80))
    x[:, 80:85] = 0.0
    x[:, 85] = peak[:, 0]
    if is_signed:
        x *= random.choice([-1.0, 1.0], x.shape)
        x[:, 86] = -np.abs(x[:, 86])
    x[np.abs(x) < SMALLEST_NORMAL] = 0.0
    return np.concatenate([x, np.zeros((1, 256))]).astype(np.float32)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (0.0, 0),
        (0.05, 0),
        (0.0625, 1),  # a tie, away from zero
        (0.125, 1),
        (1.0, 8),
        (1.0625, 9),  # a tie between 1 and 1.125
        (3.0, 20),
        (3.2, 21),
        (1.875 * 2.0**14, 127),
        (-1.0, 136),
        (-3.0, 148),
    ],
)
def test_codes_with_signs_by_hand(number, code):
    # With this largest number, codes stand for themselves.
    codes, scales = quantize(block(number, -1.875 * 2.0**14))
    assert codes[:2].tolist() == [code, 255]
    assert np.asarray(scales).tolist() == [-1.875 * 2.0**14]


@pytest.mark.parametrize(
    ("number", "code"), [(0.0, 0), (1e-20, 1), (0.125, 1), (1.0, 8), (2.0**29, 240)]
)
def test_codes_without_signs_by_hand(number, code):
    codes, scales = quantize(block(number, 1.875 * 2.0**30))
    assert codes[:2].tolist() == [code, 255]
    assert scales.tolist() == [1.875 * 2.0**30]


@pytest.mark.parametrize(
    ("shape", "scales"),
    [
        ((256,), (1,)),
        ((768, 3072), (768, 12)),
        ((768, 12, 64), (768, 3, 1)),
        ((16, 16), (1, 1)),
        ((12, 3, 512, 1), (12, 3, 2, 1)),
        ((512, 100), (200, 1)),
        ((0, 256), (0, 1)),
        ((), None),
        ((255,), None),
        ((100, 100), None),
        ((0,), None),
    ],
)
def test_shapes_of_scales(shape, scales):
    assert scale_shape(shape) == scales
    if scales is not None:
        codes, found = quantize(jnp.ones(shape))
        assert (codes.shape, found.shape) == (shape, scales)
        assert (codes.dtype, found.dtype) == (jnp.uint8, jnp.float32)


@pytest.mark.parametrize("is_signed", [True, False])
def test_codes_are_the_nearest_of_all(is_signed):
    x = examples(is_signed)
    codes, scales = map(np.asarray, quantize(jnp.asarray(x)))
    peak = np.abs(x).max(axis=1, keepdims=True).astype(np.float64)
    assert np.array_equal(np.abs(scales), peak)
    has_signs = np.signbit(x).any(axis=1)
    assert np.array_equal(np.signbit(scales)[:, 0], has_signs)
    assert has_signs[:-1].all() == is_signed

    numbers = table(is_signed)
    y = np.abs(x.astype(np.float64)) / np.where(peak == 0, 1, peak) * numbers[-1]
    magnitude = codes & 0x7F if is_signed else codes
    error = np.abs(numbers[magnitude] - y)
    # Without signs, what is positive has a code above zero.
    allowed = numbers if is_signed else numbers[1:]
    smallest = np.abs(y[..., None] - allowed).min(axis=-1)
    smallest = np.where(y == 0, 0.0, smallest)
    # A reciprocal and two products are rounded to float32, by 2⁻²⁴ each. A number as
    # near as that to a tie may go either way, which costs twice as much.
    assert (error <= smallest + 2 * 3 * 2.0**-24 * y).all()
    if is_signed:
        assert np.array_equal((codes >> 7)[:-1], np.signbit(x)[:-1])


@pytest.mark.parametrize("is_signed", [True, False])
def test_numbers_of_codes(is_signed):
    numbers = table(is_signed)
    for peak in (2.0**-90, 1.0, 0.3, 3e38):
        codes = np.arange(256, dtype=np.uint8)
        scale = jnp.float32(-peak if is_signed else peak)
        decoded = np.asarray(dequantize(jnp.asarray(codes), scale[None]), np.float64)
        sign = np.where(codes >= 128, -1.0, 1.0) if is_signed else 1.0
        magnitude = codes & 0x7F if is_signed else codes
        expected = sign * numbers[magnitude] / numbers[-1] * float(np.float32(peak))
        # 1/top, its product with the code and that with the scale are rounded.
        assert (np.abs(decoded - expected) <= 3 * 2.0**-24 * np.abs(expected)).all()
        assert np.array_equal(np.signbit(decoded), np.broadcast_to(sign < 0, (256,)))
        assert np.abs(decoded).max() == np.float32(peak)


@pytest.mark.parametrize("is_signed", [True, False])
def test_quantizing_again_changes_nothing(is_signed):
    x = jnp.asarray(examples(is_signed))
    codes, scales = quantize(x)
    decoded = dequantize(codes, scales)
    peak = jnp.abs(x).argmax(axis=1)[:, None]
    assert np.array_equal(
        bits(jnp.take_along_axis(decoded, peak, 1)),
        bits(jnp.take_along_axis(x, peak, 1)),
    )
    again, same_scales = quantize(decoded)
    assert np.array_equal(bits(same_scales), bits(scales))
    numbers = table(is_signed)
    magnitude = np.asarray(codes & 0x7F if is_signed else codes)
    wide = numbers[magnitude] / numbers[-1] * np.abs(np.asarray(scales, np.float64))
    # Others may be taken for 0 by the device.
    is_normal = (wide == 0) | (wide > 1.001 * SMALLEST_NORMAL)
    assert is_normal.mean() > 0.8
    assert np.array_equal(np.asarray(again)[is_normal], np.asarray(codes)[is_normal])


@given(
    numbers=st.lists(
        st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False),
        min_size=1,
        max_size=8,
    )
)
@settings(deadline=None)  # the first example compiles
def test_errors_are_within_half_a_step(numbers):
    x = block(*numbers)
    decoded = np.asarray(dequantize(*quantize(x)), np.float64)
    x = np.asarray(x, np.float64)
    peak, is_signed = np.abs(x).max(), np.signbit(x).any()
    # Half of a step: 1/17 of the number at most, or 1/16 where codes are eighths.
    top = table(is_signed)[-1]
    unit = peak / top if is_signed else 2 * peak / top
    bound = np.maximum(np.abs(x) / 17, unit / 16) * (1 + 2.0**-20) + SMALLEST_NORMAL
    assert (np.abs(decoded - x) <= bound).all()
    assert (np.sign(decoded) * np.sign(x) >= 0).all()


@given(
    small=st.floats(2.0**-126, 1.0, width=32),
    large=st.floats(2.0**-90, 2.0**127, width=32),
)
def test_without_signs_nothing_positive_becomes_zero(small, large):
    codes, scales = quantize(block(small, large))
    decoded = np.asarray(dequantize(codes, scales), np.float64)
    # The smallest code is 1/8, the largest 1.875 · 2³⁰.
    floor = max(small, large) / 8 / (1.875 * 2.0**30)
    assert (decoded[:2] >= floor * (1 - 2.0**-22)).all()
    assert (decoded[2:] == 0).all()


def test_zeros_have_neither_codes_nor_scale():
    codes, scales = quantize(jnp.zeros((2, 256)))
    assert not bits(scales).any() and not np.asarray(codes).any()
    assert not bits(dequantize(codes, scales)).any()


def test_a_negative_zero_keeps_its_sign():
    codes, scales = quantize(block(-0.0, 0.0, 0.0).at[255].set(1e-12))
    assert np.signbit(dequantize(codes, scales)[:3]).tolist() == [True, False, False]


def test_blocks_of_subnormal_numbers_become_zero():
    codes, scales = quantize(block(1e-40, 1e-45))
    assert not np.asarray(dequantize(codes, scales)).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_is_not_finite_stays_so(bad, sign):
    x = jnp.stack([block(bad, sign, 1e-30), block(sign)])
    codes, scales = quantize(x)
    decoded = np.asarray(dequantize(codes, scales))
    assert (np.isnan if np.isnan(bad) else np.isinf)(decoded[0]).all()
    assert np.isnan(bad) or decoded[0, 0] == bad
    assert decoded[1, 0] == sign


@pytest.mark.parametrize("shape", [(4, 12, 64), (512, 10)])
def test_blocks_are_next_to_each_other_in_memory(shape, key):
    x = jax.random.normal(key, shape)
    codes, scales = quantize(x)
    flat, flat_scales = quantize(x.reshape(-1))
    assert np.array_equal(codes.reshape(-1), flat)
    assert np.array_equal(bits(scales.reshape(-1)), bits(flat_scales))
    assert np.array_equal(
        bits(dequantize(codes, scales).reshape(-1)), bits(dequantize(flat, flat_scales))
    )


@pytest.mark.parametrize("is_signed", [True, False])
def test_noise_takes_one_of_the_neighbours_with_the_right_mean(is_signed, key):
    numbers = table(is_signed)
    codes = np.random.default_rng(0).uniform(0.5, len(numbers) - 1, 256)
    codes[0] = len(numbers) - 1
    x = np.interp(codes, np.arange(len(numbers)), numbers).astype(np.float32)
    x[1] *= -1 if is_signed else 1
    draws = 2000
    drawn, _ = jax.vmap(quantize, (None, 0))(
        jnp.asarray(x), jax.random.split(key, draws)
    )
    drawn = np.asarray(drawn & 0x7F if is_signed else drawn, int)
    down = np.searchsorted(numbers, np.abs(x), side="right") - 1
    assert ((drawn == down) | (drawn == down + 1)).all()
    assert (drawn[:, 0] == len(numbers) - 1).all()
    up = np.minimum(down + 1, len(numbers) - 1)
    step = np.maximum(numbers[up] - numbers[down], 1e-30)
    chance = (np.abs(x, dtype=np.float64) - numbers[down]) / step
    deviation = np.sqrt(chance * (1 - chance) / draws)
    # Sixteen random bits, and a quotient with an error of 3·2⁻²⁴ of 16 codes at most.
    error = np.abs((drawn == down + 1).mean(axis=0) - chance)
    assert (error <= 5 * deviation + 2.0**-16 + 48 * 2.0**-24).all()


@pytest.mark.slow
@pytest.mark.parametrize("is_signed", [True, False])
def test_eager_mapped_and_wide_are_the_same(is_signed):
    x = jnp.asarray(examples(is_signed))
    codes, scales = quantize(x)
    decoded = dequantize(codes, scales)
    with jax.disable_jit():
        eager = quantize(x)
        assert np.array_equal(bits(dequantize(codes, scales)), bits(decoded))
    for other_codes, other_scales in (eager, jax.vmap(quantize)(x)):
        assert np.array_equal(other_codes, codes)
        assert np.array_equal(bits(other_scales), bits(scales))
    with precision_for("float64"):
        wide = quantize(jnp.asarray(np.asarray(x)))
        assert np.array_equal(wide[0], codes) and wide[1].dtype == jnp.float32
        assert dequantize(*wide).dtype == jnp.float32


def test_an_array_without_whole_blocks():
    with pytest.raises(ValueError, match=r"multiple of 256, got shape \(100,\)"):
        quantize(jnp.ones(100))
