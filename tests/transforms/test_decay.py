"""The decay term: by hand, its laws, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import references
from helpers import assert_close, assert_identical, cast, example_trees, precision_for
from hypothesis import given, settings
from hypothesis import strategies as st

import optaxwd

# XLA takes subnormal numbers for 0, NumPy does not.
finite = st.floats(-1e3, 1e3, width=32, allow_subnormal=False)
rates = st.floats(0, 10, width=32, allow_subnormal=False)


def apply(transform, updates, params):
    return transform.update(updates, transform.init(params), params)[0]


def test_by_hand_before_and_after_the_learning_rate():
    params, updates = jnp.array([2.0, -4.0]), jnp.array([1.0, 1.0])
    before = optaxwd.add_decayed_weights(0.5)
    after = optaxwd.add_decayed_weights(0.5, after_learning_rate=True)
    assert apply(before, updates, params).tolist() == [2.0, -1.0]
    assert apply(after, updates, params).tolist() == [0.0, 3.0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"penalty": "l1"}, [0.5, -0.5, 0.0]),
        ({"penalty": "huber"}, [0.5, -0.125, 0.0]),
        ({"penalty": optaxwd.huber(3.0)}, [1.5, -0.125, 0.0]),
        ({"penalty": optaxwd.Penalty("l3", lambda x: x**3)}, [32.0, -0.0078125, 0.0]),
        ({"anchor": jnp.array([1.0, 1.0, 1.0])}, [1.5, -0.625, -0.5]),
        ({"anchor": jnp.ones(3), "penalty": "l1"}, [0.5, -0.5, -0.5]),
    ],
)
def test_penalties_and_anchors_by_hand(options, expected):
    params = jnp.array([4.0, -0.25, 0.0])
    decay = optaxwd.add_decayed_weights(0.5, **options)
    assert apply(decay, jnp.zeros(3), params).tolist() == expected


def test_the_initial_parameters_are_an_anchor_that_stays():
    decay = optaxwd.add_decayed_weights(0.5, anchor="init")
    params = {"w": jnp.array([1.0, 2.0])}
    state = decay.init(params)
    zeros = {"w": jnp.zeros(2)}
    assert decay.update(zeros, state, params)[0]["w"].tolist() == [0.0, 0.0]
    moved = {"w": jnp.array([3.0, 2.0])}
    updates, state = decay.update(zeros, state, moved)
    assert updates["w"].tolist() == [1.0, 0.0]
    assert state.anchor["w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("after", [False, True])
def test_cautious_compares_signs_without_underflow(sign, after):
    # The product of these two is 0 in float32 and would pass for agreement.
    params, updates = jnp.array([1e-30]), jnp.array([-1e-30])
    agrees = (sign < 0) != after
    decay = optaxwd.add_decayed_weights(1e8, cautious=True, after_learning_rate=after)
    updates = updates * -sign
    changed = apply(decay, updates, params)[0] != updates[0]
    assert bool(changed) == (not agrees)


def test_cautious_never_decays_on_nan():
    decay = optaxwd.add_decayed_weights(0.5, cautious=True)
    updates = apply(decay, jnp.array([jnp.nan, 1.0]), jnp.array([1.0, 1.0]))
    assert np.isnan(updates[0]) and updates[1] == 1.5


def test_cautious_with_an_anchor_looks_at_the_pull():
    # θ = 1 is pulled up to 3; u < 0 moves it up as well, u > 0 does not.
    decay = optaxwd.add_decayed_weights(0.5, cautious=True, anchor=jnp.array([3.0] * 2))
    updates = apply(decay, jnp.array([-1.0, 1.0]), jnp.array([1.0, 1.0]))
    assert updates.tolist() == [-2.0, 1.0]


def test_cautious_on_complex_parameters():
    # Aligned: Re(conj(u)·θ) > 0 for the first, < 0 for the second.
    params, updates = jnp.array([1j, 1j]), jnp.array([1j, -1j])
    decay = optaxwd.add_decayed_weights(0.5, cautious=True)
    assert apply(decay, updates, params).tolist() == [1.5j, -1j]


def test_huber_clips_the_magnitude_of_complex_parameters():
    decay = optaxwd.add_decayed_weights(1.0, penalty="huber")
    updates = apply(decay, jnp.zeros(2, complex), jnp.array([3 + 4j, 0.5j]))
    np.testing.assert_allclose(updates, [0.6 + 0.8j, 0.5j], rtol=1e-6)


def test_after_the_learning_rate_no_step_counts_as_agreement():
    decay = optaxwd.add_decayed_weights(0.5, cautious=True, after_learning_rate=True)
    assert apply(decay, jnp.zeros(1), jnp.ones(1)).tolist() == [-0.5]


def test_the_factor_multiplies_every_rate():
    decay = optaxwd.add_decayed_weights(0.5, factor=lambda count: 0.1 * (count + 1))
    params, state = jnp.array([2.0]), decay.init(None)
    seen = []
    for _ in range(2):
        updates, state = decay.update(jnp.zeros(1), state, params)
        seen.append(float(updates[0]))
    np.testing.assert_allclose(seen, [0.1, 0.2], rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            lambda count: -1.0,
            "weight_decay .from its schedule. must be finite and >= 0",
        ),
        (lambda count: jnp.ones(2), "must be a scalar, got an array of shape"),
    ],
)
def test_a_schedule_that_cannot_be_right(schedule, message):
    decay = optaxwd.add_decayed_weights(schedule)
    with pytest.raises(ValueError, match=message):
        apply(decay, jnp.zeros(1), jnp.ones(1))


def test_flags_must_be_bools():
    with pytest.raises(TypeError, match="after_learning_rate must be True or False"):
        optaxwd.add_decayed_weights(0.1, after_learning_rate="no")
    with pytest.raises(TypeError, match="cautious must be True or False"):
        optaxwd.adamw(0.1, cautious=1)


def test_an_anchor_of_other_shapes():
    params = {"w": jnp.ones(2), "b": jnp.ones(1)}
    decay = optaxwd.add_decayed_weights(
        0.1, anchor={"w": jnp.ones((3, 2)), "b": jnp.ones(1)}
    )
    with pytest.raises(ValueError, match=r"anchor has shape \(3, 2\) at 'w'"):
        decay.init(params)
    with pytest.raises(ValueError, match="anchor must be None, 'init', 'update' or"):
        optaxwd.add_decayed_weights(0.1, anchor={"w": "init"})


def test_the_initial_anchor_keeps_what_is_not_an_array():
    params = {"w": jnp.ones(2), "function": jnp.tanh}
    decay = optaxwd.add_decayed_weights(0.5, anchor="init")
    state = decay.init(params)
    assert state.anchor["function"] is jnp.tanh
    assert state.anchor["w"] is not params["w"]
    assert apply(decay, params, params)["w"].tolist() == [1.0, 1.0]


ZEROS = {
    "number": 0,
    "NumPy": np.float32(0),
    "array": jnp.float32(0),
    "schedule": lambda count: 0.0 * count,
}


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize("after", [False, True])
def test_zero_leaves_every_bit(zero, after):
    params = jnp.array([jnp.inf, -jnp.inf, jnp.nan, 1.0])
    updates = jnp.array([-0.0, 1.0, 2.0, -0.0])
    decay = optaxwd.add_decayed_weights(ZEROS[zero], after_learning_rate=after)
    assert_identical(apply(decay, updates, params), updates)
    assert_identical(jax.jit(apply, static_argnums=0)(decay, updates, params), updates)


def test_a_masked_leaf_keeps_every_bit():
    params = {"w": jnp.array([jnp.inf]), "b": jnp.array([1.0])}
    updates = {"w": jnp.array([-0.0]), "b": jnp.array([0.0])}
    decay = optaxwd.add_decayed_weights(0.5, {"w": False, "b": True})
    new = apply(decay, updates, params)
    assert_identical(new["w"], updates["w"])
    assert new["b"].tolist() == [0.5]


def test_leaves_that_are_not_parameters_are_left_alone():
    params = {
        "count": jnp.array([3]),
        "flag": jnp.array([True]),
        "function": jnp.tanh,
        "none": None,
        "w": jnp.array([2.0]),
        "complex": jnp.array([2.0 + 2.0j]),
    }
    updates = {
        **params,
        "w": jnp.array([0.0]),
        "complex": jnp.array([0.0j]),
        "count": np.zeros((1,), jax.dtypes.float0),
    }
    new = apply(optaxwd.add_decayed_weights(0.5), updates, params)
    assert all(new[k] is updates[k] for k in ("count", "flag", "function", "none"))
    assert new["w"].tolist() == [1.0]
    assert new["complex"].tolist() == [1.0 + 1.0j]


def test_an_update_of_none_passes():
    params = {"w": jnp.array([2.0]), "frozen": jnp.array([2.0])}
    updates = {"w": jnp.array([0.0]), "frozen": None}
    new = apply(optaxwd.add_decayed_weights(0.5), updates, params)
    assert new["frozen"] is None and new["w"].tolist() == [1.0]


def test_a_schedule_counts_from_zero():
    decay = optaxwd.add_decayed_weights(lambda count: 1.0 * count)
    params, state = jnp.array([1.0]), decay.init(None)
    seen = []
    for _ in range(3):
        updates, state = decay.update(jnp.zeros(1), state, params)
        seen.append(float(updates[0]))
    assert seen == [0.0, 1.0, 2.0]
    assert state.decay_count.dtype == jnp.int32


@pytest.mark.parametrize("mask", [None, True, {"w": True}, lambda params: True])
@pytest.mark.parametrize(
    "rate", [0.5, np.float32(0.5), jnp.float32(0.5), lambda t: 0.5]
)
def test_one_state_structure_for_all(rate, mask):
    params = {"w": jnp.ones(2)}
    expected = optaxwd.add_decayed_weights(0.5).init(params)
    state = optaxwd.add_decayed_weights(rate, mask).init(params)
    assert_identical(state, expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("penalty", ["l2", "l1", "huber"])
@pytest.mark.parametrize("after", [False, True])
def test_against_numpy(dtype, penalty, after):
    with precision_for(dtype):
        for params in example_trees().values():
            params = cast(params, dtype)
            updates = jax.tree.map(lambda p: p * 3, params)
            decay = optaxwd.add_decayed_weights(
                0.3, penalty=penalty, after_learning_rate=after
            )
            expected = jax.tree.map(
                lambda u, p: (
                    np.asarray(u, np.float64)
                    + (-0.3 if after else 0.3)
                    * references.PULLS[penalty](np.asarray(p, np.float64))
                ),
                updates,
                params,
            )
            assert_close(apply(decay, updates, params), expected)


@settings(max_examples=50, deadline=None)
@given(u=finite, theta=finite, rate=rates)
def test_after_is_before_with_the_sign_turned(u, theta, rate):
    params, updates = jnp.array([theta]), jnp.array([u])
    before = apply(optaxwd.add_decayed_weights(rate), updates, params)
    after = apply(
        optaxwd.add_decayed_weights(rate, after_learning_rate=True), -updates, params
    )
    np.testing.assert_array_equal(before, -after)


@settings(max_examples=50, deadline=None)
@given(u=finite, theta=finite, rate=rates)
def test_cautious_is_all_or_nothing(u, theta, rate):
    params, updates = jnp.array([theta]), jnp.array([u])
    plain = apply(optaxwd.add_decayed_weights(rate), updates, params)
    gated = apply(optaxwd.add_decayed_weights(rate, cautious=True), updates, params)
    agrees = np.sign(np.float32(u)) * np.sign(np.float32(theta)) >= 0
    np.testing.assert_array_equal(gated, plain if agrees else updates)


@settings(max_examples=50, deadline=None)
@given(
    theta=finite,
    rate=st.floats(0, 1, width=32, allow_subnormal=False),
    steps=st.integers(1, 5),
)
def test_zero_updates_shrink_geometrically(theta, rate, steps):
    decay = optaxwd.add_decayed_weights(rate, after_learning_rate=True)
    params, state = jnp.array([theta]), decay.init(None)
    for _ in range(steps):
        updates, state = decay.update(jnp.zeros(1), state, params)
        params = optax.apply_updates(params, updates)
    expected = np.float64(theta) * (1 - np.float64(rate)) ** steps
    np.testing.assert_allclose(params, [expected], rtol=1e-5, atol=1e-4)


BAD_RATES = [
    (-0.1, ValueError, ">= 0, got -0.1"),
    (float("nan"), ValueError, "finite and >= 0, got nan"),
    (float("inf"), ValueError, "got inf"),
    (np.float32("nan"), ValueError, "finite"),
    (jnp.float32(-1.0), ValueError, ">= 0"),
    (jnp.ones(3), ValueError, r"array of shape \(3,\)"),
    ("0.1", TypeError, "got '0.1' of type str"),
    (None, TypeError, "got None"),
    (True, TypeError, "got True of type bool"),
    (jnp.array(True), TypeError, "must be a number"),
    (np.array(True), TypeError, "must be a number"),
    (np.array(-1.0), ValueError, ">= 0"),
    (1j, TypeError, "must be real"),
]


@pytest.mark.parametrize(("rate", "error", "message"), BAD_RATES)
def test_bad_rates(rate, error, message):
    with pytest.raises(error, match=f"add_decayed_weights: weight_decay.*{message}"):
        optaxwd.add_decayed_weights(rate)


def test_missing_parameters():
    decay = optaxwd.add_decayed_weights(0.1)
    with pytest.raises(ValueError, match=r"add_decayed_weights reads the parameters"):
        decay.update(jnp.zeros(1), decay.init(None))


def test_unknown_penalty_and_anchor():
    with pytest.raises(ValueError, match="unknown penalty 'L2'.*Did you mean 'l2'"):
        optaxwd.add_decayed_weights(0.1, penalty="L2")
    with pytest.raises(TypeError, match="wrap a function as Penalty"):
        optaxwd.add_decayed_weights(0.1, penalty=jnp.sign)
    with pytest.raises(ValueError, match="anchor must be None, 'init', 'update' or"):
        optaxwd.add_decayed_weights(0.1, anchor="initial")
    with pytest.raises(ValueError, match="delta must be > 0"):
        optaxwd.huber(0.0)
    jax.jit(lambda delta: optaxwd.huber(delta).pull(jnp.ones(1)))(0.5)


def test_two_names_of_the_mask():
    params = jnp.array([2.0])
    decay = optaxwd.add_decayed_weights(0.5, weight_decay_mask=False)
    assert apply(decay, jnp.zeros(1), params).tolist() == [0.0]
    with pytest.raises(ValueError, match="two names of one argument"):
        optaxwd.add_decayed_weights(0.5, True, weight_decay_mask=True)


def test_an_anchor_of_another_structure():
    decay = optaxwd.add_decayed_weights(0.1, anchor={"v": jnp.ones(1)})
    params = {"w": jnp.ones(1)}
    with pytest.raises(ValueError, match="anchor does not cover the parameter 'w'"):
        apply(decay, params, params)
