"""Decay once per real step: accumulation, skipped steps, loss scales."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.training.dynamic_scale import DynamicScale
from helpers import assert_identical, by_stage

import optaxwd

ROUNDINGS = (None, "stochastic", "compensated", "split", "master")
LEARNING_RATE, WEIGHT_DECAY = 2.0**-4, 2.0**-3


def parameters(dtype="bfloat16", size=256):
    return {"w": jnp.linspace(0.5, 1.5, size).astype(dtype)}


def optimizer(rounding, factory=optaxwd.adamw):
    return factory(LEARNING_RATE, weight_decay=WEIGHT_DECAY, precision=rounding)


def stepper(tx):
    @jax.jit
    def step(grads, state, params):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step


@pytest.mark.parametrize("rounding", by_stage(ROUNDINGS, first="split"))
def test_accumulation_decays_once_per_real_step(rounding):
    """Four equal gradients make one step, the same as that of one."""
    tx, params = optimizer(rounding), parameters()
    many = optax.MultiSteps(tx, every_k_schedule=4)
    one_step, mini_step = stepper(tx), stepper(many)
    grads = jax.tree.map(jnp.ones_like, params)
    accumulated, many_state = params, many.init(params)
    expected, state = params, tx.init(params)
    for _ in range(3):
        for _ in range(3):
            before = accumulated
            accumulated, many_state = mini_step(grads, many_state, accumulated)
            assert_identical(accumulated, before)
        accumulated, many_state = mini_step(grads, many_state, accumulated)
        expected, state = one_step(grads, state, expected)
        assert_identical(accumulated, expected)
    assert_identical(many_state.inner_opt_state, state)


def guard_inside(rounding):
    """Wrap the optimizer, which sees float32 and so gives it back when it skips."""
    guarded = optax.apply_if_finite(optimizer(None), max_consecutive_errors=5)
    return optaxwd.with_precision(guarded, rounding)


def guard_outside(rounding):
    """Wrap all of it, so the noise stops too; gradients must come in float32."""
    return optax.apply_if_finite(optimizer(rounding), max_consecutive_errors=5)


@pytest.mark.parametrize("rounding", by_stage(ROUNDINGS[1:], first="compensated"))
@pytest.mark.parametrize("guard", [guard_inside, guard_outside])
def test_a_step_that_is_skipped_does_not_decay(guard, rounding):
    tx, guarded, params = optimizer(rounding), guard(rounding), parameters()
    dtype = jnp.float32 if guard is guard_outside else jnp.bfloat16
    good = {"w": jnp.ones(256, dtype)}
    bad = {"w": good["w"].at[3].set(jnp.inf)}
    one_step, guarded_step = stepper(tx), stepper(guarded)
    found, guarded_state = params, guarded.init(params)
    expected, state = params, tx.init(params)
    for grads in (good, bad, bad, good):
        before = found
        found, guarded_state = guarded_step(grads, guarded_state, found)
        if grads is bad:
            assert_identical(found, before)
        elif guard is guard_outside or rounding != "stochastic":
            expected, state = one_step(grads, state, expected)
            assert_identical(found, expected)


FACTORIES = (optaxwd.adamw, optaxwd.adam_l2, optaxwd.sgd_l2)


def train_scaled(tx, params, scale, steps=6):
    """Train with a dynamic loss scale; an overflow halves it and skips the step."""
    dynamic = DynamicScale(growth_interval=2, scale=jnp.float32(scale))
    state, skipped, update = tx.init(params), 0, jax.jit(tx.update)

    def loss(params):
        # Gradients of float16 overflow at 65504: at scales from 2¹⁶ on, here.
        return jnp.sum(params["w"].astype(jnp.float32) ** 2)

    for _ in range(steps):
        dynamic, is_finite, _, grads = dynamic.value_and_grad(loss)(params)
        if not is_finite:
            skipped += 1
            continue
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params, skipped


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("rounding", by_stage([None, "split"], first="split"))
def test_decay_does_not_depend_on_the_loss_scale(factory, rounding):
    """Powers of two scale exactly, so after unscaling the runs are the same bits.

    Flax unscales in float32, before the optimizer adds the L2 term to the gradient.
    """
    tx, params = optimizer(rounding, factory), parameters("float16")
    plain, skipped = train_scaled(tx, params, 1.0)
    assert skipped == 0
    for scale in (2.0**6, 2.0**12):
        assert_identical(train_scaled(tx, params, scale)[0], plain)


@pytest.mark.parametrize("rounding", by_stage([None, "split"], first="split"))
def test_overflow_skips_the_decay_too(rounding):
    tx, params = optimizer(rounding), parameters("float16")
    found, skipped = train_scaled(tx, params, 2.0**18, steps=10)
    assert 0 < skipped < 10
    expected, none = train_scaled(tx, params, 1.0, steps=10 - skipped)
    assert none == 0
    assert_identical(found, expected)


def test_l2_added_before_unscaling_would_show():
    """The same chain with the scale taken off after the L2 term: what must not be."""
    params, grads, scale = parameters("float32"), {"w": jnp.ones(256)}, 2.0**6

    def decay(*stages, gradient):
        tx = optax.chain(*stages)
        updates, _ = tx.update(gradient, tx.init(params), params)
        return -np.asarray(updates["w"]) - 1

    l2, unscale = optaxwd.sgd_l2(1.0, weight_decay=WEIGHT_DECAY), optax.scale(1 / scale)
    scaled = jax.tree.map(lambda g: g * scale, grads)
    expected = decay(l2, gradient=grads)
    assert np.allclose(expected, WEIGHT_DECAY * params["w"], rtol=1e-5)
    assert np.array_equal(decay(unscale, l2, gradient=scaled), expected)
    assert np.allclose(decay(l2, unscale, gradient=scaled), expected / scale, rtol=1e-3)
