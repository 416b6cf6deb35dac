"""Rules: order, patterns, values, strictness, and how Optax takes them."""

import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import by_stage, optimizers_with_weight_decay

import optaxwd
from optaxwd.rules import glob, owned_by, search, weight_decay

PARAMS = {
    "encoder": {
        "layer_0": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
        "layer_1": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
    },
    "head": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)},
}
PATHS = optaxwd.leaf_paths(PARAMS)
HEAD = {"head/bias", "head/kernel"}
LAYER_1 = {"encoder/layer_1/bias", "encoder/layer_1/kernel"}


def matching(pattern, params=PARAMS):
    rules = optaxwd.DecayRules([(pattern, True)], default=False, strict=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = jax.tree.leaves(rules.mask(params))
    return {p for p, yes in zip(optaxwd.leaf_paths(params), chosen, strict=True) if yes}


def updates_of(tx, params=PARAMS):
    zeros = jax.tree.map(jnp.zeros_like, params)
    return tx.update(zeros, tx.init(params), params)[0]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (".*/bias", {p for p in PATHS if p.endswith("bias")}),
        ("bias", set()),  # matched in full
        ("head/.*", HEAD),
        (glob("**/bias"), {p for p in PATHS if p.endswith("bias")}),
        (glob("*/bias"), {"head/bias"}),
        (
            glob("encoder/*/kernel"),
            {"encoder/layer_0/kernel", "encoder/layer_1/kernel"},
        ),
        (glob("encoder/**"), {p for p in PATHS if p.startswith("encoder")}),
        (
            glob("encoder/layer_[1-9]/**"),
            {"encoder/layer_1/bias", "encoder/layer_1/kernel"},
        ),
        (glob("**/layer_?/bias"), {"encoder/layer_0/bias", "encoder/layer_1/bias"}),
        (glob("head/kern.l"), set()),  # a dot is a dot
        (glob("encoder/layer_[!0]/**"), LAYER_1),
        (glob("head[!b]bias"), set()),  # within one component
        (glob("head/**"), HEAD),
        (search("layer_1"), LAYER_1),
        (lambda path, leaf: leaf.shape == (2, 3), {"head/kernel"}),
        (
            lambda path, leaf: np.bool_(path.startswith("head")),
            {"head/bias", "head/kernel"},
        ),
    ],
)
def test_patterns(pattern, expected):
    assert matching(pattern) == expected


def test_a_double_star_also_matches_no_component():
    assert matching(glob("**/w"), {"w": jnp.ones(1), "a": {"w": jnp.ones(1)}}) == {
        "w",
        "a/w",
    }


def test_the_first_match_wins():
    rules = optaxwd.DecayRules(
        [("head/bias", 0.5), (glob("**/bias"), False), ("head/.*", 2)], default=0.1
    )
    assert rules.multipliers(PARAMS) == {
        "encoder": {
            "layer_0": {"kernel": 0.1, "bias": 0.0},
            "layer_1": {"kernel": 0.1, "bias": 0.0},
        },
        "head": {"kernel": 2.0, "bias": 0.5},
    }
    assert rules.mask(PARAMS)["head"] == {"kernel": True, "bias": True}


def test_a_mapping_and_a_repr():
    rules = optaxwd.DecayRules({".*/bias": False, "head/.*": "frozen"}, default=None)
    assert repr(rules) == (
        "DecayRules([('.*/bias', 0), ('head/.*', 'frozen')], default=None)"
    )


def test_presets_can_be_extended():
    rules = optaxwd.DecayRules([("head/.*", 0.1), *optaxwd.rules.standard().rules])
    assert rules.multipliers(PARAMS)["head"] == {"kernel": 0.1, "bias": 0.1}
    assert rules.multipliers(PARAMS)["encoder"]["layer_0"]["bias"] == 0.0


