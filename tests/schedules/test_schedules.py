"""Schedules of λ: their numbers, their step count, and their use in optimizers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import TOLERANCE_PER_STEP

import optaxwd

LEARNING_RATE = optax.warmup_cosine_decay_schedule(0.05, 0.2, 3, 10, 0.02)
SCHEDULES = {
    "delayed": optaxwd.delayed_schedule(0.3, start=4),
    "delayed schedule": optaxwd.delayed_schedule(lambda t: 0.1 + 0.01 * t, start=2),
    "cosine": optaxwd.cosine_weight_decay_schedule(0.04, 0.4, steps=10),
    "linear": optaxwd.linear_weight_decay_schedule(0.0, 0.4, steps=6, start=1),
    "compensated": optaxwd.warmup_compensated_schedule(
        0.2, learning_rate=LEARNING_RATE, steps=10, start=3
    ),
    "tied": optaxwd.tied_weight_decay_schedule(
        0.3, LEARNING_RATE, peak_learning_rate=0.2
    ),
}
FLOAT32 = TOLERANCE_PER_STEP["float32"]


def values(schedule, counts):
    return np.array([float(schedule(count)) for count in counts])


def test_delay_by_hand():
    schedule = optaxwd.delayed_schedule(0.1, 3)
    assert values(schedule, range(5)) == pytest.approx([0, 0, 0, 0.1, 0.1], rel=1e-6)


def test_a_delayed_schedule_is_not_moved():
    schedule = optaxwd.delayed_schedule(lambda t: t / 10, 3)
    assert values(schedule, range(5)) == pytest.approx([0, 0, 0, 0.3, 0.4], rel=1e-6)


def test_dino_by_hand():
    # λ_t = 0.4 + ½(0.04 − 0.4)(1 + cos πt/100)
    schedule = optaxwd.cosine_weight_decay_schedule(0.04, 0.4, 100)
    found = values(schedule, [0, 25, 50, 75, 100, 1000])
    low, high = 0.22 - 0.18 * np.sqrt(0.5), 0.22 + 0.18 * np.sqrt(0.5)
    assert found == pytest.approx([0.04, low, 0.22, high, 0.4, 0.4], rel=FLOAT32)


def test_a_cosine_hits_both_ends_exactly():
    schedule = optaxwd.cosine_weight_decay_schedule(0.04, 0.4, 77, start=5)
    for count in (0, 5):
        assert schedule(count) == np.float32(0.04)
    for count in (82, 10**6):
        assert schedule(count) == np.float32(0.4)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 10, 11, 1000])
def test_counts_are_optax_s(count):
    ours = [
        optaxwd.delayed_schedule(0.1, 3),
        optaxwd.cosine_weight_decay_schedule(0.4, 0.04, 8, start=3),
        optaxwd.linear_weight_decay_schedule(0.4, 0.04, 8, start=3),
    ]
    constant = optax.constant_schedule
    theirs = [
        optax.join_schedules([constant(0.0), constant(0.1)], [3]),
        optax.join_schedules(
            [constant(0.4), optax.cosine_decay_schedule(0.4, 8, alpha=0.1)], [3]
        ),
        optax.linear_schedule(0.4, 0.04, 8, transition_begin=3),
    ]
    for one, other in zip(ours, theirs, strict=True):
        assert float(one(count)) == pytest.approx(float(other(count)), abs=1e-7)


def test_a_tied_schedule_has_the_shape_of_the_learning_rate():
    for power in (0.0, 1.0, 2.0):
        schedule = optaxwd.tied_weight_decay_schedule(
            0.3, LEARNING_RATE, peak_learning_rate=0.2, power=power
        )
        shape = values(LEARNING_RATE, range(12)) / 0.2
        assert values(schedule, range(12)) == pytest.approx(
            0.3 * shape**power, rel=1e-5
        )


@pytest.mark.parametrize("name", SCHEDULES)
def test_counts_of_every_kind(name):
    schedule = SCHEDULES[name]
    counts = jnp.arange(12)
    eager = values(schedule, range(12))
    np.testing.assert_allclose(jax.jit(jax.vmap(schedule))(counts), eager, rtol=1e-5)
    np.testing.assert_allclose(values(schedule, counts), eager, rtol=1e-6)


def expected(schedule, steps):
    """Return what zero gradients leave of 1, step by step."""
    rates = values(LEARNING_RATE, range(steps)) * values(schedule, range(steps))
    return np.cumprod(1 - rates)


def decayed(optimizer, steps, every=1):
    """Return the parameter after every real step of zero gradients."""
    step = jax.jit(optimizer.update)
    params, found = jnp.ones(1), []
    state = optimizer.init(params)
    for micro in range(steps * every):
        updates, state = step(jnp.zeros(1), state, params)
        params = optax.apply_updates(params, updates)
        if (micro + 1) % every == 0:
            found.append(float(params[0]))
    return np.array(found)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_optimizer_counts_as_the_learning_rate_does(name):
    schedule = SCHEDULES[name]
    plain = optaxwd.adamw(LEARNING_RATE, weight_decay=schedule)
    injected = optax.inject_hyperparams(optaxwd.adamw)(
        LEARNING_RATE, weight_decay=schedule
    )
    accumulated = optax.MultiSteps(plain, every_k_schedule=3)
    want = expected(schedule, 12)
    for optimizer, every in ((plain, 1), (injected, 1), (accumulated, 3)):
        np.testing.assert_allclose(
            decayed(optimizer, 12, every), want, rtol=12 * FLOAT32
        )


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_rule_may_have_a_schedule_of_its_own(name):
    rules = optaxwd.DecayRules([("w", optaxwd.rules.weight_decay(SCHEDULES[name]))])
    tx = optaxwd.sgdw(LEARNING_RATE, weight_decay=0.0, mask=rules)
    params = {"w": jnp.ones(1), "b": jnp.ones(1)}
    state = tx.init(params)
    for _ in range(8):
        updates, state = tx.update(jax.tree.map(jnp.zeros_like, params), state, params)
        params = optax.apply_updates(params, updates)
    want = expected(SCHEDULES[name], 8)[-1]
    np.testing.assert_allclose(params["w"], want, rtol=8 * FLOAT32)
    assert params["b"] == 1


@pytest.mark.parametrize(
    ("name", "coupling"),
    [("tied", "corrected"), ("tied", "independent")],
)
def test_tied_makes_one_coupling_of_another(name, coupling):
    other = {"corrected": "learning_rate", "independent": "constant"}[coupling]
    direct = optaxwd.adamw(
        LEARNING_RATE, weight_decay=0.3, coupling=coupling, peak_learning_rate=0.2
    )
    tied = optaxwd.adamw(LEARNING_RATE, weight_decay=SCHEDULES[name], coupling=other)
    np.testing.assert_allclose(decayed(direct, 8), decayed(tied, 8), rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: optaxwd.delayed_schedule(0.1, -1),
            ValueError,
            "start .* >= 0, got -1",
        ),
        (lambda: optaxwd.delayed_schedule(0.1, 1.5), ValueError, "whole number"),
        (lambda: optaxwd.delayed_schedule(0.1, "2"), TypeError, "start .* got '2'"),
        (lambda: optaxwd.delayed_schedule(-0.1, 2), ValueError, "weight_decay"),
        (
            lambda: optaxwd.cosine_weight_decay_schedule(0.1, 0.2, 0),
            ValueError,
            "steps .* from 1 to .*got 0",
        ),
        (
            lambda: optaxwd.cosine_weight_decay_schedule(0.1, float("nan"), 9),
            ValueError,
            "end_value .* nan",
        ),
        (
            lambda: optaxwd.linear_weight_decay_schedule(-0.1, 0.1, 9),
            ValueError,
            "init_value",
        ),
        (
            lambda: optaxwd.tied_weight_decay_schedule(
                0.1, 0.1, peak_learning_rate=0.1
            ),
            TypeError,
            "must be a schedule",
        ),
        (
            lambda: optaxwd.tied_weight_decay_schedule(
                0.1, LEARNING_RATE, peak_learning_rate=0.0
            ),
            ValueError,
            "peak_learning_rate must be > 0",
        ),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_traced_value_is_swept_without_retracing():
    def last(value):
        return optaxwd.cosine_weight_decay_schedule(0.0, value, 4)(4)

    swept = jax.jit(jax.vmap(last))(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose(swept, [0.1, 0.2], rtol=FLOAT32)


LENGTHS = (3, 7, 10, 30, 77, 300, 1000)


@pytest.mark.parametrize("steps", LENGTHS)
def test_a_linear_schedule_ends_where_it_says_also_under_jit(steps):
    schedule = optaxwd.linear_weight_decay_schedule(0.3, 0.0, steps)
    found = np.asarray(jax.jit(jax.vmap(schedule))(jnp.arange(steps + 3)))
    assert (found >= 0).all() and (found[steps:] == 0).all()
    assert found[0] == np.float32(0.3)


@pytest.mark.parametrize("steps", LENGTHS)
def test_a_tied_schedule_has_no_root_of_a_rounding_error(steps):
    falling = optax.linear_schedule(1e-3, 0.0, steps)
    schedule = optaxwd.tied_weight_decay_schedule(
        0.1, falling, peak_learning_rate=1e-3, power=0.5
    )
    found = np.asarray(jax.jit(jax.vmap(schedule))(jnp.arange(steps + 3)))
    assert np.isfinite(found).all() and (found >= 0).all()
    assert (found[steps:] < 1e-4).all()
