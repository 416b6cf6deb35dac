"""A float32 in two halves, and back."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrow_floats import NARROW, bits, cast, neighbours, numbers

from optaxwd.numerics import join, split

DTYPES = ["bfloat16", "float16"]
SPLIT = {name: jax.jit(lambda x, name=name: split(x, NARROW[name])) for name in DTYPES}
JOIN = jax.jit(join)


@pytest.mark.parametrize("dtype", DTYPES)
def test_by_hand(dtype):
    # Above 1 one step is 2⁻⁷ or 2⁻¹⁰; a rest counts 2⁻¹⁶ of it.
    step = {"bfloat16": 2.0**-7, "float16": 2.0**-10}[dtype]
    x = jnp.array([1.0, 1.0 + step / 4, 1.0 + step * 3 / 4, -1.0 - step / 4])
    high, rest = SPLIT[dtype](x)
    assert high.dtype == NARROW[dtype] and rest.dtype == jnp.int16
    assert high.astype(jnp.float32).tolist() == [1.0, 1.0, 1.0 + step, -1.0]
    quarter = 2**14
    sign_of_last = {"bfloat16": 1, "float16": -1}[dtype]
    assert rest.tolist() == [0, quarter, -quarter, sign_of_last * quarter]


def test_every_bit_of_bfloat16_comes_back():
    x = numbers()
    x = x[~np.isnan(x)]
    assert np.array_equal(bits(JOIN(*SPLIT["bfloat16"](x))), bits(x))


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)  # the first example compiles
def test_any_bits_come_back(number):
    x = np.full(1, number, np.uint32).view(np.float32)
    high, rest = SPLIT["bfloat16"](x)
    if np.isnan(x[0]):
        assert np.isnan(high.astype(jnp.float32))[0]
    else:
        assert bits(JOIN(high, rest))[0] == number


def test_float16_comes_back_where_it_can():
    x = numbers()
    x = x[np.abs(x) < 65520]
    back = np.asarray(JOIN(*SPLIT["float16"](x)))
    large = np.abs(x) >= 2.0**-17
    assert np.array_equal(back[large], x[large])
    # Below, a fixed point with half of 2⁻⁴⁰ to lose.
    assert np.abs(back[~large].astype(np.float64) - x[~large]).max() <= 2.0**-41


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_high_half_is_the_nearest(dtype):
    x = numbers()
    largest = float(ml_dtypes.finfo(NARROW[dtype]).max)
    x = x[np.abs(x) <= largest]
    high = np.asarray(SPLIT[dtype](x)[0]).astype(np.float64)
    down, up = neighbours(x, NARROW[dtype])
    # The fixed point of small float16 cannot tell what is this close to the middle.
    slack = {"bfloat16": 0.0, "float16": 2.0**-41}[dtype]
    assert (np.abs(high - x) <= np.minimum(x - down, up - x) + slack).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_finite_leaves_no_rest(dtype):
    x = np.array([np.inf, -np.inf, np.nan], np.float32)
    high, rest = SPLIT[dtype](x)
    expected = cast(x, NARROW[dtype]).astype(np.float32)
    assert np.array_equal(high.astype(jnp.float32), expected, equal_nan=True)
    assert rest.tolist() == [0, 0, 0]


@pytest.mark.parametrize("rest", [-(2**15), -1, 1, 2**15 - 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_foreign_rest_does_no_harm(dtype, rest):
    """All 2¹⁶ numbers, with a rest that may be of another: half a step at most."""
    high = np.arange(2**16, dtype=np.uint16).view(NARROW[dtype])
    joined = np.asarray(JOIN(high, jnp.full(high.shape, rest, jnp.int16)))
    wide = high.astype(np.float32)
    assert np.array_equal(np.isnan(joined), np.isnan(wide))
    known = np.isfinite(wide) & (np.abs(wide) < ml_dtypes.finfo(NARROW[dtype]).max)
    near = np.nextafter(np.abs(high[known]), NARROW[dtype](np.inf)).astype(np.float64)
    half = (near - np.abs(wide[known])) / 2
    assert (np.abs(joined[known].astype(np.float64) - wide[known]) <= half).all()