class TestOneTransformServesAllGroups:
    RULES = optaxwd.DecayRules(
        [
            (glob("**/bias"), False),
            ("head/.*", weight_decay(0.05)),
            ("encoder/layer_0/.*", 0.5),
            ("encoder/layer_1/.*", lambda count: 0.1 * (count + 1)),
        ]
    )

    @pytest.mark.parametrize(
        ("options", "factor"),
        [
            ({}, 0.1),
            ({"coupling": "independent"}, 1.0),
            ({"coupling": "constant"}, 1.0),
            ({"coupling": "corrected", "peak_learning_rate": 0.2}, 0.05),
            ({"coupling": "l2"}, 0.1),
        ],
    )
    def test_rates_by_hand(self, options, factor):
        tx = optaxwd.sgdw(0.1, weight_decay=0.4, mask=self.RULES, **options)
        state = tx.init(PARAMS)
        zeros = jax.tree.map(jnp.zeros_like, PARAMS)
        for count in range(2):
            updates, state = jax.jit(tx.update)(zeros, state, PARAMS)
            rates = {
                "encoder/layer_0/kernel": 0.4 * 0.5,
                "encoder/layer_1/kernel": 0.1 * (count + 1),
                "head/kernel": 0.05,
            }
            for path, leaf in zip(PATHS, jax.tree.leaves(updates), strict=True):
                expected = -rates.get(path, 0.0) * factor
                np.testing.assert_allclose(leaf, expected, rtol=1e-6, err_msg=path)

    def test_there_is_one_count(self):
        state = optaxwd.sgdw(0.1, mask=self.RULES).init(PARAMS)
        assert [type(s).__name__ for s in state] == [
            "EmptyState",
            "AddDecayedWeightsState",
            "ScaleByLearningRateState",
        ]

    def test_an_own_rate_decays_where_the_transform_s_is_zero(self):
        updates = updates_of(optaxwd.sgdw(1.0, weight_decay=0.0, mask=self.RULES))
        np.testing.assert_allclose(updates["head"]["kernel"], -0.05)
        assert not updates["encoder"]["layer_0"]["kernel"].any()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            [("head/kernle", 0.1)],
            "rule 0 .'head/kernle'. matches nothing; the nearest paths are 'head/",
        ),
        (
            [(glob("**/bias"), False), ("head/bias", 0.5)],
            "rule 1 .'head/bias'. is shadowed: all 1 leaves it matches are taken",
        ),
    ],
)
def test_a_useless_rule_is_an_error(rules, message):
    strict = optaxwd.DecayRules(rules)
    for use in (strict.mask, strict.multipliers, strict, strict.frozen):
        with pytest.raises(ValueError, match=message):
            use(PARAMS)
    with pytest.raises(ValueError, match=message):
        optaxwd.adamw(0.1, mask=strict).init(PARAMS)
    with pytest.raises(ValueError, match=message):
        optaxwd.muonw(0.1, mask=strict).init(PARAMS)
    lenient = optaxwd.DecayRules(rules, strict=False)
    with pytest.warns(UserWarning, match=message):
        lenient.mask(PARAMS)
    other = {"encoder": PARAMS["encoder"], "other": jnp.ones(1)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        lenient.mask(PARAMS)
        lenient.mask(other)


def test_without_a_default_every_leaf_needs_a_rule():
    rules = optaxwd.DecayRules([(".*/kernel", 1.0)], default=None)
    with pytest.raises(ValueError, match="no rule matches 'encoder/layer_0/bias'"):
        rules.mask(PARAMS)
    with_count = {"dense": {"kernel": jnp.ones(1)}, "count": jnp.array(3)}
    assert rules.mask(with_count) == {"dense": {"kernel": True}, "count": False}
    covered = optaxwd.DecayRules([(".*/kernel", 1.0), (".*", 0.0)], default=None)
    assert covered.mask(PARAMS)["head"] == {"kernel": True, "bias": False}


def test_all_problems_come_at_once():
    rules = optaxwd.DecayRules(
        [("a", 1), ("head/.*", 1), ("head/bias", 1)], default=None
    )
    with pytest.raises(ValueError) as error:
        rules.mask(PARAMS)
    for part in ("rule 0", "rule 2", "there is no default"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-1, ValueError, "multiplier must be finite and >= 0, got -1"),
        (float("nan"), ValueError, "got nan"),
        (float("inf"), ValueError, "got inf"),
        ("yes", TypeError, "got 'yes' of type str"),
        (None, TypeError, "got None"),
        ([1.0], TypeError, "got .1.0. of type list"),
    ],
)
def test_bad_values(value, error, message):
    with pytest.raises(error, match=rf"rule 1 .*head.*{message}"):
        optaxwd.DecayRules([(".*/bias", False), ("head/.*", value)])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: optaxwd.DecayRules([("(", 1)]),
            ValueError,
            "rule 0: .*position 0",
        ),
        (lambda: optaxwd.DecayRules([("**/bias", 1)]), ValueError, "use glob"),
        (lambda: optaxwd.DecayRules([(3, 1)]), TypeError, "rule 0: a pattern must be"),
        (lambda: optaxwd.DecayRules([".*"]), TypeError, "rule 0 must be a .pattern"),
        (lambda: optaxwd.DecayRules(strict=None), TypeError, "strict must be True or"),
        (lambda: optaxwd.DecayRules(default=-1), ValueError, "default: a multiplier"),
        (lambda: search("["), ValueError, "search: '.' is not a regular expression"),
        (lambda: owned_by(3), TypeError, "owned_by: a regular expression must be"),
        (lambda: glob(""), ValueError, "glob: pattern must be a text"),
        (lambda: glob("a**/b"), ValueError, "'..' must be a whole component"),
        (lambda: weight_decay(-0.1), ValueError, "weight_decay: value must be finite"),
    ],
)
def test_bad_rules(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_predicate_must_answer_yes_or_no():
    rules = optaxwd.DecayRules([(lambda path, leaf: leaf.ndim, True)])
    with pytest.raises(TypeError, match="must return a bool, got 1 for"):
        rules.mask(PARAMS)


class TestInsideOptax:
    RULES = optaxwd.DecayRules([(glob("**/bias"), False)])

    def test_as_a_mask_of_optax_s_own(self):
        ours = updates_of(optaxwd.adamw(0.1, weight_decay=0.5, mask=self.RULES))
        theirs = updates_of(optax.adamw(0.1, weight_decay=0.5, mask=self.RULES))
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)

    def test_under_masked_and_partition(self):
        decay = optax.masked(optax.add_decayed_weights(0.5), self.RULES)
        assert updates_of(decay)["head"]["bias"].tolist() == [0, 0, 0]
        assert updates_of(decay)["head"]["kernel"][0, 0] == 0.5
        # Each group sees only its own leaves: rules for the other are no mistake.
        rules = optaxwd.DecayRules([("head/.*", 0.5), ("encoder/.*/bias", False)])
        tx = optaxwd.sgdw(1.0, weight_decay=0.1, mask=rules)
        both = optax.partition({"a": tx, "b": tx}, {"encoder": "a", "head": "b"})
        np.testing.assert_allclose(updates_of(both)["head"]["kernel"], -0.05)
        np.testing.assert_allclose(
            updates_of(both)["encoder"]["layer_0"]["kernel"], -0.1
        )

    @pytest.mark.parametrize("factory", [optax.adamw, optaxwd.adamw])
    def test_inject_hyperparams_is_told_apart(self, factory):
        with pytest.raises(TypeError, match="called with a step count.*static_args"):
            optax.inject_hyperparams(factory)(0.1, mask=self.RULES).init(PARAMS)
        build = optax.inject_hyperparams(factory, static_args=("mask",))
        tx = build(0.1, weight_decay=0.5, mask=self.RULES)
        np.testing.assert_allclose(updates_of(tx)["head"]["kernel"], -0.05, rtol=1e-6)
        assert not updates_of(tx)["head"]["bias"].any()

    @pytest.mark.parametrize("count", [0, np.int32(3), jnp.zeros([], jnp.int32)])
    def test_step_counts_are_refused(self, count):
        with pytest.raises(TypeError, match="called with a step count"):
            self.RULES(count)

    def test_under_map_params(self):
        tx = optaxwd.adamw(0.1, mask=self.RULES, anchor="init")
        state = tx.init(PARAMS)
        doubled = optax.tree.map_params(tx, lambda x: x * 2, state)
        assert float(doubled[1].anchor["head"]["kernel"][0, 0]) == 2.0
        assert doubled[1].anchor["head"]["bias"] == optax.MaskedNode()

    @pytest.mark.parametrize("factory", [optax.adamw, optaxwd.adamw])
    def test_under_nnx_optimizer(self, factory):
        model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        model.bias[...] = jnp.ones(2)
        rules = optaxwd.DecayRules([("bias", False)])
        tx = factory(1.0, weight_decay=0.5, mask=rules)
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        kernel = model.kernel[...]
        optimizer.update(
            model, jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param))
        )
        np.testing.assert_allclose(model.kernel[...], kernel / 2)
        np.testing.assert_array_equal(model.bias[...], jnp.ones(2))


