"""Hyperball: by hand, against its paper, its laws and messages; AdamH and MuonH."""

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
arrays = helpers.vectors(3).map(lambda x: jnp.array(x, jnp.float32))


def new_params(tx, directions, params):
    updates, _ = tx.update(directions, tx.init(params), params)
    return optax.apply_updates(params, updates)


def test_by_hand():
    # R = 5: from (3 - 0.5, 4), of length √22.25, back to length 5.
    tx = optaxwd.step_on_hyperball(0.1, mask=True)
    new = new_params(tx, jnp.array([2.0, 0.0]), jnp.array([3.0, 4.0]))
    np.testing.assert_allclose(new, [2.6499947, 4.2399915], rtol=1e-6)


def test_two_steps_with_schedules_and_a_mask():
    tx = optaxwd.step_on_hyperball(
        lambda count: 0.1 * (1 - count),
        mask={"w": True, "b": False},
        other_learning_rate=lambda count: 0.5 * (count + 1),
    )
    params = {"w": jnp.array([3.0, 4.0]), "b": jnp.array([1.0])}
    directions = {"w": jnp.array([2.0, 0.0]), "b": jnp.array([2.0])}
    state = tx.init(params)
    for expected in ([2.6499947, 4.2399915, 0.0], [2.6499947, 4.2399915, -2.0]):
        updates, state = tx.update(directions, state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose([*params["w"], *params["b"]], expected, rtol=1e-6)


def test_the_radius_is_that_of_the_start():
    tx = optaxwd.step_on_hyperball(0.1, mask=True)
    start = jnp.array([3.0, 4.0])
    updates, _ = tx.update(jnp.array([2.0, 0.0]), tx.init(start), 2 * start)
    new = 2 * start + updates
    assert float(jnp.linalg.norm(new)) == pytest.approx(5.0, rel=1e-6)


def test_matrices_by_default():
    params = {"w": jnp.eye(2), "b": jnp.ones(2), "s": jnp.ones(()), "n": jnp.array(3)}
    state = optaxwd.step_on_hyperball(0.1).init(params)
    assert state.radius["b"] == state.radius["s"] == state.radius["n"]
    assert state.radius["b"] == optax.MaskedNode()
    assert float(state.radius["w"]) == pytest.approx(2**0.5)
    # The radius of one matrix, the count and the learning rate.
    assert sum(x.nbytes for x in jax.tree.leaves(state)) == 4 + 4 + 4


@pytest.mark.parametrize("name", ["step_on_hyperball", "adamh", "muonh"])
def test_without_another_rate_all_take_the_same(name):
    factory, params = getattr(optaxwd, name), {"w": jnp.eye(2), "b": jnp.ones(2)}
    grads = {"w": jnp.ones((2, 2)), "b": jnp.array([1.0, -2.0])}
    one, other = factory(0.1), {"step_on_hyperball": "other"}.get(name, "adam")
    two = factory(0.1, **{f"{other}_learning_rate": 0.1})
    assert_identical(new_params(one, grads, params), new_params(two, grads, params))


def train(algorithm, theta, gradients, learning_rate):
    """Wen et al.: with R the initial norm, θ ← R·N(θ − η·R·N(u))."""
    radius = np.linalg.norm(theta)
    for t, g in enumerate(gradients):
        u = algorithm(g, theta, 1.0)
        theta = theta - learning_rate(t) * radius * u / np.linalg.norm(u)
        theta = radius * theta / np.linalg.norm(theta)
    return theta


def learning_rate(t):
    return 0.05 * (1 - 0.5 * t / STEPS)


def adam_learning_rate(t):
    return 0.01 / (1 + t)


OPTIMIZERS = {
    "adamh": (optaxwd.adamh, references.adam, references.adam),
    "muonh": (optaxwd.muonh, references.muon, lambda: references.adam(nesterov=True)),
}


@pytest.mark.parametrize("dtype", DTYPES_BY_STAGE)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps_against_numpy(name, dtype):
    factory, on_ball, other = OPTIMIZERS[name]
    tx = factory(learning_rate, adam_learning_rate=adam_learning_rate)

    def expected(theta, g):
        theta, g = np.asarray(theta, np.float64), np.asarray(g, np.float64)
        if theta.ndim == 2:
            return train(on_ball(), theta, g, learning_rate)
        return references.train(
            other(),
            theta,
            g,
            learning_rate=adam_learning_rate,
            weight_decay=lambda t: 0.0,
            coupling="constant",
        )

    with precision_for(dtype):
        params = cast(example_trees(), dtype)
        gradients = cast(example_gradients(params, STEPS), dtype)
        trained = jax.jit(run, static_argnums=0)(tx, params, gradients)
        assert_close(trained, jax.tree.map(expected, params, gradients), steps=STEPS)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_norm_does_not_drift(dtype):
    params = cast({"w": np.random.default_rng(0).normal(size=(8, 8))}, dtype)
    gradients = cast({"w": np.random.default_rng(1).normal(size=(200, 8, 8))}, dtype)
    trained = run(optaxwd.adamh(0.03), params, gradients)
    norm, start = (
        np.linalg.norm(np.asarray(p["w"], np.float64)) for p in (trained, params)
    )
    assert norm == pytest.approx(start, rel=TOLERANCE_PER_STEP[dtype])


def test_stacked_layers_have_balls_of_their_own():
    random = np.random.default_rng(0)
    params = cast(
        {"blocks": random.normal(size=(3, 2, 4)), "bias": np.ones(3)}, "float32"
    )
    u = cast({"blocks": random.normal(size=(3, 2, 4)), "bias": np.ones(3)}, "float32")
    tx = optaxwd.step_on_hyperball(0.1, stacked={"blocks": 1})
    assert tx.init(params).radius["blocks"].shape == (3,)
    together = new_params(tx, u, params)["blocks"]
    for i in range(3):
        alone = optaxwd.step_on_hyperball(0.1)
        expected = new_params(alone, u["blocks"][i], params["blocks"][i])
        np.testing.assert_allclose(together[i], expected, rtol=1e-6, atol=1e-6)
    # A stack of biases is no matrix.
    stack = {"blocks": jnp.ones((3, 2))}
    assert tx.init(stack).radius["blocks"] == optax.MaskedNode()


def test_where_there_is_no_direction():
    zero, w, u = jnp.zeros((2, 2)), jnp.eye(2), jnp.ones((2, 2))
    tx = optaxwd.step_on_hyperball(0.5)
    assert_identical(new_params(tx, zero, w), w)
    assert_identical(new_params(tx, zero, zero), zero)
    assert_identical(new_params(tx, u, zero), -0.5 * u)  # no ball: the plain step
    assert_identical(new_params(optaxwd.step_on_hyperball(1.0), 3 * u, u), u)
    for rate in (0.0, jnp.float32(0), lambda count: 0.0 * count):
        assert_identical(new_params(optaxwd.step_on_hyperball(rate), u, w), w)
    empty = jnp.zeros((0, 3))
    assert_identical(new_params(tx, empty, empty), empty)


def test_nan_and_derivatives_pass():
    tx, w = optaxwd.step_on_hyperball(0.5), jnp.eye(2)
    assert np.isnan(new_params(tx, w.at[0, 0].set(jnp.nan), w)).any()

    def loss(params, directions, rate):
        return new_params(optaxwd.step_on_hyperball(rate), directions, params).sum()

    for params in (jnp.zeros((2, 2)), w):
        for directions in (jnp.zeros((2, 2)), jnp.ones((2, 2))):
            gradients = jax.grad(loss, (0, 1, 2))(params, directions, 0.5)
            assert all(np.isfinite(g).all() for g in gradients)


def test_complex_matrices():
    w, u = jnp.array([[3.0, 4.0j]]), jnp.array([[2.0, 0.0j]])
    new = new_params(optaxwd.step_on_hyperball(0.1), u, w)
    np.testing.assert_allclose(new, [[2.6499947, 4.2399915j]], rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(theta=arrays, u=arrays, learning_rate=st.floats(2**-10, 0.5, width=32))
def test_a_step_of_known_length_on_the_sphere(theta, u, learning_rate):
    radius, length = jnp.linalg.norm(theta), jnp.linalg.norm(u)
    assume(radius > 1e-3 and length > 1e-3)
    tx = optaxwd.step_on_hyperball(learning_rate, mask=True)
    new = new_params(tx, u, theta)
    assert float(jnp.linalg.norm(new)) == pytest.approx(float(radius), rel=1e-5)
    # The scale of the direction has no effect.
    np.testing.assert_allclose(new, new_params(tx, 8 * u, theta), rtol=1e-5, atol=1e-5)


def test_the_learning_rate_is_the_angle():
    new = new_params(
        optaxwd.step_on_hyperball(0.01),
        jnp.array([[0.0, 7.0]]),
        jnp.array([[2.0, 0.0]]),
    )
    assert float(jnp.arctan2(-new[0, 1], new[0, 0])) == pytest.approx(0.01, rel=1e-4)


def test_adamh_off_the_ball_is_adam():
    params = cast(example_trees(), "float32")
    gradients = cast(example_gradients(params, STEPS), "float32")
    assert_identical(
        run(optaxwd.adamh(0.5, mask=False, adam_learning_rate=0.01), params, gradients),
        run(optax.adam(0.01), params, gradients),
    )


def test_muonh_has_three_groups():
    # Orthogonalised, Adam on the ball (an output head), and plain Adam.
    numbers = {"w": optax.contrib.MuonDimensionNumbers(), "head": None, "emb": None}
    mask = {"w": True, "head": True, "emb": False}
    random = np.random.default_rng(0)
    params, grads = (
        cast({name: random.normal(size=(3, 2)) for name in mask}, "float32")
        for _ in range(2)
    )
    options = {"adam_learning_rate": 0.01, "mask": mask}
    new = new_params(
        optaxwd.muonh(0.1, muon_weight_dimension_numbers=numbers, **options),
        grads,
        params,
    )
    muon = new_params(optaxwd.muonh(0.1), grads["w"], params["w"])
    adam = new_params(optaxwd.adamh(0.1, nesterov=True, **options), grads, params)
    assert_close(new["w"], jax.device_get(muon))
    assert_close((new["head"], new["emb"]), jax.device_get((adam["head"], adam["emb"])))
    assert np.abs(new["w"] - adam["w"]).max() > 0.01


def test_matrices_off_the_ball_take_adam_in_muonh():
    params = {"w": jnp.eye(2), "emb": jnp.eye(2)}
    grads = {"w": jnp.ones((2, 2)), "emb": jnp.array([[1.0, -2.0], [3.0, 4.0]])}
    mask = {"w": True, "emb": False}
    new = new_params(
        optaxwd.muonh(0.1, mask=mask, adam_learning_rate=0.01), grads, params
    )
    adam = new_params(optax.nadam(0.01), grads["emb"], params["emb"])
    assert_identical(new["emb"], adam)


def test_frozen_parameters_do_not_move():
    rules = optaxwd.DecayRules([("w", True), ("base", "frozen")], default=False)
    params = {"w": jnp.eye(2), "base": jnp.eye(2), "b": jnp.ones(2)}
    for factory in (optaxwd.adamh, optaxwd.muonh):
        tx = factory(0.1, mask=rules)
        updates, _ = tx.update(
            jax.tree.map(jnp.ones_like, params), tx.init(params), params
        )
        moved = {name: bool(u.any()) for name, u in updates.items()}
        assert moved == {"w": True, "base": False, "b": True}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"learning_rate": -0.1}, ValueError, "learning_rate must be finite and >= 0"),
        ({"learning_rate": "1"}, TypeError, "learning_rate must be a number"),
        ({"mask": {"w": 1}}, TypeError, "mask leaf at 'w' must be a bool"),
        ({"stacked": {"w": 0.5}}, ValueError, "must be a whole number >= 0, got 0.5"),
        ({"mask": True, "weight_decay_mask": True}, ValueError, "two names of one"),
    ],
)
@pytest.mark.parametrize("name", ["adamh", "muonh", "step_on_hyperball"])
def test_messages(name, options, error, message):
    with pytest.raises(error, match=f"{name}: .*{message}"):
        getattr(optaxwd, name)(**{"learning_rate": 0.1, **options})


@pytest.mark.parametrize("value", [0.5, lambda count: 0.1])
def test_rules_that_scale_a_decay_are_refused(value):
    params = {"w": jnp.eye(2), "b": jnp.ones(2)}
    tx = optaxwd.adamh(0.1, mask=optaxwd.DecayRules([("w", value)], default=False))
    with pytest.raises(ValueError, match="adamh: .* Give rules True or False"):
        tx.init(params)


def test_more_messages():
    with pytest.raises(ValueError, match="adamh: adam_learning_rate must be finite"):
        optaxwd.adamh(0.1, adam_learning_rate=-1.0)
    with pytest.raises(ValueError, match="ball: other_learning_rate must be finite"):
        optaxwd.step_on_hyperball(0.1, other_learning_rate=-1.0)
    with pytest.raises(ValueError, match="muonh: beta must be in"):
        optaxwd.muonh(0.1, beta=1.0)
    with pytest.raises(ValueError, match="stacked gives 3 axes .* shape .2, 2., which"):
        optaxwd.adamh(0.1, stacked={"w": 3}).init({"w": jnp.eye(2)})
    with pytest.raises(TypeError, match="weight_decay"):
        optaxwd.adamh(0.1, weight_decay=0.1)
