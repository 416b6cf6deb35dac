"""Gradients, parameters and rates at the ends of what floats can hold."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fault_zoo import EVERY, LAMBDA, adamw, built, floats, gradients
from helpers import by_stage

import optaxwd

# Where a square that overflows is multiplied by the inverse of its mean.
OVERFLOWS = {"amos", "scale_by_amos"}
# A second moment of infinity: every step after is 0, and decay goes on.
STOPS = [
    "adam_l2",
    "adamw",
    "adamw, int8",
    "decouple",
    "nadamw",
    "rmspropw",
    "with_weight_decay",
]


def all_gradients(value):
    return {
        key: jnp.full_like(g, value) if g.dtype != jax.dtypes.float0 else g
        for key, g in gradients().items()
        if g is not None
    } | {"none": None}


@pytest.mark.parametrize("name", EVERY)
def test_gradients_whose_squares_overflow(name):
    _, update, state, params = built(name)
    updates, state = update(all_gradients(1e30), state, params)
    assert any(np.isnan(x).any() for x in floats(updates)) == (name in OVERFLOWS)
    assert any(np.isnan(x).any() for x in floats(state)) == (name in OVERFLOWS)


@pytest.mark.parametrize("name", by_stage(STOPS, first="adamw"))
def test_an_infinite_second_moment_leaves_nothing_but_decay(name):
    _, update, state, params = built(name)
    _, state = update(all_gradients(1e30), state, params)
    for _ in range(2):
        updates, state = update(gradients(), state, params)
    rate = 0.0 if name == "adam_l2" else 0.1 * LAMBDA
    np.testing.assert_allclose(updates["w"], -rate * params["w"], rtol=1e-6)


def test_clipping_turns_an_overflow_of_the_norm_into_a_step_of_zero():
    _, update, state, params = built("adamw, clipped")
    _, state = update(all_gradients(3e38), state, params)
    assert all(np.isfinite(x).all() for x in floats(state))
    _, update, state, params = built("clip_by_global_norm")
    updates, _ = update(all_gradients(3e38), state, params)
    assert not any(x.any() for x in floats(updates))


@pytest.mark.parametrize("precision", [None, "compensated"])
def test_float16_overflows_where_moments_have_16_bits(precision):
    params, grads = jnp.ones(2, jnp.float16), jnp.full(2, 6e4, jnp.float16)
    tx = adamw(precision=precision)
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(grads, state, params)
    if precision is None:
        assert np.isinf(optax.tree.get(state, "nu")).all()
        np.testing.assert_allclose(updates, -0.1 * LAMBDA, rtol=2.0**-10)
    else:
        assert np.isfinite(optax.tree.get(state, "nu")).all()
        np.testing.assert_allclose(updates, -0.1 - 0.1 * LAMBDA, atol=2.0**-11)


def test_the_norm_of_float16_is_summed_in_float32():
    tx = optaxwd.clip_by_global_norm(1.0)
    grads = jnp.full(4, 6e4, jnp.float16)
    updates, _ = tx.update(grads, tx.init(grads))
    np.testing.assert_allclose(updates, 0.5, rtol=2.0**-10)


@pytest.mark.parametrize("name", EVERY)
def test_gradients_below_the_smallest_number_are_zeros(name):
    _, update, state, params = built(name)
    for value in (1e-30, 1e-40):
        updates, after = update(all_gradients(value), state, params)
        assert all(np.isfinite(x).all() for x in floats(updates))
        assert not any(np.isnan(x).any() for x in floats(after))


@pytest.mark.parametrize("form", ["additive", "multiplicative", "proximal"])
@pytest.mark.parametrize("run", [lambda f: f, jax.jit], ids=["eager", "compiled"])
def test_decay_below_the_smallest_number_is_none_and_never_growth(form, run):
    tx = optaxwd.add_decayed_weights(1e-3, form=form, after_learning_rate=True)
    params = jnp.array([1e-36, -1e-36, 2e-38, 1e-40, 0.0])
    updates, _ = run(tx.update)(jnp.zeros(5), tx.init(params), params)
    new = np.asarray(params + updates, np.float64)
    old = np.asarray(params, np.float64)
    assert (np.abs(new) <= np.abs(old)).all()
    assert (new * old >= 0).all()


@pytest.mark.parametrize(
    ("form", "factor"),
    [
        ("additive", lambda r: 1 - r),
        ("multiplicative", lambda r: 1 - r),
        ("proximal", lambda r: 1 / (1 + r)),
    ],
)
@pytest.mark.parametrize("rate", [1.0, 1.5, 2.0, 3.0])
def test_rates_above_one_by_form(form, factor, rate):
    """Additive decay crosses zero, from 2 on it grows; proximal decay never does."""
    tx = optaxwd.sgdw(0.1, weight_decay=10 * rate, form=form)
    params = jnp.array([2.0, -4.0])
    updates, _ = tx.update(jnp.zeros(2), tx.init(params), params)
    np.testing.assert_allclose(
        params + updates, factor(rate) * np.array([2.0, -4.0]), rtol=1e-6, atol=1e-6
    )