def test_leaves_that_are_not_parameters_are_left_alone():
    params = {"w": jnp.ones(2), "steps": jnp.array(3), "f": jnp.tanh, "none": None}
    params["rate"] = 0.5  # an Equinox module may hold its dropout rate so
    rules = optaxwd.DecayRules([(".*", 1.0)])
    assert rules.mask(params) == {
        "w": True,
        "steps": False,
        "f": False,
        "none": None,
        "rate": False,
    }
    reasons = {row.path: row.reason for row in rules.explain(params).rows}
    assert reasons["steps"] == "not a parameter: int32"
    assert reasons["none"] == "not a parameter: None"
    assert reasons["rate"] == "not a parameter: float"
    assert reasons["f"].startswith("not a parameter")


def test_predicates_are_asked_of_parameters_only():
    rules = optaxwd.DecayRules([(lambda path, leaf: leaf.ndim <= 1, False)])
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2), "f": jnp.tanh, "none": None}
    assert rules.mask(params) == {"w": True, "b": False, "f": False, "none": None}
    assert len(rules.explain(params).rows) == 4


def test_an_own_rate_of_zero_does_not_decay():
    rules = optaxwd.DecayRules([("head/.*", weight_decay(0.0))])
    assert rules.mask(PARAMS)["head"] == {"kernel": False, "bias": False}
    assert rules.explain(PARAMS).decaying == 12


