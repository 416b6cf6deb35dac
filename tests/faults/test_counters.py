"""The count of steps where int32 ends, and a million steps."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fault_zoo import EVERY, built, floats, gradients

import optaxwd

LAST = 2**31 - 1


def is_count(leaf):
    return leaf.dtype == jnp.int32 and leaf.ndim == 0


def late(state):
    """Return ``state`` as it is one step before its counts end."""
    return jax.tree.map(
        lambda x: jnp.asarray(LAST - 1, jnp.int32) if is_count(x) else x, state
    )


@pytest.mark.parametrize("name", EVERY)
def test_counts_stop_at_their_end_and_do_not_wrap(name):
    _, update, state, params = built(name)
    state = late(state)
    for _ in range(3):
        updates, state = update(gradients(), state, params)
        assert all(np.isfinite(x).all() for x in floats(updates))
        assert all(np.isfinite(x).all() or np.isinf(x).all() for x in floats(state))
    counts = [int(x) for x in jax.tree.leaves(state) if is_count(x)]
    # Adafactor's stops one step before, because Optax adds 1 to it.
    assert set(counts) <= {LAST}
    assert counts or name == "clip_by_global_norm"


@pytest.mark.parametrize("name", ["adamw", "sgds", "scale_by_learning_rate", "amos"])
def test_schedules_never_see_a_negative_count(name):
    def schedule(count):
        return jnp.where(jnp.asarray(count) < 0, jnp.nan, 0.1)

    options = {"expected_scale": 0.5} if name == "amos" else {}
    tx, params = getattr(optaxwd, name)(schedule, **options), jnp.ones(2)
    state = late(tx.init(params))
    for _ in range(3):
        updates, state = tx.update(jnp.ones(2), state, params)
        assert np.isfinite(updates).all()


def test_bias_corrections_are_one_at_the_end():
    tx, params = optaxwd.scale_by_adam(), jnp.ones(2)
    _, state = tx.update(jnp.ones(2), tx.init(params), params)
    directions, after = tx.update(jnp.ones(2), late(state), params)
    mean, square = 0.1 * 0.9 + 0.1, 0.001 * 0.999 + 0.001
    np.testing.assert_allclose(directions, mean / math.sqrt(square), rtol=1e-4)
    assert int(after.count) == LAST


@functools.cache
def a_million_steps():
    """Return where decay alone leads from 1, by way of rounding, and the states."""
    steps = 10**6
    schedule = optax.cosine_decay_schedule(1.0, steps)
    rate, entries = 4e-6, {"stochastic": 256}
    modes = {"float32": None, "split": "split", "stochastic": "stochastic"}
    optimizers = {
        mode: optaxwd.sgdw(schedule, weight_decay=rate, precision=precision)
        for mode, precision in modes.items()
    }
    params = {
        mode: jnp.ones(
            entries.get(mode, 1), jnp.float32 if mode == "float32" else jnp.bfloat16
        )
        for mode in modes
    }
    states = {mode: tx.init(params[mode]) for mode, tx in optimizers.items()}

    def step(_, carry):
        params, states = carry
        new_params, new_states = {}, {}
        for mode, tx in optimizers.items():
            p = params[mode]
            updates, new_states[mode] = tx.update(jnp.zeros_like(p), states[mode], p)
            new_params[mode] = optax.apply_updates(p, updates)
        return new_params, new_states

    run = jax.jit(lambda *carry: jax.lax.fori_loop(0, steps, step, carry))
    params, states = run(params, states)
    eta = 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))
    expected = np.exp(np.log1p(-rate * eta).sum())
    return params, states, expected


@pytest.mark.slow
def test_a_million_steps_in_float32_are_counted_and_right_to_their_rounding():
    params, states, expected = a_million_steps()
    counts = {int(x) for x in jax.tree.leaves(states) if is_count(x)}
    assert counts == {10**6}
    # One step takes 2e-6 on average, some thirty units of the last place: each is
    # rounded by up to half of one.
    assert float(params["float32"][0]) == pytest.approx(expected, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["split", "stochastic"])
def test_a_million_steps_in_bfloat16(mode):
    params, states, expected = a_million_steps()
    final = optaxwd.float32_parameters(params[mode], states[mode])
    if mode == "stochastic":
        # The variance of one step is at most that of the step times a unit of 2^-8.
        deviation = math.sqrt(2.0 * 2.0**-8 / final.size)
        assert float(final.mean()) == pytest.approx(expected, abs=5 * deviation)
    else:
        assert float(final[0]) == pytest.approx(expected, rel=0.05)
