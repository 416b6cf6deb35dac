"""Additive, multiplicative and proximal decay: by hand, and against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import references
from helpers import (
    DTYPES_BY_STAGE,
    assert_close,
    assert_identical,
    cast,
    example_gradients,
    example_trees,
    precision_for,
    run,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import optaxwd

STEPS = 20
PENALTIES = {
    "l2": "l2",
    "l1": "l1",
    "huber": "huber",
    "elastic net": optaxwd.elastic_net(0.25),
    "p = 0.5": optaxwd.p_norm(0.5),
    "p = 1.5": optaxwd.p_norm(1.5),
    "p = 3": optaxwd.p_norm(3),
}
FORMS = ("additive", "multiplicative", "proximal")
positive = st.floats(2.0**-10, 1e3, width=32)
signed = st.floats(-1e3, 1e3, width=32, allow_subnormal=False)


def step(params, update, **options):
    decay = optaxwd.add_decayed_weights(after_learning_rate=True, **options)
    params, update = jnp.asarray(params), jnp.asarray(update)
    return params + decay.update(update, decay.init(params), params)[0]


# θ = 2, s = −0.1 and R = 0.05, so that every rule gives another number.
@pytest.mark.parametrize(
    ("form", "penalty", "expected"),
    [
        ("additive", "l2", 1.8),
        ("multiplicative", "l2", 1.805),
        ("proximal", "l2", 1.9 / 1.05),
        ("additive", "l1", 1.85),
        ("proximal", "l1", 1.85),
        ("additive", optaxwd.huber(0.5), 1.875),
        ("proximal", optaxwd.huber(0.5), 1.875),
        ("proximal", optaxwd.p_norm(1), 1.9 / 1.025),
        ("additive", optaxwd.p_norm(3), 1.7),
        ("proximal", optaxwd.p_norm(2), 1.9 / 1.05),
        ("additive", optaxwd.elastic_net(0.5), 1.825),
        ("proximal", optaxwd.elastic_net(0.5), 1.875 / 1.025),
    ],
)
def test_one_step_by_hand(form, penalty, expected):
    moved = step([2.0], [-0.1], weight_decay=0.05, form=form, penalty=penalty)
    assert_close(moved, [expected])


def test_only_the_soft_threshold_stops_at_zero():
    theta, still = [0.03, -0.03, 0.2], jnp.zeros(3)
    prox = step(theta, still, weight_decay=0.05, penalty="l1", form="proximal")
    pull = step(theta, still, weight_decay=0.05, penalty="l1")
    assert prox[:2].tolist() == [0.0, 0.0]
    assert_close(pull, np.array([-0.02, 0.02, 0.15]))
    assert_close(prox, np.array([0.0, 0.0, 0.15]))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_soft_threshold_is_exactly_zero_for_any_step(dtype):
    random = np.random.default_rng(0)
    theta = jnp.asarray(random.normal(size=1000), dtype)
    update = jnp.asarray(-1.1 * theta, dtype)
    moved = step(theta, update, weight_decay=0.5, penalty="l1", form="proximal")
    inside = np.abs(np.asarray(theta, float) + np.asarray(update, float)) <= 0.499
    assert inside.sum() > 900 and not np.asarray(moved, float)[inside].any()


@pytest.mark.parametrize("form", ["multiplicative", "proximal"])
def test_narrow_updates_take_the_dtype_of_their_parameters(form):
    params, grads = jnp.array([1.0, 0.01]), jnp.array([0.1, 0.0003], jnp.bfloat16)
    tx = optaxwd.sgdw(0.1, weight_decay=2.0, penalty="l1", form=form)
    updates, _ = tx.update(grads, tx.init(params), params)
    assert updates.dtype == jnp.float32
    stepped = np.asarray(params) - np.float32(0.1) * np.asarray(grads, np.float32)
    target = {"multiplicative": -0.19, "proximal": 0.0}[form]
    moved = np.asarray(params + updates)
    np.testing.assert_allclose(moved[0], stepped[0] - 0.2, rtol=1e-2)
    np.testing.assert_allclose(moved[1], target, atol=1e-4)
    assert form == "multiplicative" or moved[1] == 0


def test_huber_s_forms_differ_near_delta():
    both = [
        float(step([1.1], [0.0], weight_decay=0.5, penalty="huber", form=form)[0])
        for form in ("additive", "proximal")
    ]
    np.testing.assert_allclose(both, [1.1 - 0.5, 1.1 / 1.5], rtol=1e-6)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5])
def test_below_two_a_zero_stays_under_the_proximal_p_norm(p):
    options = {"penalty": optaxwd.p_norm(p), "form": "proximal"}
    assert step([0.0], [0.3], weight_decay=0.05, **options).tolist() == [0.0]
    moved = step([0.0], [0.3], weight_decay=0.05, penalty="l2", form="proximal")
    assert_close(moved, [0.3 / 1.05])


@pytest.mark.parametrize("dtype", DTYPES_BY_STAGE)
@pytest.mark.parametrize("form", FORMS)
def test_twenty_steps(form, dtype):
    options = {
        "learning_rate": lambda t: 0.02 / (1 + t),
        "weight_decay": lambda t: 0.1 / (1 + t),
    }
    known = references.PROXES if form == "proximal" else references.PULLS
    cases = [(penalty, gate) for penalty in known for gate in (False, True)]
    with precision_for(dtype):
        params = cast(example_trees()["nested"], dtype)
        gradients = cast(example_gradients(params, STEPS), dtype)

        @jax.jit
        def train(params, gradients):
            return [
                run(
                    optaxwd.sgdw(
                        **options, penalty=PENALTIES[name], form=form, cautious=gate
                    ),
                    params,
                    gradients,
                )
                for name, gate in cases
            ]

        for trained, (name, gate) in zip(train(params, gradients), cases, strict=True):
            expected = jax.tree.map(
                lambda theta, g, name=name, gate=gate: references.train(
                    references.sgd(),
                    np.asarray(theta, np.float64),
                    np.asarray(g, np.float64),
                    **options,
                    coupling="learning_rate",
                    penalty=name,
                    form=form,
                    cautious=gate,
                ),
                params,
                gradients,
            )
            assert_close(trained, expected, steps=STEPS, message=f"{name}, {gate}")


@pytest.mark.parametrize("coupling", ["independent", "constant", "corrected"])
@pytest.mark.parametrize("form", ["multiplicative", "proximal"])
def test_every_coupling_sets_the_rate(form, coupling):
    theta, g, anchor = np.array([2.0, -1.0]), np.array([[1.0, 1.0]]), 0.5
    optimizer = optaxwd.sgdw(
        lambda t: 0.1,
        weight_decay=0.5,
        coupling=coupling,
        peak_learning_rate=0.2,
        form=form,
        anchor=jnp.full(2, anchor),
    )
    expected = references.train(
        references.sgd(),
        theta,
        g,
        learning_rate=lambda t: 0.1,
        weight_decay=lambda t: 0.5,
        coupling=coupling,
        peak=0.2,
        form=form,
        anchor=anchor,
    )
    assert_close(run(optimizer, cast(theta, "float32"), cast(g, "float32")), expected)


@settings(max_examples=60, deadline=None)
@given(x=signed, tau=positive, ratio=st.floats(0, 1), y=signed)
def test_the_proximal_operators_minimise(x, tau, ratio, y):
    """No other point is lower, for the penalties whose operator is not a surrogate."""
    penalties = {
        optaxwd.elastic_net(ratio): lambda z: ratio * abs(z) + (1 - ratio) * z**2 / 2,
        optaxwd.huber(2.0): lambda z: z**2 / 2 if abs(z) <= 2 else 2 * abs(z) - 2,
        optaxwd.p_norm(2): lambda z: z**2 / 2,
    }
    with precision_for("float64"):
        for penalty, value in penalties.items():
            best = float(penalty.prox(jnp.asarray(x, float), tau, jnp.asarray(x)))
            energies = [(z - x) ** 2 / 2 + tau * value(z) for z in (best, y)]
            assert energies[0] <= energies[1] * (1 + 1e-12) + 1e-12


@settings(max_examples=50, deadline=None)
@given(x=signed, tau=positive)
def test_two_is_l2_and_one_is_l1(x, tau):
    x = jnp.asarray(x, jnp.float32)
    assert optaxwd.p_norm(2).pull(x) == x
    assert optaxwd.p_norm(1).pull(x) == jnp.sign(x)
    one = optaxwd.elastic_net(0.0).prox(x, tau, x)
    assert_close(one, float(x) / (1 + tau))


@pytest.mark.parametrize("form", ["multiplicative", "proximal"])
@pytest.mark.parametrize("penalty", ["l2", "l1", optaxwd.p_norm(1)])
def test_a_rate_of_zero_changes_no_bit(form, penalty):
    params = {"w": jnp.array([1.1, 0.0, jnp.inf, 3e-8])}
    updates = {"w": jnp.array([1e-9, 1.0, 1.0, 1.0])}

    @jax.jit
    def decayed(weight_decay):
        decay = optaxwd.add_decayed_weights(
            weight_decay, penalty=penalty, form=form, after_learning_rate=True
        )
        return decay.update(updates, decay.init(params), params)[0]

    assert_identical(decayed(jnp.asarray(0.0)), updates)


def test_masks_and_multipliers_reach_every_form():
    rules = optaxwd.DecayRules([("half", 0.5), ("none", False)])
    params = {"all": jnp.ones(1), "half": jnp.ones(1), "none": jnp.ones(1)}
    decay = optaxwd.add_decayed_weights(
        1.0, rules, form="proximal", after_learning_rate=True
    )
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = decay.update(zeros, decay.init(params), params)
    assert_close(optax.apply_updates(params, updates)["all"], [0.5])
    assert_close(optax.apply_updates(params, updates)["half"], [1 / 1.5])
    assert_identical(updates["none"], zeros["none"])


def test_complex_parameters_shrink_along_their_phase():
    theta = jnp.array([3 + 4j, 0.1j])
    moved = step(
        theta, jnp.zeros(2, complex), weight_decay=1.0, penalty="l1", form="proximal"
    )
    np.testing.assert_allclose(moved, [0.8 * (3 + 4j), 0], rtol=1e-6)


@pytest.mark.parametrize("form", ["multiplicative", "proximal"])
def test_forms_after_the_step_refuse_to_stand_before_it(form):
    with pytest.raises(ValueError, match="after the step.*after_learning_rate=True"):
        optaxwd.add_decayed_weights(0.1, form=form)
    with pytest.raises(ValueError, match="coupling='l2' puts the decay into the grad"):
        optaxwd.adamw(0.1, coupling="l2", form=form)


def test_unknown_forms_and_penalties_that_do_not_fit():
    with pytest.raises(ValueError, match="unknown form 'prox'.*Did you mean 'proximal"):
        optaxwd.adamw(0.1, form="prox")
    cubic = optaxwd.Penalty("l3", lambda x: x**3)
    with pytest.raises(ValueError, match="'l3' has none. Pass Penalty"):
        optaxwd.adamw(0.1, penalty=cubic, form="proximal")
    with pytest.raises(ValueError, match="gradient of the penalty, but 'p_norm"):
        optaxwd.adamw(0.1, penalty=optaxwd.p_norm(0.5))


def test_what_is_no_penalty():
    with pytest.raises(TypeError, match=r"got <function huber.*call it: huber\("):
        optaxwd.adamw(0.1, penalty=optaxwd.huber)
    with pytest.raises(ValueError, match=r"Pass optaxwd.elastic_net\("):
        optaxwd.adamw(0.1, penalty="elastic_net")
    with pytest.raises(TypeError, match="name must be a text"):
        optaxwd.Penalty(jnp.sign, None)
    with pytest.raises(TypeError, match="pull must be a function or None, got 3.0"):
        optaxwd.Penalty("a", 3.0)
    with pytest.raises(ValueError, match="'a' has neither pull nor prox"):
        optaxwd.Penalty("a", None)
    with pytest.raises(ValueError, match="delta must be finite and > 0, got -1"):
        optaxwd.huber(-1)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_share_of_l1_outside_of_its_range(value):
    with pytest.raises(ValueError, match="elastic_net: l1_ratio must be"):
        optaxwd.elastic_net(value)


@pytest.mark.parametrize("value", [0, -1.0, float("inf")])
def test_a_power_that_is_not_positive(value):
    with pytest.raises(ValueError, match="p_norm: p must be"):
        optaxwd.p_norm(value)