def test_numpy_bools_are_bools():
    rules = optaxwd.DecayRules([("head/.*", np.bool_(False))])
    assert rules.multipliers(PARAMS)["head"] == {"kernel": 0.0, "bias": 0.0}
    with pytest.raises(ValueError, match="LeafDecay: multiplier must be finite"):
        optaxwd.rules.LeafDecay(-1.0)


def test_rules_are_resolved_once():
    asked = []

    def predicate(path, leaf):
        asked.append(path)
        return leaf.ndim > 1

    tx = optaxwd.sgdw(0.1, mask=optaxwd.DecayRules([(predicate, True)], default=False))
    params = {f"layer_{i}": jnp.ones((2, 2)) for i in range(100)}
    state = tx.init(params)
    assert len(asked) == 100
    for _ in range(3):
        _, state = tx.update(params, state, params)
    jax.jit(tx.update)(params, state, params)
    assert len(asked) == 100


def test_each_tree_has_decisions_of_its_own():
    """What is remembered of one tree is not said of another."""
    of_names = optaxwd.DecayRules([(".*bias", False)])
    vector, matrix = jnp.ones(2), jnp.ones((2, 2))
    assert of_names.mask({"a bias": vector, "w": vector})["w"]
    assert of_names.mask({"w": vector, "z bias": vector})["w"]
    of_shapes = optaxwd.DecayRules([(lambda path, leaf: leaf.ndim > 1, 2.0)], 0.0)
    assert of_shapes.multipliers({"a": matrix, "b": vector}) == {"a": 2.0, "b": 0.0}
    assert of_shapes.multipliers({"a": vector, "b": matrix}) == {"a": 0.0, "b": 2.0}


def test_many_leaves_take_one_pass():
    params = {
        f"block_{i}": {f"w{j}": np.zeros(1) for j in range(100)} for i in range(100)
    }
    rules = optaxwd.DecayRules([(r"block_\d/.*", 0.5), (glob("**/w1?"), False)])
    assert sum(jax.tree.leaves(rules.multipliers(params))) == 1000 * 0.5 + 8100


