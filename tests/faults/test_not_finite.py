"""NaN and infinity in one entry of a gradient: where they go, if they stay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fault_zoo import EVERY, FACTORIES, adamw, built, floats, gradients
from helpers import assert_identical, by_stage

import optaxwd

# What one entry reaches where the law is not entry by entry.
NEURON = {"rotate_neurons", "rotational_adamw", "rotational_lion", "rotational_sgd"}
LEAF = {
    "adafactorw",
    "adamcpr",
    "adamh",
    "amos",
    "constrain_norms",
    "muonh",
    "muonw",
    "scale_by_amos",
    "step_on_hyperball",
}
TREE = {"adams", "adamw, clipped", "clip_by_global_norm", "with_stable_weight_decay"}
# These keep nothing of a gradient, and so no NaN. Blocks of 8 bits share theirs.
FORGETS = {
    "add_decayed_weights",
    "clip_by_global_norm",
    "control_weight_norm",
    "round_updates",
    "scale_by_learning_rate",
    "sgdw, no momentum",
    "step_on_hyperball",
}
BLOCKS = {"adamw, int8", "adamw, int8_stochastic"}
ROW, COLUMN = 3, 5


def one_bad_entry(value):
    grads = gradients()
    return {**grads, "w": grads["w"].at[ROW, COLUMN].set(value)}


def reached(name):
    """Return where a NaN at the bad entry is to show at once, leaf by leaf."""
    where = {key: np.full(np.shape(g), name in TREE) for key, g in gradients().items()}
    where["w"][ROW, COLUMN] = True
    if name in NEURON:
        where["w"][:, COLUMN] = True
    if name in LEAF:
        where["w"][:] = True
    return where


@pytest.mark.parametrize("name", EVERY)
def test_nan_shows_where_it_reaches_and_nowhere_else(name):
    _, update, state, params = built(name)
    expected, _ = update(gradients(), state, params)
    updates, _ = update(one_bad_entry(jnp.nan), state, params)
    for key, where in reached(name).items():
        if key in ("flag", "n", "none"):
            continue
        got, clean = np.asarray(updates[key]), np.asarray(expected[key])
        assert np.isnan(got[where]).all(), key
        assert_identical(got[~where], clean[~where], key)


@pytest.mark.parametrize("name", EVERY)
def test_nan_stays_in_the_state_of_what_remembers_gradients(name):
    _, update, state, params = built(name)
    _, state = update(one_bad_entry(jnp.nan), state, params)
    updates, state = update(gradients(), state, params)
    stays = not all(
        np.isfinite(x).all() for x in floats(state) if not np.isinf(x).any()
    )
    assert stays == (name not in FORGETS)
    where = reached(name)["w"] if name not in BLOCKS else np.full((16, 16), True)
    assert np.isnan(np.asarray(updates["w"])[where]).all() == stays


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if "stochastic" in name else [pytest.mark.slow])
        for name in FACTORIES
        if name not in FORGETS
    ],
)
def test_apply_if_finite_leaves_no_trace_of_a_skipped_step(name):
    optimizer, _, state, params = built(name)
    guarded = optax.apply_if_finite(optimizer, max_consecutive_errors=3)
    grads = {**gradients(), "flag": None, "n": None}
    bad = {**one_bad_entry(jnp.nan), "flag": None, "n": None}
    outer = guarded.init(params)._replace(inner_state=state)
    step = jax.jit(guarded.update)
    updates, skipped = step(bad, outer, params)
    assert not any(x.any() for x in floats(updates))
    assert_identical(skipped.inner_state, state)
    assert_identical(
        step(grads, skipped, params)[1].inner_state,
        step(grads, outer, params)[1].inner_state,
    )


def test_zero_nans_leaves_decay_alone_to_act_where_it_stood():
    params = {"w": jnp.array([2.0, 2.0])}
    grads = {"w": jnp.array([1.0, jnp.nan])}
    tx = optax.chain(optax.zero_nans(), adamw())
    updates, _ = tx.update(grads, tx.init(params), params)
    np.testing.assert_allclose(updates["w"], [-0.1 - 0.06, -0.06], rtol=1e-5)


@pytest.mark.parametrize("name", ["lionw", "rotational_lion"])
def test_a_sign_makes_a_number_of_infinity_but_not_of_nan(name):
    _, update, state, params = built(name)
    updates, state = update(one_bad_entry(jnp.inf), state, params)
    assert np.isfinite(updates["w"]).all()
    # The mean stays infinite, so this entry keeps its sign, whatever comes.
    assert np.isinf(np.concatenate([x.ravel() for x in floats(state)])).sum() == 1
    updates, state = update(one_bad_entry(-jnp.inf), state, params)
    assert np.isnan(updates["w"][ROW, COLUMN])


def test_clipping_makes_zero_of_all_that_is_finite_beside_infinity():
    _, update, state, params = built("clip_by_global_norm")
    updates, _ = update(one_bad_entry(jnp.inf), state, params)
    assert np.isnan(updates["w"][ROW, COLUMN])
    rest = [np.delete(np.ravel(updates["w"]), ROW * 16 + COLUMN), updates["v"]]
    assert not any(np.asarray(x).any() for x in rest)


def test_decay_alone_makes_nan_of_infinity_only():
    largest = float(jnp.finfo(jnp.float32).max)
    params = jnp.array([largest, -largest, jnp.inf, jnp.nan])
    for value, expected in ((0.5, [False, False, True, True]), (0.0, [False] * 4)):
        tx = optaxwd.add_decayed_weights(value, after_learning_rate=True)
        updates, _ = tx.update(jnp.zeros(4), tx.init(params), params)
        new = np.asarray(params + updates)
        assert np.isnan(new[:3]).tolist() == expected[:3]
        assert np.isnan(new[3])


@pytest.mark.parametrize(
    "mode",
    by_stage(["stochastic", "compensated", "split", "master"], first="compensated"),
)
def test_a_repaired_parameter_starts_anew_in_every_rounding(mode):
    tx = optaxwd.sgdw(0.1, weight_decay=0.1, precision=mode)
    params = jnp.ones(3, jnp.bfloat16)
    grads = jnp.array([0.0, jnp.nan, jnp.inf], jnp.bfloat16)
    updates, state = tx.update(grads, tx.init(params), params)
    params = optax.apply_updates(params, updates)
    assert np.isnan(params[1]) and np.isneginf(params[2]) and params[0] < 1
    params = jnp.where(jnp.isfinite(params), params, 1).astype(params.dtype)
    updates, state = tx.update(jnp.zeros_like(params), state, params)
    new = optaxwd.float32_parameters(optax.apply_updates(params, updates), state)
    # 0.99 of 1, once for what is repaired and twice for what went on.
    np.testing.assert_allclose(new, [0.9801, 0.99, 0.99], rtol=2.0**-7)
    assert all(np.isfinite(x).all() for x in floats(state))
