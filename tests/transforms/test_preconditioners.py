"""scale_by_adam, scale_by_nadam and scale_by_learning_rate on their own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_identical

import optaxwd


def test_adam_keeps_the_dtypes_of_its_moments():
    # Under Optax's own transform these moments become float32 at the first update.
    params = jnp.ones(3, jnp.bfloat16)
    tx = optaxwd.scale_by_adam(b1=jnp.float32(0.9), b2=jnp.float32(0.999))
    state = tx.init(params)
    _, new = tx.update(params, state)
    assert [x.dtype for x in jax.tree.leaves(new)] == [
        x.dtype for x in jax.tree.leaves(state)
    ]


@pytest.mark.parametrize("nesterov", [False, True])
def test_adam_is_optax_s(nesterov):
    params = {"w": jnp.array([0.3, -2.0]), "none": None}
    ours = optaxwd.scale_by_adam(0.8, 0.99, 1e-6, 1e-7, nesterov=nesterov)
    theirs = optax.scale_by_adam(0.8, 0.99, 1e-6, 1e-7, nesterov=nesterov)
    one, two = ours.init(params), theirs.init(params)
    assert_identical(one, two)
    for _ in range(3):
        a, one = ours.update(params, one, params)
        b, two = theirs.update(params, two, params)
        assert_identical((a, one), (b, two))


def test_nadam_by_hand():
    # μ₁ = 0.5·(1 − 0.5·0.96) = 0.26, μ₂ = 0.5·(1 − 0.5·0.9216) = 0.2696; g = 2, √v̂ = 2.
    tx = optaxwd.scale_by_nadam(0.5, 0.9, 0.0, momentum_decay=1.0)
    direction, state = tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))
    by_hand = (2.0 + 0.2696 * 1.0 / (1 - 0.26 * 0.2696)) / 2.0
    np.testing.assert_allclose(direction, [by_hand], rtol=1e-6)
    np.testing.assert_allclose(state.momentum_product, 0.26, rtol=1e-6)


def test_nadam_computes_bfloat16_in_float32():
    # With b2 = 0.999 rounded to 1 in bfloat16, v would never forget.
    params = jnp.ones(1, jnp.bfloat16)
    tx = optaxwd.scale_by_nadam(b2=0.99)
    state = tx.init(params)
    for scale in [100.0] + [1e-3] * 3:
        direction, state = tx.update(params * scale, state)
    assert direction.dtype == state.mu.dtype == state.nu.dtype == jnp.bfloat16
    assert float(state.nu[0]) < 100.0


def test_nadam_takes_complex_and_python_gradients():
    tx = optaxwd.scale_by_nadam(0.5, 0.9, 0.0, momentum_decay=1.0)
    z = jnp.array([3 + 4j])
    direction, _ = tx.update(z, tx.init(z))
    np.testing.assert_allclose(direction / z * 5, [1.145 + 0j], rtol=1e-3)
    direction, _ = tx.update(2.0, tx.init(2.0))
    np.testing.assert_allclose(direction, 1.145, rtol=1e-3)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: optaxwd.sgd_l2(0.1, 0.9, weight_decay=x),
        lambda x: optaxwd.sgd_l2(0.1, 0.9, weight_decay=lambda count: x * (count + 1)),
        lambda x: optaxwd.rmsprop_l2(0.1, weight_decay=x),
        lambda x: optaxwd.lionw(0.1, weight_decay=x, coupling="l2"),
        lambda x: optaxwd.muonw(0.1, weight_decay=x, coupling="l2"),
        lambda x: optaxwd.adamw(0.1, weight_decay=x),
        lambda x: optaxwd.adamw(0.1, b1=x),
        lambda x: optaxwd.nadamw(0.1, b1=x, momentum_decay=4e-3),
        lambda x: optaxwd.sgdw(0.1, momentum=x),
        lambda x: optaxwd.lionw(0.1, b2=x),
        lambda x: optaxwd.rmspropw(x, momentum=0.9),
        lambda x: optaxwd.adafactorw(x, momentum=0.9, dtype_momentum=jnp.bfloat16),
    ],
)
def test_arrays_and_schedules_keep_bfloat16_states(build):
    params = {"w": jnp.ones((3, 2), jnp.bfloat16), "b": jnp.ones(2, jnp.bfloat16)}

    @jax.jit
    def train(x):
        tx = build(x)

        def step(carry, _):
            params, state = carry
            updates, state = tx.update(params, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), length=2)[0]

    assert jax.tree.leaves(train(jnp.float32(0.5))[0])[0].dtype == jnp.bfloat16


def test_float32_gradients_of_bfloat16_parameters_keep_the_moments():
    params = jnp.ones(2, jnp.bfloat16)
    tx = optaxwd.adamw(0.1)
    state = tx.init(params)
    _, new = tx.update(jnp.ones(2), state, params)
    assert new[0].mu.dtype == new[0].nu.dtype == jnp.bfloat16


def test_flip_sign_is_optax_s():
    for flip in (True, False):
        ours = optaxwd.scale_by_learning_rate(0.5, flip_sign=flip)
        theirs = optax.scale_by_learning_rate(0.5, flip_sign=flip)
        u = jnp.array([2.0])
        assert_identical(
            ours.update(u, ours.init(u))[0], theirs.update(u, theirs.init(u))[0]
        )


def test_learning_rate_counts_from_zero_for_every_kind():
    for rate in (0.5, jnp.float32(0.5), lambda count: 0.5 + 0 * count):
        tx = optaxwd.scale_by_learning_rate(rate)
        state = tx.init(None)
        for i in range(2):
            assert int(state.learning_rate_count) == i
            updates, state = tx.update({"w": jnp.array([2.0])}, state)
            assert updates["w"].tolist() == [-1.0]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: optaxwd.scale_by_adam(b1=1.0), r"b1 must be in \[0, 1\), got 1.0"),
        (lambda: optaxwd.scale_by_adam(b2=-0.1), "b2 must be finite and >= 0"),
        (lambda: optaxwd.scale_by_adam(jnp.float32(1.0)), "b1 must be in"),
        (lambda: optaxwd.muonw(0.1, beta=1.0), "muonw: beta must be in"),
        (
            lambda: optaxwd.adafactorw(0.1, clipping_threshold=0.0),
            "adafactorw: clipping_threshold must be > 0",
        ),
        (lambda: optaxwd.adafactorw(0.1, momentum=2.0), "adafactorw: momentum must be"),
        (lambda: optaxwd.adafactorw(0.1, decay_rate=-3.0), "decay_rate must be finite"),
        (lambda: optaxwd.scale_by_adam(eps=-1e-8), "eps must be finite and >= 0"),
        (lambda: optaxwd.scale_by_nadam(b2=1), r"b2 must be in \[0, 1\)"),
        (lambda: optaxwd.scale_by_nadam(momentum_decay=-1), "momentum_decay"),
        (lambda: optaxwd.scale_by_learning_rate(-0.1), "learning_rate must be finite"),
        (lambda: optaxwd.scale_by_learning_rate(jnp.ones(2)), "must be a scalar"),
        (lambda: optaxwd.lionw(0.1, b2=1.0), r"lionw: b2 must be in \[0, 1\)"),
        (
            lambda: optaxwd.sgdw(0.1, momentum=1.0),
            r"sgdw: momentum must be in \[0, 1\)",
        ),
        (lambda: optaxwd.sgd_l2(0.1, nesterov=True), "nesterov=True needs a momentum"),
        (lambda: optaxwd.rmspropw(0.1, decay=1.0), "rmspropw: decay must be in"),
    ],
)
def test_bad_numbers(build, message):
    with pytest.raises(ValueError, match=message):
        build()