class TestFreeze:
    RULES = optaxwd.DecayRules([("encoder/.*", "frozen"), (glob("**/bias"), False)])

    @pytest.mark.parametrize(
        "name", by_stage(optimizers_with_weight_decay(), first="adamw")
    )
    def test_in_every_optimizer(self, name):
        factory = getattr(optaxwd, name)
        tx = factory(0.1, mask=self.RULES, weight_decay=0.5)
        params, state = PARAMS, tx.init(PARAMS)
        # Of both signs: along the parameters themselves, what turns them does nothing.
        grads = jax.tree.map(
            lambda p: p * (-1.0) ** jnp.arange(p.size).reshape(p.shape), PARAMS
        )
        for _ in range(2):
            updates, state = jax.jit(tx.update)(grads, state, params)
            params = optax.apply_updates(params, updates)
        jax.tree.map(
            np.testing.assert_array_equal, params["encoder"], PARAMS["encoder"]
        )
        assert (params["head"]["kernel"] != PARAMS["head"]["kernel"]).all()
        shapes = [x.shape for x in jax.tree.leaves(state)]
        assert (2, 2) not in shapes, "moments are kept for frozen parameters"

    @pytest.mark.parametrize(
        "inner",
        [
            optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.1)),
            optax.MultiSteps(optax.sgd(0.1, 0.9), 1).gradient_transformation(),
            optax.contrib.muon(0.1, weight_decay=0.1),
            optax.lamb(0.1, weight_decay=0.1),
        ],
    )
    def test_whatever_the_chain_holds(self, inner):
        tx = optaxwd.freeze(inner, self.RULES)
        updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
        assert not any(x.any() for x in jax.tree.leaves(updates["encoder"]))
        assert updates["head"]["kernel"].any()

    def test_gradients_of_frozen_parameters_count_in_no_norm(self):
        tx = optaxwd.freeze(optax.clip_by_global_norm(1.0), self.RULES)
        grads = jax.tree.map(jnp.zeros_like, PARAMS)
        grads["encoder"] = jax.tree.map(lambda x: x * 1e6, PARAMS["encoder"])
        grads["head"]["bias"] = jnp.array([0.5, 0.0, 0.0])
        updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
        assert updates["head"]["bias"].tolist() == [0.5, 0.0, 0.0]

    def test_gradients_may_be_missing(self):
        tx = optaxwd.freeze(optax.adam(0.1), self.RULES)
        grads = {
            "encoder": jax.tree.map(lambda _: None, PARAMS["encoder"]),
            "head": PARAMS["head"],
        }
        updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
        assert updates["encoder"]["layer_0"]["kernel"] is None
        assert updates["head"]["kernel"].any()

    def test_without_parameters_nothing_is_checked_again(self):
        rules = optaxwd.DecayRules([(lambda path, leaf: path == "base", "frozen")])
        tx = optaxwd.freeze(optax.sgd(0.1), rules)
        state = tx.init({"base": jnp.ones(1), "head": jnp.ones(1)})
        updates, _ = tx.update({"base": None, "head": jnp.ones(1)}, state)
        assert updates["base"] is None and updates["head"].any()

    def test_a_line_search_sees_the_whole_loss(self):
        tx = optaxwd.freeze(optax.lbfgs(), self.RULES)

        def loss(params):
            return sum(jnp.sum((x - 2) ** 2) for x in jax.tree.leaves(params))

        params, state = PARAMS, tx.init(PARAMS)
        value, grad = jax.value_and_grad(loss)(params)
        updates, _ = tx.update(
            grad, state, params, value=value, grad=grad, value_fn=loss
        )
        params = optax.apply_updates(params, updates)
        jax.tree.map(
            np.testing.assert_array_equal, params["encoder"], PARAMS["encoder"]
        )
        assert loss(params) < value

    def test_zero_gradients_are_not_freezing(self):
        tx = optax.adamw(0.1, weight_decay=0.5)
        assert updates_of(tx)["encoder"]["layer_0"]["kernel"].any()
        frozen = updates_of(optaxwd.freeze(tx, self.RULES))
        assert not frozen["encoder"]["layer_0"]["kernel"].any()

    def test_map_params(self):
        tx = optaxwd.freeze(optax.adam(0.1), self.RULES)
        state = tx.init(PARAMS)
        same = optax.tree.map_params(tx, lambda x: x, state)
        assert jax.tree.structure(same) == jax.tree.structure(state)

    def test_messages(self):
        with pytest.raises(TypeError, match="rules must be a DecayRules"):
            optaxwd.freeze(optax.adam(0.1), {"encoder": True})
        with pytest.raises(ValueError, match="freezes anything"):
            optaxwd.freeze(optax.adam(0.1), optaxwd.rules.standard())
        with pytest.raises(TypeError, match="optimizer must be"):
            optaxwd.freeze(optax.adam, self.RULES)


