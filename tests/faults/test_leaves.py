"""Leaves that are no parameters, have nothing in them, or have no gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fault_zoo import (
    EVERY,
    FACTORIES,
    STAGES,
    WHOLE_NUMBERS,
    adamw,
    built,
    gradients,
    parameters,
)
from helpers import assert_identical, by_stage, describe, precision_for

import optaxwd

OPTIMIZERS = [name for name in FACTORIES if name not in STAGES]
REGISTERED = list(optaxwd.list_optimizers())


@pytest.mark.parametrize("name", EVERY)
def test_integers_keep_their_values_and_cost_nothing(name):
    _, update, state, params = built(name)
    updates, after = update(gradients(), state, params)
    assert describe(after) == describe(state)
    assert not {jnp.int32, jnp.bool_} & {
        x.dtype.type for x in jax.tree.leaves(state) if x.ndim
    }
    for key in WHOLE_NUMBERS:
        if name in STAGES:
            assert updates[key].dtype == jax.dtypes.float0
            continue
        assert updates[key].dtype == params[key].dtype
        new = optax.apply_updates(params[key], updates[key])
        assert_identical(new, params[key])


@pytest.mark.parametrize("name", EVERY)
def test_integers_change_nothing_for_the_others(name):
    _, update, state, params = built(name)
    updates, _ = update(gradients(), state, params)
    optimizer, floats_only = FACTORIES[name](), parameters()
    for key in WHOLE_NUMBERS:
        del floats_only[key]
    # By shapes alone: the same state but for the places of what is hidden. A stage
    # that keeps two scalars for each leaf keeps them for these as well.
    bare = jax.eval_shape(optimizer.init, floats_only)
    if name != "constrain_norms":
        assert [describe(x) for x in jax.tree.leaves(bare)] == [
            describe(x) for x in jax.tree.leaves(state)
        ]
    for key in floats_only:
        assert describe(updates[key]) == describe(params[key])


@pytest.mark.parametrize("name", by_stage(OPTIMIZERS, first="muonw"))
def test_other_gradients_of_integers_are_ignored_too(name):
    optimizer, params = FACTORIES[name](), parameters()
    grads = {**gradients(), "n": jnp.ones(3), "flag": None}
    state = jax.eval_shape(optimizer.init, params)
    updates, after = jax.eval_shape(optimizer.update, grads, state, params)
    assert describe(after) == describe(state)
    assert updates["n"].dtype == params["n"].dtype
    assert updates["flag"] is None


def test_rules_are_strict_about_what_stands_beside_integers():
    params = {"w": jnp.ones(2), "n": jnp.arange(2)}
    tx = optaxwd.adamw(0.1, mask=optaxwd.DecayRules([("kernel", 0.0)]))
    with pytest.raises(ValueError, match="'kernel'.* matches nothing"):
        tx.init(params)


def test_frozen_integers_have_a_zero_that_can_be_added():
    params = {"w": jnp.ones(2), "n": jnp.arange(2)}
    grads = {"w": jnp.ones(2), "n": np.zeros(2, jax.dtypes.float0)}
    rules = optaxwd.DecayRules([("n", "frozen")])
    for tx in (optaxwd.adamw(0.1, mask=rules), optaxwd.freeze(adamw(), rules)):
        updates, _ = tx.update(grads, tx.init(params), params)
        new = optax.apply_updates(params, updates)
        assert_identical(new["n"], params["n"])
        assert new["w"][0] < 1


NOTHING = {
    "empty": {},
    "only None": {"a": None},
    "masked": {"a": optax.MaskedNode(), "b": jnp.ones(2)},
    "no entries": {
        "a": jnp.zeros((0, 3)),
        "b": jnp.zeros((3, 0, 2)),
        "c": jnp.zeros(0),
    },
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.filterwarnings("ignore:.*is named like a bias:UserWarning")
def test_trees_of_nothing(name):
    tx = FACTORIES[name]()
    for params in NOTHING.values():
        state = jax.eval_shape(tx.init, params)
        updates, after = jax.eval_shape(tx.update, params, state, params)
        assert describe(updates) == describe(params)
        assert jax.tree.structure(after) == jax.tree.structure(state)


@pytest.mark.parametrize("name", by_stage(REGISTERED, first="adamw"))
def test_a_gradient_that_is_missing_or_of_another_shape_is_named(name):
    optimizer = FACTORIES[name]()
    params, grads = parameters(), gradients()
    state = jax.eval_shape(optimizer.init, params)

    def raises(message, **changes):
        given = {**grads, **changes}
        given = {key: g for key, g in given.items() if g is not ...}
        with pytest.raises(ValueError, match=f"^{name}: the gradient.*{message}"):
            jax.eval_shape(optimizer.update, given, state, params)

    raises("no leaf at 'v'. Take gradients", v=...)
    raises("one at 'more', where there is no parameter", more=jnp.ones(2))
    raises("have None at 'v'", v=None)
    raises(r"at 'w' has shape \(1, 16\), the parameter \(16, 16\)", w=jnp.ones((1, 16)))
    raises(r"at 'v' has shape \(\), the parameter \(4,\)", v=jnp.asarray(1.0))


def test_gradients_in_other_containers_are_told_so():
    tx, params = adamw(), {"w": [jnp.ones(2), jnp.ones(2)]}
    grads = {"w": (jnp.ones(2), jnp.ones(2))}
    with pytest.raises(ValueError, match="another structure than the parameters: .*"):
        tx.update(grads, tx.init(params), params)


def test_what_is_frozen_needs_no_gradient():
    params = {"w": jnp.ones(2), "b": jnp.ones(2)}
    tx = optaxwd.adamw(0.1, mask=optaxwd.DecayRules([("b", "frozen")]))
    grads = {"w": jnp.ones(2), "b": None}
    updates, _ = tx.update(grads, tx.init(params), params)
    assert updates["b"] is None


@pytest.mark.parametrize("name", EVERY)
def test_narrower_gradients_give_what_parameters_need(name):
    dtype = "bfloat16"
    tx, params = FACTORIES[name](), parameters()
    grads = {**gradients(), "w": jnp.ones((16, 16), dtype), "v": jnp.ones(4, dtype)}
    state = jax.eval_shape(tx.init, params)
    updates, after = jax.eval_shape(tx.update, grads, state, params)
    assert describe(after) == describe(state)
    passes = {"clip_by_global_norm", "scale_by_learning_rate", "scale_by_nadam"}
    expected = dtype if name in passes else "float32"
    assert updates["w"].dtype == updates["v"].dtype == expected


@pytest.mark.parametrize("name", EVERY)
def test_wide_and_complex_parameters_keep_their_dtypes(name):
    with precision_for("float64"):
        params = {
            "w": jnp.ones((4, 3), jnp.float64),
            "v": jnp.ones(4, jnp.float32),
            "z": jnp.ones((4, 3), jnp.complex64),
        }
        tx = FACTORIES[name]()
        state = jax.eval_shape(tx.init, params)
        updates, after = jax.eval_shape(tx.update, params, state, params)
        assert describe(updates) == describe(params)
        assert describe(after) == describe(state)
