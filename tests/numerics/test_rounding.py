"""Rounding to narrower floats, against ml_dtypes and float64."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrow_floats import NARROW, bits, cast, neighbours, numbers

from optaxwd.numerics import round_nearest, round_stochastic, spacing

EVERY_BIT = st.integers(0, 2**32 - 1).map(
    lambda bits: float(np.uint32(bits).view(np.float32))
)


@pytest.mark.parametrize(
    ("number", "dtype", "expected"),
    [
        (0.999, "bfloat16", 1.0),
        (1.0 - 2.0**-9, "bfloat16", 1.0),  # a tie: 1 is even, 1 − 2⁻⁸ is odd
        (1.0 - 2.0**-9 - 2.0**-20, "bfloat16", 0.99609375),
        (65519.0, "float16", 65504.0),
        (65520.0, "float16", np.inf),
        (2.0**-25, "float16", 0.0),  # a tie between 0 and the smallest number
        (1.5 * 2.0**-25, "float16", 2.0**-24),
    ],
)
def test_nearest_by_hand(number, dtype, expected):
    x = jnp.float32(number)
    assert float(round_nearest(x, NARROW[dtype])) == expected
    assert float(round_nearest(-x, NARROW[dtype])) == -expected


@pytest.mark.parametrize("dtype", NARROW)
def test_nearest_is_the_cast(dtype):
    x = numbers()
    rounded = jax.jit(lambda x: round_nearest(x, NARROW[dtype]))(x)
    expected = cast(x, NARROW[dtype]).astype(np.float32)
    is_nan = np.isnan(x)
    assert np.isnan(np.asarray(rounded)[is_nan]).all()
    assert (bits(rounded) == bits(expected))[~is_nan].all()


@pytest.mark.parametrize("dtype", NARROW)
def test_stochastic_takes_one_of_the_neighbours(dtype, key):
    x = numbers()
    rounded = np.asarray(
        jax.jit(lambda key, x: round_stochastic(key, x, NARROW[dtype]))(key, x)
    )
    largest = float(ml_dtypes.finfo(NARROW[dtype]).max)
    inside = np.abs(x) <= largest
    down, up = neighbours(x[inside], NARROW[dtype])
    assert ((rounded[inside] == down) | (rounded[inside] == up)).all()
    assert (np.signbit(rounded) == np.signbit(x))[~np.isnan(x)].all()
    # What is beyond has one neighbour only.
    nearest = cast(x[~inside], NARROW[dtype]).astype(np.float32)
    assert np.array_equal(rounded[~inside], nearest, equal_nan=True)


@pytest.mark.parametrize("dtype", NARROW)
def test_stochastic_leaves_what_fits(dtype, key):
    x = cast(numbers(10_000), NARROW[dtype]).astype(np.float32)
    rounded = round_stochastic(key, jnp.asarray(x), NARROW[dtype])
    assert np.array_equal(bits(rounded)[~np.isnan(x)], bits(x)[~np.isnan(x)])


DRAWS = 200_000


@pytest.mark.parametrize(
    ("number", "dtype"),
    [
        (0.999, "bfloat16"),  # up with probability 0.744003
        (-1.0001, "bfloat16"),
        (3e38, "bfloat16"),
        (1.3e-38, "bfloat16"),
        (1.3e-39, "bfloat16"),  # subnormal
        (0.999, "float16"),
        (3.001e-6, "float16"),  # subnormal
        (1.3 * 2.0**-26, "float16"),  # between 0 and the smallest number
        (1.7 * 2.0**-36, "float16"),
        (65503.0, "float16"),
    ],
)
def test_stochastic_is_unbiased(number, dtype, key):
    x = np.float32(number)
    down, up = neighbours(x, NARROW[dtype])
    probability = (np.float64(x) - down) / (up - down)
    rounded = round_stochastic(key, jnp.full(DRAWS, x), NARROW[dtype])
    share = float(np.mean(np.asarray(rounded, np.float64) == up))
    deviation = np.sqrt(probability * (1 - probability) / DRAWS)
    assert abs(share - probability) < 5 * deviation


def test_the_probability_of_a_small_rest_is_not_zero(key):
    """One part in 2¹⁶ of a step is taken once in 2¹⁶ draws, as it should be."""
    x = jnp.full(2**22, np.float32(1 + 2.0**-23))
    ups = int(jnp.sum(round_stochastic(key, x, jnp.bfloat16) > 1))
    assert abs(ups - 64) < 5 * 8


@pytest.mark.parametrize("dtype", NARROW)
def test_zero_and_what_is_far_below_the_smallest_number_stay_zero(dtype, key):
    x = jnp.tile(jnp.array([0.0, -0.0, 1e-38, -(2.0**-100)]), DRAWS)
    if dtype != "bfloat16":
        assert not np.asarray(round_stochastic(key, x, NARROW[dtype])).any()


@given(EVERY_BIT)
@settings(deadline=None)  # the first example compiles
def test_nearest_is_no_further_than_either_neighbour(number):
    x = np.float32(number)
    rounded = float(round_nearest(jnp.asarray(x), jnp.bfloat16))
    if np.isnan(x):
        assert np.isnan(rounded)
        return
    down, up = neighbours(x, ml_dtypes.bfloat16)
    if np.isfinite([down, up]).all():
        assert abs(rounded - float(x)) == min(float(x) - down, up - float(x))


@pytest.mark.parametrize("dtype", NARROW)
def test_spacing_is_the_distance_to_the_next(dtype):
    x = cast(numbers(10_000), NARROW[dtype])
    x = x[~np.isnan(x)]
    info = ml_dtypes.finfo(NARROW[dtype])
    # Float32 flushes the spacing of the smallest bfloat16.
    large = np.abs(x.astype(np.float64)) > 2.0**-118
    inside = np.isfinite(x.astype(np.float32)) & (np.abs(x) < info.max) & large
    x = np.abs(x[inside])
    expected = np.nextafter(x, info.dtype.type(np.inf)).astype(np.float64) - x.astype(
        np.float64
    )
    found = spacing(jnp.asarray(x.astype(np.float32)), NARROW[dtype])
    assert np.array_equal(np.asarray(found, np.float64), expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_nothing_is_left_to_a_cast_and_back(dtype):
    """XLA may leave out a pair of casts; what is rounded here stays rounded."""
    text = (
        jax.jit(lambda x: x - round_nearest(x, NARROW[dtype]))
        .lower(jax.ShapeDtypeStruct((8,), jnp.float32))
        .as_text()
    )
    assert "bf16" not in text and "f16" not in text
