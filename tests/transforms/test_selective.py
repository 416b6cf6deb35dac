"""Selective projection decay: by hand, against its paper, its laws and messages."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import references
from helpers import (
    DTYPES_BY_STAGE,
    TOLERANCE_PER_STEP,
    assert_close,
    assert_identical,
    cast,
    example_gradients,
    example_trees,
    precision_for,
    run,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import optaxwd

STEPS = 20
START, THETA, TARGET = ([1.0, 0.0], [2.0, 0.0], [2.5, 0.0])
arrays = helpers.vectors(3).map(lambda x: jnp.array(x, jnp.float32))


def moving(by):
    """Return an optimizer whose step is always ``by``, whatever the gradient."""
    return optax.stateless(
        lambda updates, params: jax.tree.map(lambda u, b: jnp.asarray(b), updates, by)
    )


def decayed(by, weight_decay=1.0, mask=None, **options):
    return optaxwd.with_selective_projection_decay(
        moving(by), weight_decay, mask, **options
    )


def new_params(tx, grads, params):
    updates, _ = tx.update(grads, tx.init(params), params)
    return optax.apply_updates(params, updates)


@pytest.mark.parametrize(
    ("g", "weight_decay", "expected"),
    [
        ([1.0, 0.0], 0.6, [2.2, 0.0]),  # r = (1.5 - 1) / 1.5, and 0.6·r·1.5 = 0.3
        ([-1.0, 0.0], 0.6, [2.5, 0.0]),
        ([0.0, 1.0], 0.6, [2.5, 0.0]),  # orthogonal: nothing says to go back
        ([1.0, 0.0], 1.0, [2.0, 0.0]),  # back to the distance that it had
        ([1.0, 0.0], 3.0, [1.0, 0.0]),  # λ·r = 1: onto the anchor
    ],
)
def test_by_hand(g, weight_decay, expected):
    tx = decayed(jnp.array([0.5, 0.0]), weight_decay, anchor=jnp.array(START))
    new = new_params(tx, jnp.array(g), jnp.array(THETA))
    np.testing.assert_allclose(new, expected, rtol=TOLERANCE_PER_STEP["float32"])


def test_a_step_towards_the_anchor_is_free():
    tx = decayed(jnp.array([-0.5, 0.0]), anchor=jnp.array(START))
    new = new_params(tx, jnp.array([1.0, 0.0]), jnp.array(THETA))
    assert new.tolist() == [1.5, 0.0]


def test_the_anchor_is_the_start_or_zero():
    params, grads = jnp.array([1.0]), jnp.array([1.0])
    kept, zero = decayed(jnp.array([1.0])), decayed(jnp.array([1.0]), anchor=None)
    # At its start nothing is at a distance; from 0 it goes from 1 to 2, and back.
    assert new_params(kept, grads, params).tolist() == [2.0]
    assert new_params(zero, grads, params).tolist() == [1.0]
    _, state = kept.update(grads, kept.init(params), params)
    updates, _ = kept.update(grads, state, jnp.array([2.0]))
    assert updates.tolist() == [0.0]


def test_two_steps_with_a_schedule_a_mask_and_rules():
    tx = decayed(
        {"w": [0.5], "b": [0.5], "half": [0.5]},
        lambda count: 0.6 * count,
        optaxwd.DecayRules([("b", False), ("half", 0.5)]),
        anchor=jnp.array([1.0]),
    )
    params = {name: jnp.array([2.0]) for name in ("w", "b", "half")}
    grads = {name: jnp.array([1.0]) for name in ("w", "b", "half")}
    state = tx.init(params)
    seen = []
    for _ in range(2):
        updates, state = tx.update(grads, state, params)
        seen.append([round(float(updates[name][0]), 6) for name in params])
    assert seen == [[0.5, 0.5, 0.5], [0.2, 0.5, 0.35]]


def test_a_rule_may_have_its_own_weight_decay():
    rules = optaxwd.DecayRules([("w", optaxwd.rules.weight_decay(1.0))])
    tx = decayed({"w": [0.5]}, 0.0, rules, anchor=jnp.array([1.0]))
    new = new_params(tx, {"w": jnp.array([1.0])}, {"w": jnp.array([2.0])})
    assert new["w"].tolist() == [2.0]


def test_it_reads_the_gradient_and_not_the_direction():
    # Momentum says up, the gradient down: from 1 it would go to 1.8.
    tx = optaxwd.with_selective_projection_decay(optax.sgd(1.0, momentum=0.9))
    params = jnp.array([0.0])
    state = tx.init(params)
    for grads, expected in ((-1.0, 1.0), (0.1, 1.0), (-1.0, 2.72)):
        updates, state = tx.update(jnp.array([grads]), state, params)
        params = optax.apply_updates(params, updates)
        assert float(params[0]) == pytest.approx(expected, rel=1e-6)


def train(theta, gradients, *, learning_rate, weight_decay, anchor):
    """Tian et al., Algorithm 1, on Adam."""
    adam = references.adam()
    for t, g in enumerate(gradients):
        new = theta - adam(g, theta, learning_rate(t))
        condition = -np.sum(g * (theta - anchor))
        if condition < 0:
            distance, before = (
                np.linalg.norm(new - anchor),
                np.linalg.norm(theta - anchor),
            )
            ratio = max(0.0, distance - before) / distance
            new = new - weight_decay(t) * ratio * (new - anchor)
        theta = new
    return theta


def turning_gradients(params):
    """Return gradients that turn round, when momentum still goes on outwards."""
    turn = np.where(np.arange(STEPS) < STEPS // 2, 1.0, -1.0)

    def leaf(g):
        return g * turn.reshape(-1, *[1] * (g.ndim - 1))

    return jax.tree.map(leaf, example_gradients(params, STEPS))


def learning_rate(t):
    return 0.02 * (1 - 0.5 * t / STEPS)


def weight_decay(t):
    return 1.5 / (1 + 0.1 * t)


@pytest.mark.parametrize("anchor", ["init", None])
@pytest.mark.parametrize("dtype", DTYPES_BY_STAGE)
def test_twenty_steps_against_numpy(dtype, anchor):
    tx = optaxwd.adamspd(learning_rate, weight_decay=weight_decay, anchor=anchor)
    with precision_for(dtype):
        params = cast(example_trees(), dtype)
        gradients = cast(turning_gradients(params), dtype)
        trained = jax.jit(run, static_argnums=0)(tx, params, gradients)

        def expected(rate):
            return jax.tree.map(
                lambda theta, g: train(
                    np.asarray(theta, np.float64),
                    np.asarray(g, np.float64),
                    learning_rate=learning_rate,
                    weight_decay=rate,
                    anchor=np.asarray(theta, np.float64) if anchor else 0.0,
                ),
                params,
                gradients,
            )

        assert_close(trained, expected(weight_decay), steps=STEPS)
    differs = jax.tree.map(
        lambda a, b: not np.array_equal(a, b),
        expected(lambda t: 0.0),
        expected(weight_decay),
    )
    assert any(jax.tree.leaves(differs))


def test_stacked_layers_are_judged_one_by_one():
    params = {"blocks": jnp.array([[2.0, 1.0], [3.0, -1.0]]), "b": jnp.ones(2)}
    by = {"blocks": jnp.full((2, 2), 0.5), "b": jnp.full(2, 0.5)}
    grads = {"blocks": jnp.array([[1.0, 1.0], [-1.0, 0.0]]), "b": jnp.ones(2)}
    tx = decayed(by, 0.6, anchor=None, stacked={"blocks": 1})
    together = new_params(tx, grads, params)
    for i in range(2):
        alone = decayed(by["blocks"][i], 0.6, anchor=None)
        expected = new_params(alone, grads["blocks"][i], params["blocks"][i])
        np.testing.assert_array_equal(together["blocks"][i], expected)
    assert together["blocks"][1].tolist() == [3.5, -0.5]  # the second one is free


def test_the_state_keeps_only_what_decays():
    params = {"w": jnp.ones((4, 2)), "b": jnp.ones(2), "count": jnp.array([3])}
    by = jax.tree.map(jnp.zeros_like, params)
    mask = {"w": True, "b": False, "count": True}
    anchor = optaxwd.InitialParameters("bfloat16")
    tx = decayed(by, mask=mask, anchor=anchor)
    state = tx.init(params)
    assert state.anchor["w"].dtype == jnp.bfloat16
    assert state.anchor["b"] == state.anchor["count"] == optax.MaskedNode()
    # Besides the anchor the count and λ.
    assert sum(x.nbytes for x in jax.tree.leaves(state)) == 4 + 4 + 8 * 2
    assert decayed(by).init(params).anchor["w"] is not params["w"]
    assert decayed(by, anchor=None).init(params).anchor is None


def test_a_narrow_anchor_is_rounded():
    # 1.001 is 1 in bfloat16, so the start counts as 0.001 away.
    tx = decayed(jnp.array([0.001]), anchor=optaxwd.InitialParameters("bfloat16"))
    params = jnp.array([1.001])
    new = new_params(tx, jnp.array([1.0]), params)
    np.testing.assert_allclose(new, params, rtol=TOLERANCE_PER_STEP["float32"])
    # Complex parameters keep their own dtype.
    assert tx.init(jnp.array([1j])).anchor.dtype == jnp.complex64


def test_complex_parameters_are_planes():
    tx = decayed(jnp.array([0.5j]), 0.6, anchor=jnp.array([1j]))
    outwards = new_params(tx, jnp.array([1j]), jnp.array([2j]))
    np.testing.assert_allclose(outwards, [2.2j], rtol=1e-6)
    sideways = new_params(tx, jnp.array([1 + 0j]), jnp.array([2j]))
    np.testing.assert_allclose(sideways, [2.5j], rtol=1e-6)


def test_onto_the_anchor_and_from_it_without_nan():
    anchor = jnp.array([1.0, 2.0])
    onto = decayed(jnp.array([-1.0, -1.0]), anchor=anchor)
    assert new_params(onto, jnp.ones(2), anchor + 1).tolist() == anchor.tolist()

    def loss(params, rate):
        tx = decayed(jnp.array([0.5, 0.5]), rate, anchor=anchor)
        return new_params(tx, jnp.ones(2), params).sum()

    # At its first step a parameter is its own anchor.
    for params in (anchor, anchor + 1):
        gradients = jax.grad(loss, (0, 1))(params, 0.5)
        assert all(np.isfinite(g).all() for g in gradients)


ZEROS = {
    "number": 0,
    "array": jnp.float32(0),
    "schedule": lambda count: 0.0 * count,
}


@pytest.mark.parametrize("zero", ZEROS)
def test_zero_leaves_every_bit(zero):
    by = jnp.array([jnp.inf, 0.3, -0.0, jnp.nan])
    tx = decayed(by, ZEROS[zero], anchor=None)
    params = jnp.array([jnp.inf, 1.0, 2.0, 1.0])
    updates, _ = jax.jit(tx.update)(params, tx.init(params), params)
    assert_identical(updates, by)


@settings(max_examples=50, deadline=None)
@given(g=arrays, theta=arrays, by=arrays, weight_decay=st.floats(0, 1))
def test_it_is_between_the_step_and_the_sphere(g, theta, by, weight_decay):
    old, new = float(jnp.linalg.norm(theta)), float(jnp.linalg.norm(theta + by))
    uphill = float(np.dot(np.float64(g), np.float64(theta)))
    assume(abs(uphill) > 1e-3)
    tx = decayed(by, weight_decay, anchor=None)
    got = float(jnp.linalg.norm(new_params(tx, g, theta)))
    if uphill < 0 or new <= old:
        expected = new
    else:
        expected = (1 - weight_decay) * new + weight_decay * old
    assert got == pytest.approx(expected, rel=1e-5, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(theta=arrays, by=arrays)
def test_downhill_is_outward_keeps_every_bit(theta, by):
    tx = decayed(by, 0.7, anchor=None)
    updates, _ = tx.update(-theta, tx.init(theta), theta)
    assert_identical(updates, by)


def test_what_does_not_decay_passes():
    params = {"w": jnp.array([1.0]), "count": jnp.array([1]), "none": None}
    by = {"w": jnp.array([0.5]), "count": jnp.array([2]), "none": None}
    tx = decayed(by, mask={"w": False, "count": True}, anchor=None)
    updates, _ = tx.update(params, tx.init(params), params)
    assert_identical(updates, by)


def test_extra_arguments_reach_the_optimizer():
    def update(updates, state, params=None, *, value, **extra_args):
        return jax.tree.map(lambda u: u * value, updates), state

    inner = optax.GradientTransformationExtraArgs(lambda p: optax.EmptyState(), update)
    tx = optaxwd.with_selective_projection_decay(inner)
    params = jnp.array([1.0])
    updates, _ = tx.update(params, tx.init(params), params, value=3.0)
    assert updates.tolist() == [3.0]


def test_adamspd_without_decay_is_adam():
    params = cast(example_trees(), "float32")
    gradients = cast(turning_gradients(params), "float32")
    assert_identical(
        run(optaxwd.adamspd(0.01, weight_decay=0.0), params, gradients),
        run(optax.adam(0.01), params, gradients),
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be finite and >= 0"),
        ({"mask": {"w": 1}}, TypeError, "mask leaf at 'w' must be a bool"),
        (
            {"anchor": "start"},
            ValueError,
            "anchor must be None, 'init', 'update' or",
        ),
        ({"stacked": {"w": -1}}, ValueError, r"\[.w.\] must be a whole .* got -1"),
        ({"stacked": {"w": True}}, ValueError, "got True"),
        (
            {"mask": True, "weight_decay_mask": True},
            ValueError,
            "two names of one argument",
        ),
    ],
)
@pytest.mark.parametrize("name", ["adamspd", "with_selective_projection_decay"])
def test_messages(name, options, error, message):
    first = 0.1 if name == "adamspd" else optax.sgd(0.1)
    with pytest.raises(error, match=f"{name}: .*{message}"):
        getattr(optaxwd, name)(first, **options)


def test_more_messages():
    params = {"w": jnp.ones(2)}
    with pytest.raises(TypeError, match="optimizer must be an optax.Gradient"):
        optaxwd.with_selective_projection_decay(optax.sgd)
    with pytest.raises(ValueError, match="adamspd: learning_rate must be finite"):
        optaxwd.adamspd(-0.1)
    with pytest.raises(ValueError, match="stacked gives 2 axes .* shape .2,., which"):
        optaxwd.adamspd(0.1, stacked={"w": 2}).init(params)
    with pytest.raises(ValueError, match="matches nothing"):
        optaxwd.adamspd(0.1, stacked={"v": 1}).init(params)
    with pytest.raises(ValueError, match="anchor has shape .3,. at 'w'"):
        optaxwd.adamspd(0.1, anchor={"w": jnp.ones(3)}).init(params)
    with pytest.raises(TypeError, match="coupling"):
        optaxwd.adamspd(0.1, coupling="learning_rate")
