"""Compressed states that round at random: whose noise, and what it is good for."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_identical

from optaxwd.numerics import dequantize
from optaxwd.precision import compress_state

NAMES = ["int8_stochastic", "bfloat16"]

# Neighbours of 0.7 in a block whose largest number is 1.
NEIGHBOURS = {"int8_stochastic": (10 / 15, 11 / 15), "bfloat16": (0.69921875, 0.703125)}


@pytest.mark.parametrize("dtype", NAMES)
def test_noise_follows_from_the_key_the_step_and_the_path(dtype):
    params = {"a": jnp.zeros((64, 64)), "b": jnp.zeros((64, 64))}
    grads = jax.tree.map(lambda p: (p + 0.7).at[:, 0].set(1.0), params)

    def mean(key, steps=1):
        tx = compress_state(optax.trace(0.0), dtype, key=key)
        state = tx.init(params)
        for _ in range(steps):
            _, state = jax.jit(tx.update)(grads, state)
        trace = state.inner_state.trace
        if dtype == "int8_stochastic":
            trace = jax.tree.map(dequantize, trace, state.scales[0])
        return jax.tree.map(lambda x: np.asarray(x, np.float32), trace)

    first = mean(0)
    assert_identical(mean(None), first)
    assert_identical(mean(jax.random.key(0)), first)
    others = [first["b"], mean(1)["a"], mean(0, steps=2)["a"]]
    assert not any(np.array_equal(first["a"], other) for other in others)
    below, above = NEIGHBOURS[dtype]
    drawn, rounded = first["a"][:, 1:], np.float32([below, above])
    assert np.abs(np.unique(drawn) - rounded).max() <= 2 * 2.0**-24
    fraction = (np.float32(0.7) - below) / (above - below)
    deviation = np.sqrt(fraction * (1 - fraction) / drawn.size)
    share = (drawn > 0.7).mean()
    assert abs(share - fraction) <= 5 * deviation


# From one code to the next, relative to the number.
CODE = {"int8_stochastic": 1 / 8, "bfloat16": 2.0**-7}


def second_moments(dtype, b2=0.999):
    """Return what is stored and what should be, in pairs, after gradients changed.

    At step 500, every other entry gets ten times smaller gradients, and stays in a
    block with those whose gradients do not change. 3000 steps follow.
    """
    scale = jnp.where(jnp.arange(4096) % 2 == 0, 0.1, 1.0)
    tx = compress_state(optax.scale_by_rms(b2), dtype)

    def step(state, count):
        grads = jnp.where(count < 500, 1.0, scale)
        return tx.update(grads, state)[1], None

    counts = jnp.arange(3500)
    state, _ = jax.jit(lambda: jax.lax.scan(step, tx.init(jnp.zeros(4096)), counts))()
    nu = state.inner_state.nu
    nu = dequantize(nu, state.scales[0]) if nu.dtype == jnp.uint8 else nu
    decay = b2**3000
    expected = decay * (1 - b2**500) + (1 - decay) * np.array([0.01, 1.0])
    return np.asarray(nu, np.float64).reshape(-1, 2), expected


@pytest.mark.parametrize("dtype", NAMES)
def test_second_moments_follow_gradients_that_change(dtype):
    found, expected = second_moments(dtype)
    # Each rounding draws one of two numbers that are at most a code apart, and counts
    # as long as ν remembers: p(1 − p)·code² per step, with p·code ≤ 0.001·ν, sums to
    # 0.001·ν·code / (1 − 0.999²).
    variance = 0.001 * expected * CODE[dtype] * expected / (1 - 0.999**2)
    error = np.abs(found.mean(axis=0) - expected)
    assert (error <= 5 * np.sqrt(variance / len(found)) + 1e-4 * expected).all()


def test_to_the_nearest_they_do_not():
    """A step of a thousandth is less than half a code; one of a half is more."""
    found, expected = second_moments("int8")
    assert (found[:, 0] > 10 * expected[0]).all()
    found, expected = second_moments("int8", b2=0.5)
    assert (np.abs(found / expected - 1) < 0.25).all()
