"""What parameters decay to: copies, norms, trees, and rules that choose among them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_identical, cast, precision_for, run

import optaxwd
from optaxwd import rules

PARAMS = {
    "body": {"kernel": jnp.array([[1.0, 2.0], [3.0, 4.0]]), "bias": jnp.ones(2)},
    "head": {"kernel": jnp.array([[2.0, 0.0]])},
}
ZEROS = jax.tree.map(jnp.zeros_like, PARAMS)
MOVED = jax.tree.map(lambda p: p + 1, PARAMS)
HALF = 0.5


def decayed(transform, params=MOVED, start=PARAMS):
    return transform.update(ZEROS, transform.init(start), params)[0]


def kept_bytes(state):
    return sum(leaf.nbytes for leaf in jax.tree.leaves(state.anchor))


def test_a_rule_gives_its_leaves_another_anchor():
    which = optaxwd.DecayRules(
        [(".*/bias", False), ("head/.*", rules.anchored("zero", 0.1))]
    )
    decay = optaxwd.add_decayed_weights(HALF, which, anchor="init")
    updates = decayed(decay)
    assert updates["body"]["kernel"].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert_close(updates["head"]["kernel"], 0.05 * (PARAMS["head"]["kernel"] + 1))
    assert not updates["body"]["bias"].any()


def test_a_rule_gives_an_anchor_where_the_transform_has_none():
    which = optaxwd.DecayRules(
        [("body/.*", rules.anchored("init", rules.weight_decay(0.25)))]
    )
    updates = decayed(optaxwd.add_decayed_weights(HALF, which))
    assert updates["body"]["kernel"].tolist() == [[0.25, 0.25], [0.25, 0.25]]
    assert_close(updates["head"]["kernel"], 0.5 * (PARAMS["head"]["kernel"] + 1))


def test_a_rule_beside_a_tree():
    which = optaxwd.DecayRules([("head/.*", rules.anchored("zero"))])
    updates = decayed(optaxwd.add_decayed_weights(HALF, which, anchor=PARAMS))
    assert updates["body"]["bias"].tolist() == [0.5, 0.5]
    assert_close(updates["head"]["kernel"], 0.5 * (PARAMS["head"]["kernel"] + 1))


@pytest.mark.parametrize("anchor", [optaxwd.InitialNorm(), optaxwd.TargetNorm(1.0)])
def test_a_group_of_a_partition_may_be_empty(anchor):
    plain = optaxwd.sgdw(0.5, weight_decay=0.5, anchor=anchor)
    both = optax.partition({"all": plain, "none": plain}, "all")
    assert_identical(decayed(both), decayed(plain))


class TestPassed:
    """Weights that are neither kept in the state nor part of the compiled step."""

    @pytest.mark.parametrize(
        "factory",
        [
            lambda **k: optaxwd.sgdw(1.0, weight_decay=HALF, **k),
            lambda **k: optaxwd.sgdw(
                1.0, weight_decay=HALF, coupling="constant", cautious=True, **k
            ),
            lambda **k: optaxwd.sgd_l2(1.0, weight_decay=HALF, **k),
            lambda **k: optaxwd.lionw(1.0, weight_decay=HALF, **k),
            lambda **k: optaxwd.decouple(optax.sgd(1.0), HALF, learning_rate=1.0, **k),
        ],
    )
    def test_is_the_same_as_a_tree(self, factory):
        given, passed = factory(anchor=PARAMS), factory(anchor="update")
        update = jax.jit(passed.update)
        updates, state = update(ZEROS, passed.init(PARAMS), MOVED, anchor=PARAMS)
        assert_identical(updates, decayed(given))
        assert jax.tree.structure(state) == jax.tree.structure(given.init(PARAMS))

    def test_in_groups_of_muon_and_under_frozen_rules(self):
        which = optaxwd.DecayRules([("head/.*", "frozen")])
        given, passed = (
            optaxwd.muonw(
                1.0,
                weight_decay=HALF,
                adam_weight_decay=HALF,
                mask=which,
                anchor=anchor,
            )
            for anchor in (PARAMS, "update")
        )
        updates, _ = passed.update(ZEROS, passed.init(PARAMS), MOVED, anchor=PARAMS)
        assert_identical(updates, decayed(given))
        assert updates["body"]["bias"].tolist() == [-0.5, -0.5]

    def test_by_rule(self):
        which = optaxwd.DecayRules([("body/.*", rules.anchored("update"))])
        decay = optaxwd.add_decayed_weights(HALF, which)
        updates, _ = decay.update(ZEROS, decay.init(PARAMS), MOVED, anchor=PARAMS)
        assert updates["body"]["bias"].tolist() == [0.5, 0.5]
        assert_close(updates["head"]["kernel"], 0.5 * (PARAMS["head"]["kernel"] + 1))

    def test_in_selective_projection_decay(self):
        given, passed = (
            optaxwd.with_selective_projection_decay(optax.sgd(-0.1), 0.5, anchor=anchor)
            for anchor in (PARAMS, "update")
        )
        expected, _ = given.update(MOVED, given.init(PARAMS), MOVED)
        updates, _ = passed.update(MOVED, passed.init(PARAMS), MOVED, anchor=PARAMS)
        assert_identical(updates, expected)

    def test_nothing_passed(self):
        decay = optaxwd.add_decayed_weights(HALF, anchor="update")
        with pytest.raises(ValueError, match=r"got none: call `update\(.*anchor=tree"):
            decay.update(ZEROS, decay.init(PARAMS), PARAMS)

    def test_a_tree_of_another_structure(self):
        decay = optaxwd.add_decayed_weights(HALF, anchor="update")
        with pytest.raises(ValueError, match="anchor does not cover .*'body/bias'"):
            decay.update(ZEROS, decay.init(PARAMS), PARAMS, anchor=PARAMS["body"])

    def test_beside_a_tree(self):
        which = optaxwd.DecayRules([("body/.*", rules.anchored("update"))])
        with pytest.raises(ValueError, match="a rule has the anchor 'update'"):
            optaxwd.add_decayed_weights(HALF, which, anchor=PARAMS)


def test_only_what_decays_to_its_start_is_kept():
    which = optaxwd.DecayRules(
        [(".*/bias", False), ("head/.*", rules.anchored("zero"))]
    )
    decay = optaxwd.add_decayed_weights(HALF, which, anchor="init")
    assert kept_bytes(decay.init(PARAMS)) == PARAMS["body"]["kernel"].nbytes
    everything = optaxwd.add_decayed_weights(HALF, anchor="init").init(PARAMS)
    assert kept_bytes(everything) == sum(p.nbytes for p in jax.tree.leaves(PARAMS))
    norms = optaxwd.control_weight_norm(HALF).init(PARAMS)
    assert kept_bytes(norms) == 4 * 3
    for anchor in (None, "zero", PARAMS, optaxwd.TargetNorm(1.0)):
        state = optaxwd.add_decayed_weights(HALF, anchor=anchor).init(PARAMS)
        assert state.anchor is None


def test_a_copy_in_bfloat16_takes_half_and_is_off_by_its_rounding():
    random = np.random.default_rng(0)
    start = {"w": jnp.asarray(random.normal(size=64), jnp.float32)}
    anchor = optaxwd.InitialParameters(dtype="bfloat16")
    decay = optaxwd.add_decayed_weights(1.0, anchor=anchor)
    state = decay.init(start)
    assert kept_bytes(state) == 2 * 64
    updates, after = decay.update(jax.tree.map(jnp.zeros_like, start), state, start)
    assert updates["w"].dtype == jnp.float32
    rounded = np.asarray(start["w"].astype(jnp.bfloat16), np.float32)
    assert_close(updates["w"], np.asarray(start["w"]) - rounded)
    assert (np.abs(updates["w"]) <= 2.0**-9 * np.abs(2 * start["w"])).all()
    assert after.anchor["w"].dtype == jnp.bfloat16


def test_the_difference_of_bfloat16_parameters_is_not_rounded_first():
    # In bfloat16 the point at norm 5.01 is the parameter itself.
    start = {"w": jnp.array([3.0, 4.0], jnp.bfloat16)}
    decay = optaxwd.control_weight_norm(1.0, norm=5.01)
    updates = decay.update(
        jax.tree.map(jnp.zeros_like, start), decay.init(start), start
    )
    assert updates[0]["w"].dtype == jnp.bfloat16
    assert_close(updates[0]["w"], np.array([3.0, 4.0]) * (1 - 5.01 / 5))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("options", [{"ratio": 0.5}, {"norm": 2.5}])
def test_the_norm_is_pulled_to_its_target(options, after):
    params = {"w": jnp.array([3.0, 4.0])}
    decay = optaxwd.control_weight_norm(0.1, **options, after_learning_rate=after)
    updates, _ = decay.update({"w": jnp.zeros(2)}, decay.init(params), params)
    sign = -1 if after else 1
    assert_close(updates["w"], sign * np.array([0.15, 0.2]))


def test_the_norm_grows_where_it_is_below_its_target_and_jumps_at_a_rate_of_one():
    params = {"w": jnp.array([3.0, 4.0])}
    decay = optaxwd.control_weight_norm(1.0, norm=10.0, after_learning_rate=True)
    updates, _ = decay.update({"w": jnp.zeros(2)}, decay.init(params), params)
    assert_close((params["w"] + updates["w"]), np.array([6.0, 8.0]))


def test_a_ratio_of_zero_is_plain_decay():
    control = decayed(optaxwd.control_weight_norm(HALF, ratio=0.0))
    plain = decayed(optaxwd.add_decayed_weights(HALF))
    assert_identical(control, plain)


def test_the_ratio_follows_its_schedule():
    params = {"w": jnp.array([3.0, 4.0])}
    decay = optaxwd.control_weight_norm(1.0, ratio=lambda count: 1.0 - 0.5 * count)
    state, seen = decay.init(params), []
    for _ in range(3):
        updates, state = decay.update({"w": jnp.zeros(2)}, state, params)
        seen.append(float(updates["w"][0]))
    np.testing.assert_allclose(seen, [0.0, 1.5, 3.0], atol=1e-6)


def test_a_zero_tensor_has_no_direction_and_no_nan():
    params = {"zero": jnp.zeros(3), "empty": jnp.zeros((0, 2))}
    updates = {"zero": jnp.ones(3), "empty": jnp.zeros((0, 2))}
    decay = optaxwd.control_weight_norm(HALF, norm=1.0)
    assert_identical(decay.update(updates, decay.init(params), params)[0], updates)


def test_cautious_control_does_not_fight_the_update():
    params = {"w": jnp.array([3.0, 4.0])}
    decay = optaxwd.control_weight_norm(1.0, norm=2.5, cautious=True)
    updates = {"w": jnp.array([1.0, -1.0])}
    new, _ = decay.update(updates, decay.init(params), params)
    assert_close(new["w"], np.array([2.5, -1.0]))


def test_norm_and_parameter_anchors_under_every_way_to_update():
    which = optaxwd.DecayRules([("head/.*", rules.anchored("zero"))])
    for anchor in ("init", optaxwd.InitialNorm(), optaxwd.InitialParameters("float16")):
        tx = optaxwd.lionw(0.1, weight_decay=0.5, mask=which, anchor=anchor)
        gradients = jax.tree.map(lambda p: jnp.stack([p, -p, p]), PARAMS)
        state = tx.init(PARAMS)
        params = PARAMS
        for i in range(3):
            grads = jax.tree.map(lambda g, i=i: g[i], gradients)
            updates, state = tx.update(grads, state, params)
            params = optax.apply_updates(params, updates)
        assert_close(run(tx, PARAMS, gradients), jax.device_get(params), steps=3)
        same = optax.tree.map_params(tx, lambda x: x, state)
        assert_identical(same, state)


def test_specs_reach_copies_and_not_norms():
    def mapped(anchor):
        tx = optaxwd.add_decayed_weights(0.1, anchor=anchor)
        return optax.tree.map_params(
            tx, lambda _: "sharded", tx.init(PARAMS), transform_non_params=lambda _: "-"
        )

    assert set(jax.tree.leaves(mapped("init").anchor)) == {"sharded"}
    assert set(jax.tree.leaves(mapped(optaxwd.InitialNorm()).anchor)) == {"-"}


def test_float64_norms():
    with precision_for("float64"):
        params = cast({"w": np.array([3.0, 4.0])}, "float64")
        decay = optaxwd.control_weight_norm(0.1, ratio=0.5)
        state = decay.init(params)
        assert state.anchor["w"].dtype == jnp.float64
        updates, _ = decay.update({"w": jnp.zeros(2)}, state, params)
        assert_close(updates["w"], np.array([0.15, 0.2]))


def test_a_tree_is_asked_only_for_what_decays_to_it():
    # Fine-tuning: the new head has another shape than the old one, or there was none.
    which = optaxwd.DecayRules(
        [("head/.*", rules.anchored("zero")), (".*/bias", False)]
    )
    kernel = PARAMS["body"]["kernel"]
    for tree in (
        {"body": {"kernel": kernel}},
        {"body": {"kernel": kernel}, "head": {"kernel": jnp.ones(7)}},
    ):
        updates = decayed(optaxwd.add_decayed_weights(HALF, which, anchor=tree))
        assert updates["body"]["kernel"].tolist() == [[0.5, 0.5], [0.5, 0.5]]
        assert_close(updates["head"]["kernel"], 0.5 * (PARAMS["head"]["kernel"] + 1))


@pytest.mark.parametrize(
    "anchor", ["init", optaxwd.InitialNorm(), optaxwd.TargetNorm(2.0)]
)
def test_integers_are_left_alone(anchor):
    params = {"w": jnp.ones((2, 2)), "step": jnp.array(3)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    tx = optaxwd.adamw(0.1, anchor=anchor)
    updates, _ = tx.update(zeros, tx.init(params), params)
    assert updates["step"] == 0 and np.isfinite(updates["w"]).all()


def test_anchors_of_two_kinds_are_refused():
    which = optaxwd.DecayRules(
        [("head/.*", rules.anchored(optaxwd.InitialNorm())), ("body/.*", 1.0)]
    )
    with pytest.raises(ValueError, match="anchors of both kinds.*two transforms"):
        optaxwd.add_decayed_weights(0.1, which, anchor="init")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: rules.anchored(None), "anchored: anchor must be 'init', 'zero'"),
        (lambda: rules.anchored(jnp.ones(2)), "use 'update', and pass them to every"),
        (lambda: rules.anchored(optaxwd.InitialNorm), "an anchor object such as"),
        (lambda: rules.anchored("start"), "got 'start'"),
        (
            lambda: optaxwd.adamw(0.1, anchor=optaxwd.InitialNorm),
            r"got the class InitialNorm. Call it: InitialNorm\(\)",
        ),
        (lambda: optaxwd.InitialParameters("foo"), "got 'foo'"),
        (lambda: optaxwd.adamwn(0.1, ratio=-1.0), "adamwn: ratio must be finite"),
        (
            lambda: optaxwd.control_weight_norm(0.1, norm=-1.0),
            "control_weight_norm: norm must be finite",
        ),
        (lambda: rules.anchored("init", -1.0), "anchored: value: a multiplier must"),
        (lambda: optaxwd.InitialParameters("int8"), "dtype must be a floating-point"),
        (lambda: optaxwd.InitialNorm(-1.0), "InitialNorm: ratio must be finite"),
        (lambda: optaxwd.TargetNorm(float("nan")), "TargetNorm: norm must be finite"),
        (
            lambda: optaxwd.control_weight_norm(0.1, ratio=1.0, norm=2.0),
            "two ways to say the target",
        ),
    ],
)
def test_what_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_table_of_rules_shows_anchors():
    which = optaxwd.DecayRules([("head/.*", rules.anchored("zero"))])
    assert repr(which).startswith("DecayRules([('head/.*', anchored('zero', 1))]")
    assert "rule 0: anchor 'zero'" in str(which.explain(PARAMS))


KNOW_NO_ANCHOR = {
    "adamcpr": (0.1,),
    "adamh": (0.1,),
    "adamp": (0.1,),
    "adams": (0.1,),
    "amos": (0.1, 0.5),
    "constrain_norms": (),
    "muonh": (0.1,),
    "project_updates": (optax.identity(),),
    "rotate_neurons": (0.1, 0.1),
    "rotational_adamw": (0.1,),
    "rotational_lion": (0.1,),
    "rotational_sgd": (0.1,),
    "scale_by_amos": (0.1, 0.5),
    "sgdp": (0.1,),
    "step_on_hyperball": (0.1,),
    "with_stable_weight_decay": (optax.scale_by_adam(), 0.1),
}


@pytest.mark.parametrize("name", KNOW_NO_ANCHOR)
def test_laws_that_know_no_anchor_refuse_those_of_rules(name):
    factory, arguments = getattr(optaxwd, name), KNOW_NO_ANCHOR[name]
    with pytest.raises(ValueError, match=f"^{name}: a rule gives the anchor 'init'"):
        factory(*arguments, mask=optaxwd.DecayRules({"w": rules.anchored("init")}))
    factory(*arguments, mask=optaxwd.DecayRules({"w": rules.anchored("zero")}))
