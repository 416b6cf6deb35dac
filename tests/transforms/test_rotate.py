"""Rotation: by hand, against NumPy, its laws, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference_rotation
from helpers import (
    DTYPES_BY_STAGE,
    assert_close,
    assert_identical,
    by_stage,
    cast,
    example_gradients,
    precision_for,
    run,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import optaxwd

STEPS = 20


def apply(transform, updates, params):
    return transform.update(updates, transform.init(params), params)[0]


def column(*entries):
    return jnp.array([[float(entry)] for entry in entries])


def test_one_step_by_hand():
    # p = 5·(0.6, 0.8), so d points along (0.8, -0.6); 5·(0.52, 0.86)/√1.01.
    tx = optaxwd.rotate_neurons(0.1, 0.5, center=False)
    new = column(3, 4) + apply(tx, column(2, 0), column(3, 4))
    np.testing.assert_allclose(new[:, 0], [2.587097, 4.278660], rtol=1e-6)


def test_the_average_by_hand():
    # Norms 1 and 2: s = 0.1, then 0.09 + 0.4, over 0.19; 2/√(0.49/0.19) = 1.245399.
    tx = optaxwd.rotate_neurons(0.1, 0.5, center=False)
    params = column(1, 0)
    updates, state = tx.update(column(7, 1), tx.init(params), params)
    params = params + updates
    np.testing.assert_allclose(params[1, 0] / params[0, 0], -0.1, rtol=1e-6)
    np.testing.assert_allclose(state.mean_square, [[0.1]], rtol=1e-6)
    beside = 2 * jnp.stack([-params[1], params[0]])
    updates, state = tx.update(beside, state, params)
    np.testing.assert_allclose(state.mean_square, [[0.49]], rtol=1e-6)
    new = params + updates
    cosine = float((params * new).sum())
    np.testing.assert_allclose(
        np.sqrt(1 - cosine**2) / cosine, 0.1 * 1.245399, rtol=1e-4
    )
    assert state.rotation_count == 2


def test_the_first_update_centers_by_hand():
    # (1, 2, 6) less 3 is (-2, -1, 3), whose norm is the one that is kept.
    tx = optaxwd.rotate_neurons(0.1, 0.5)
    params = column(1, 2, 6)
    new = params + apply(tx, column(5, 5, 5), params)
    np.testing.assert_allclose(new[:, 0], [-2, -1, 3], rtol=1e-6)


def test_a_schedule_counts_from_zero_and_a_multiplier_is_one_of_decay():
    rules = optaxwd.DecayRules([("far", 4.0), ("off", 0.0)])
    tx = optaxwd.rotate_neurons(
        lambda count: 0.1 * (1 + count), 0.5, rules, center=False, norm_decay=0.0
    )
    params = {name: column(1, 0) for name in ("near", "far", "off")}
    state = tx.init(params)
    for tangent in (0.1, 0.2):
        updates = {name: jnp.stack([-p[1], p[0]]) for name, p in params.items()}
        steps, state = tx.update(updates, state, params)
        new = optax.apply_updates(params, steps)
        for name, times in (("near", 1), ("far", 2)):
            cosine = float((params[name] * new[name]).sum())
            sine = np.sqrt(1 - cosine**2)
            np.testing.assert_allclose(sine / cosine, times * tangent, rtol=1e-4)
        np.testing.assert_allclose(steps["off"], -0.5 * updates["off"], rtol=1e-6)
        params = new


# Which axes number neurons, by the path of the leaf, and the leaf's shape.
LEAVES = {
    "last": ((-1,), (4, 3)),
    "first": ((0,), (4, 5)),
    "stacked": ((0, 2), (2, 3, 4)),
    "convolution": ((3,), (3, 3, 2, 4)),
    "whole": ((), (3, 4)),
}


@pytest.mark.parametrize("dtype", DTYPES_BY_STAGE)
@pytest.mark.parametrize("center", [True, False])
def test_twenty_steps(dtype, center):
    random = np.random.default_rng(0)
    params = {name: random.normal(size=shape) for name, (_, shape) in LEAVES.items()}
    tx = optaxwd.rotate_neurons(
        lambda count: 0.05 / (1 + count),
        0.1,
        channel_axis={name: axes for name, (axes, _) in LEAVES.items()},
        center=center,
    )
    with precision_for(dtype):
        params = cast(params, dtype)
        updates = cast(example_gradients(params, STEPS), dtype)
        trained = jax.jit(run, static_argnums=0)(tx, params, updates)
        expected = {
            name: reference_rotation.rotate_leaf(
                leaf,
                updates[name],
                [0.05 / (1 + t) for t in range(STEPS)],
                axes=LEAVES[name][0],
                center=center,
            )
            for name, leaf in params.items()
        }
        assert_close(trained, expected, steps=STEPS)


@pytest.mark.parametrize("name", by_stage(LEAVES, first="stacked"))
def test_axes_for_all_leaves_and_by_path(name):
    axes, shape = LEAVES[name]
    params = {"w": jnp.linspace(-1.0, 2.0, int(np.prod(shape))).reshape(shape) ** 3}
    updates = {"w": jnp.cos(7 * params["w"])}
    same = [{"channel_axis": axes}, {"channel_axis": {"w": axes}}]
    if len(axes) == 1:
        same.append({"channel_axis": axes[0]})
    if name == "stacked":
        same.append({"channel_axis": -1, "stacked": {".*": 1}})
    steps = [
        apply(optaxwd.rotate_neurons(0.1, 0.1, **options), updates, params)
        for options in same
    ]
    for other in steps[1:]:
        assert_identical(other, steps[0])


finite = st.floats(-10, 10, width=32, allow_subnormal=False).filter(
    lambda x: x == 0 or abs(x) > 1e-3
)
vectors = st.lists(finite, min_size=4, max_size=4).map(
    lambda v: np.array(v, np.float32)[:, None]
)


@settings(max_examples=50, deadline=None)
@given(theta=vectors, u=vectors, rotation=st.floats(0.0078125, 0.5, width=32))
def test_the_norm_stays_and_the_angle_is_the_rotation(theta, u, rotation):
    tx = optaxwd.rotate_neurons(rotation, 0.1, center=False, norm_decay=0.0, eps=0.0)
    new = theta + np.asarray(apply(tx, jnp.asarray(u), jnp.asarray(theta)))
    norm = np.linalg.norm(theta)
    if norm == 0:
        np.testing.assert_allclose(new, -0.1 * u, rtol=1e-6)
        return
    np.testing.assert_allclose(np.linalg.norm(new), norm, rtol=1e-5)
    d = u - theta * (theta * u).sum() / norm**2
    if np.linalg.norm(d) > 1e-2 * np.linalg.norm(u):
        cosine = np.float64(theta[:, 0]) @ np.float64(new[:, 0]) / norm**2
        np.testing.assert_allclose(cosine, np.cos(np.arctan(rotation)), rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(u=vectors, along=finite, scale=st.sampled_from([2.0**-20, 0.5, 2.0**20]))
def test_neither_the_size_nor_the_radial_part_nor_the_mean_counts(u, along, scale):
    theta, tx = column(1, -2, 2, 3), optaxwd.rotate_neurons(0.1, 0.1, eps=0.0)
    direction = theta - theta.mean()
    tangent = u - u.mean() - direction * (u * direction).sum() / (direction**2).sum()
    if np.linalg.norm(tangent) < 0.1:
        return
    plain = apply(tx, jnp.asarray(u), theta)
    other = apply(tx, (u + along * direction + 3) * scale, theta)
    np.testing.assert_allclose(other, plain, atol=1e-3)


@pytest.mark.parametrize("learning_rate", [0.3, jnp.float32(0.3), lambda count: 0.3])
def test_leaves_that_do_not_turn_are_scaled(learning_rate):
    params = {
        "b": jnp.ones(3),
        "s": jnp.ones(()),
        "m": jnp.ones((2, 2)),
        "one": column(2),
    }
    updates = jax.tree.map(lambda p: 0.7 * p, params)
    mask = {"b": True, "s": True, "m": False, "one": True}
    tx = optaxwd.rotate_neurons(0.1, learning_rate, mask)
    scale = optaxwd.scale_by_learning_rate(learning_rate)
    assert_identical(apply(tx, updates, params), apply(scale, updates, params))
    state = tx.init(params)
    assert len(jax.tree.leaves(state)) == 2  # the count and the learning rate


@pytest.mark.parametrize("zero", [0, jnp.float32(0), lambda count: 0.0 * count])
def test_a_rotation_of_zero_is_no_rotation(zero):
    params, updates = column(1, 2, 6), column(1, -1, 1)
    tx = optaxwd.rotate_neurons(zero, 0.3)
    expected = apply(optaxwd.scale_by_learning_rate(0.3), updates, params)
    assert_identical(apply(tx, updates, params), expected)
    assert_identical(jax.jit(apply, static_argnums=0)(tx, updates, params), expected)


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_neuron_without_direction_takes_plain_steps(value):
    params = jnp.array([[value, 1.0], [value, 2.0], [value, 4.0]])
    tx = optaxwd.rotate_neurons(0.1, 0.5)
    state, updates = tx.init(params), jnp.array([[1.0, 1.0], [2.0, 0.0], [4.0, 3.0]])
    assert (np.asarray(state.initial_norm) > 0).tolist() == [[False, True]]
    for _ in range(2):
        steps, state = tx.update(updates, state, params)
        np.testing.assert_allclose(steps[:, 0], -0.5 * updates[:, 0], rtol=1e-6)
        params = params + steps
        # (1, 2, 4) without its mean has norm √(14/3).
        np.testing.assert_allclose(
            jnp.linalg.norm(params[:, 1]), (14 / 3) ** 0.5, rtol=1e-6
        )
    assert np.isfinite(params).all()


def test_zero_updates_and_two_entries_turn_nothing():
    # Without mean and radial part nothing is left of a neuron of two entries.
    tx = optaxwd.rotate_neurons(0.1, 0.5, eps=0.0)
    params, state = column(0.3, -0.3), tx.init(column(0.3, -0.3))
    for updates in (column(0, 0), column(0.7, 0.1), column(-3, 0.2)):
        steps, state = tx.update(updates, state, params)
        np.testing.assert_allclose(steps, np.zeros((2, 1)), atol=1e-7)


def test_complex_neurons():
    tx = optaxwd.rotate_neurons(0.1, 0.5, center=False)
    params, updates = column(3, 4) * 1j, column(2, 0) * 1j
    new = params + apply(tx, updates, params)
    np.testing.assert_allclose(new[:, 0], [2.587097j, 4.278660j], rtol=1e-6)


def test_updates_of_none_and_leaves_that_are_not_parameters():
    params = {"w": column(1, 2, 4), "none": column(1, 2, 4), "n": jnp.ones((2, 2), int)}
    tx = optaxwd.rotate_neurons(0.1, 0.5)
    state = tx.init(params)
    updates = {"w": column(1, 0, 0), "none": None, "n": jnp.zeros((2, 2), int)}
    steps, new_state = tx.update(updates, state, params)
    assert steps["none"] is None and steps["w"].shape == (3, 1)
    assert jax.tree.structure(new_state) == jax.tree.structure(state)


def test_state_is_two_numbers_per_neuron():
    state = optaxwd.rotate_neurons(0.1, 0.5).init(jnp.ones((7, 5), jnp.bfloat16))
    sizes = [(x.shape, x.dtype.name) for x in jax.tree.leaves(state)]
    per_neuron = [((1, 5), "float32"), ((1, 5), "float32")]
    assert sizes == [((), "int32"), *per_neuron, ((), "float32")]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((-0.1, 0.1), {}, ValueError, "rotation must be finite and >= 0, got -0.1"),
        ((0.1, -0.1), {}, ValueError, "learning_rate must be finite and >= 0"),
        (
            (0.1, 0.1),
            {"norm_decay": 1.0},
            ValueError,
            r"norm_decay must be in \[0, 1\)",
        ),
        ((0.1, 0.1), {"eps": -1.0}, ValueError, "eps must be finite and >= 0"),
        ((0.1, 0.1), {"center": 1}, TypeError, "center must be True or False"),
        ((0.1, 0.1), {"channel_axis": "last"}, TypeError, "got 'last'.*inject_hyper"),
        ((0.1, 0.1), {"channel_axis": (0, None)}, TypeError, "a tuple of axes"),
        ((0.1, 0.1), {"stacked": 1}, TypeError, "stacked must map patterns"),
    ],
)
def test_bad_arguments(arguments, options, error, message):
    with pytest.raises(error, match=f"rotate_neurons: .*{message}"):
        optaxwd.rotate_neurons(*arguments, **options)


def test_axes_that_are_not_there():
    params = {"dense": {"kernel": jnp.ones((3, 2))}}
    tx = optaxwd.rotate_neurons(0.1, 0.1, channel_axis=(0, 2))
    with pytest.raises(ValueError, match=r"\(0, 2\) is not an axis of 'dense/kernel'"):
        tx.init(params)
    optaxwd.rotate_neurons(0.1, 0.1, False, channel_axis=(0, 2)).init(params)


def test_a_rule_with_a_decay_of_its_own():
    rules = optaxwd.DecayRules([("w", optaxwd.rules.weight_decay(0.1))])
    params = {"w": column(1, 2, 4)}
    with pytest.raises(ValueError, match="no rotation is known. Give a multiplier"):
        apply(optaxwd.rotate_neurons(0.1, 0.1, rules), params, params)


def test_a_schedule_that_cannot_be_right():
    tx = optaxwd.rotate_neurons(lambda count: -1.0, 0.1)
    with pytest.raises(ValueError, match="rotation .from its schedule. must be finite"):
        apply(tx, column(1, 2, 4), column(1, 2, 4))


def test_missing_parameters_and_two_masks():
    tx = optaxwd.rotate_neurons(0.1, 0.1)
    with pytest.raises(ValueError, match="rotate_neurons reads the parameters"):
        tx.update(column(1), tx.init(column(1)))
    with pytest.raises(ValueError, match="two names of one argument"):
        optaxwd.rotate_neurons(0.1, 0.1, True, weight_decay_mask=True)