class TestExplain:
    RULES = optaxwd.DecayRules(
        [(glob("**/bias"), False), ("head/.*", 0.1)], default=1.0
    )

    def test_markdown_is_stable(self):
        table = self.RULES.explain(PARAMS, weight_decay=0.1, learning_rate=0.01)
        assert (
            table.to_markdown()
            == """\
| parameter | shape | rule | multiplier | λ | half-life | reason |
| --- | --- | --- | --- | --- | --- | --- |
| `encoder/layer_0/bias` | (2,) | `glob(**/bias)` | 0 | 0 | ∞ | rule 0 |
| `encoder/layer_0/kernel` | (2,2) | `default` | 1 | 0.1 | 692.8 | default |
| `encoder/layer_1/bias` | (2,) | `glob(**/bias)` | 0 | 0 | ∞ | rule 0 |
| `encoder/layer_1/kernel` | (2,2) | `default` | 1 | 0.1 | 692.8 | default |
| `head/bias` | (3,) | `glob(**/bias)` | 0 | 0 | ∞ | rule 0 |
| `head/kernel` | (2,3) | `head/.*` | 0.1 | 0.01 | 6931 | rule 1 |

- `glob(**/bias)`: 3 leaves, 7 parameters
- `default`: 2 leaves, 8 parameters
- `head/.*`: 1 leaf, 6 parameters
- decays: 14 of 21 parameters (66.67 %)
"""
        )

    def test_text_and_html_hold_every_leaf(self):
        table = self.RULES.explain(PARAMS)
        html = table._repr_html_()
        for path in PATHS:
            assert path in str(table) and f">{path}</td>" in html

    def test_without_rich(self, monkeypatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        text = str(self.RULES.explain(PARAMS))
        assert re.search(r"^head/kernel +\(2,3\) +head/\.\* +0\.1 ", text, re.MULTILINE)

    def test_shapes_are_enough(self):
        big = {
            f"layer_{i}": jax.ShapeDtypeStruct((8192, 28672), jnp.bfloat16)
            for i in range(300)
        }
        table = optaxwd.rules.standard().explain(big)
        assert table.total == table.decaying == 300 * 8192 * 28672

    def test_problems_do_not_raise(self):
        rules = optaxwd.DecayRules([("nothing", 1.0)])
        assert "matches nothing" in str(rules.explain(PARAMS))

    def test_cells_survive_markdown_and_rich(self):
        rules = optaxwd.DecayRules(
            [(lambda path, leaf: path == "a", 0.5), (r"b\[x]|c", 1.0)], strict=False
        )
        table = rules.explain({"a": jnp.ones(1), "c": jnp.ones(1)})
        assert "`<lambda>()`" in table.to_markdown()
        assert r"`b\[x]\|c`" in table.to_markdown()
        assert r"b\[x]|c" in str(table)

    def test_bad_rates(self):
        with pytest.raises(ValueError, match="explain: weight_decay must be finite"):
            self.RULES.explain(PARAMS, weight_decay=-0.1)
        with pytest.raises(TypeError, match="explain: learning_rate must be a number"):
            self.RULES.explain(PARAMS, learning_rate=lambda count: 0.1)
        rows = self.RULES.explain(PARAMS, weight_decay=lambda count: 0.1).rows
        assert [row.weight_decay for row in rows[:2]] == [0.0, "schedule"]

    def test_a_leaf_without_a_rule_is_told(self):
        rules = optaxwd.DecayRules([("head/.*", 1.0)], default=None)
        rows = {row.path: row for row in rules.explain(PARAMS).rows}
        assert rows["encoder/layer_0/bias"].reason == "no rule"

    def test_tied_parameters_are_told(self):
        table = jnp.ones((3, 2))
        text = str(self.RULES.explain({"embed": table, "head": {"kernel": table}}))
        assert "'embed' and 'head/kernel' are the same array" in text

    def test_schedules_and_own_rates(self):
        rules = optaxwd.DecayRules(
            [("head/.*", weight_decay(0.5)), (".*/bias", lambda t: 0.1)]
        )
        rows = {r.path: r for r in rules.explain(PARAMS, learning_rate=0.1).rows}
        assert rows["head/kernel"].weight_decay == 0.5
        assert rows["encoder/layer_0/bias"].weight_decay == "schedule"
        assert rows["encoder/layer_0/kernel"].weight_decay is None
        assert rows["head/kernel"].half_life == pytest.approx(np.log(2) / -np.log(0.95))
