"""Every state through Orbax and Flax, with a target and without, and on from there."""

import equinox as eqx
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from checkpoint_zoo import CASES, WRAPPED, parameters, trained
from flax import nnx
from flax.training.train_state import TrainState
from helpers import assert_identical, by_stage
from test_contracts import NAMES, SINGLE

import optaxwd

FAST_WRAPPERS = {"anchor_and_rules", "partition"}
BY_STAGE = [
    *by_stage(NAMES, first=SINGLE),
    *by_stage(WRAPPED, first=FAST_WRAPPERS),
]


def through_orbax(path, tree, *targets):
    """Return what comes back for each target, where ``None`` stands for none."""
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, tree)
        checkpointer.wait_until_finished()
        return [
            checkpointer.restore(path, *([] if target is None else [target]))
            for target in targets
        ]


def through_flax(tree):
    return flax.serialization.msgpack_restore(flax.serialization.to_bytes(tree))


@pytest.mark.parametrize("name", BY_STAGE)
def test_every_state_comes_back(name, tmp_path):
    case = CASES[name]
    tx = case.build()
    params, state = trained(tx, parameters(case), stop=2)
    like = jax.eval_shape(tx.init, params)
    targeted, plain = through_orbax(tmp_path / "state", state, like, None)
    data = flax.serialization.to_bytes(state)
    assert_identical(targeted, state)
    assert_identical(optaxwd.restore_state(plain, like), state)
    assert_identical(flax.serialization.from_bytes(tx.init(params), data), state)
    restored = flax.serialization.msgpack_restore(data)
    back = optaxwd.restore_state(restored, like)
    assert_identical(back, state)
    assert_identical(
        trained(tx, params, back, start=2), trained(tx, params, state, start=2)
    )


def test_a_state_is_restored_to_itself():
    case = CASES["partition"]
    _, state = trained(case.build(), parameters(case))
    assert_identical(optaxwd.restore_state(state, state), state)


def test_what_holds_no_array_comes_from_the_target(tmp_path):
    """Orbax makes None of a MaskedNode and an EmptyState, Flax an empty dict."""
    state = {
        "masked": optax.MaskedNode(),
        "none": None,
        "stages": (optax.EmptyState(), (), {}, []),
        "count": jnp.asarray(3),
    }
    (plain,) = through_orbax(tmp_path / "state", state, None)
    assert plain["masked"] is None and plain["stages"][0] is None
    assert_identical(optaxwd.restore_state(plain, state), state)
    assert through_flax(state)["masked"] == {}
    assert_identical(optaxwd.restore_state(through_flax(state), state), state)


def test_a_state_without_arrays():
    state = optax.sgd(0.1).init(jnp.ones(2))
    assert_identical(optaxwd.restore_state(through_flax(state), state), state)


def test_arrays_without_entries_go_through_flax():
    """Orbax says that it cannot save them."""
    tx, params = optaxwd.adamw(0.1), {"none of it": jnp.zeros((0, 3))}
    state = tx.init(params)
    assert_identical(optaxwd.restore_state(through_flax(state), state), state)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_prng_keys(impl, tmp_path):
    """As keys through Orbax; Flax has no place for them, so there go their data."""
    state = {"key": jax.random.key(7, impl=impl), "count": jnp.asarray(3)}
    like = jax.eval_shape(lambda: {**state, "key": jax.random.key(0, impl=impl)})
    (plain,) = through_orbax(tmp_path / "state", state, None)
    with pytest.raises(TypeError, match="key_data"):
        flax.serialization.to_bytes(state)
    data = through_flax({**state, "key": jax.random.key_data(state["key"])})
    for restored in (plain, data):
        back = optaxwd.restore_state(restored, like)
        assert back["key"].dtype == state["key"].dtype
        drawn, expected = (jax.random.bits(one["key"]) for one in (back, state))
        assert_identical(drawn, expected)


def test_keys_of_another_algorithm_are_refused():
    like = {"key": jax.random.key(0)}
    longer = {"key": jax.random.key_data(jax.random.key(0, impl="rbg"))}
    with pytest.raises(ValueError, match=r"key data of key is uint32\[4\].*\[2\]"):
        optaxwd.restore_state(longer, like)
    with pytest.raises(ValueError, match=r"key is key<rbg>\[\], but .*key<fry>"):
        optaxwd.restore_state({"key": jax.random.key(0, impl="rbg")}, like)


def test_a_train_state(tmp_path):
    tx = optaxwd.record_decay(optaxwd.adamw(0.1))
    params = parameters(CASES["adamw"])
    state = TrainState.create(apply_fn=None, params=params, tx=tx)
    state = jax.jit(lambda s: s.apply_gradients(grads=s.params))(state)
    like = jax.eval_shape(lambda: state)
    targeted, plain = through_orbax(tmp_path / "state", state, like, None)
    assert_identical(targeted, state)
    assert_identical(optaxwd.restore_state(plain, like), state)
    assert_identical(optaxwd.restore_state(through_flax(state), like), state)


def test_a_named_chain(tmp_path):
    """Its state is an OrderedDict, which Flax takes only as a dict."""
    tx = optax.named_chain(("clip", optax.clip(1.0)), ("step", optaxwd.adamw(0.1)))
    state = tx.init(parameters(CASES["adamw"]))
    (plain,) = through_orbax(tmp_path / "state", state, None)
    assert_identical(optaxwd.restore_state(plain, state), state)
    with pytest.raises(TypeError, match="OrderedDict"):
        flax.serialization.to_bytes(state)
    assert_identical(optaxwd.restore_state(through_flax(dict(state)), state), state)


def test_a_step_that_is_a_python_number():
    params = parameters(CASES["adamw"])
    state = TrainState.create(apply_fn=None, params=params, tx=optaxwd.adamw(0.1))
    assert optaxwd.restore_state(through_flax(state), state).step == 0
    later = {**through_flax(state), "step": np.int32(4)}
    assert optaxwd.restore_state(later, state).step == 4


def nnx_optimizer():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    return model, nnx.Optimizer(model, optaxwd.adamw(0.1), wrt=nnx.Param)


@pytest.mark.parametrize("pure", [False, True])
def test_an_nnx_optimizer(pure, tmp_path):
    """Both what NNX has for a state and the pure dict that its guide saves."""
    model, optimizer = nnx_optimizer()
    optimizer.update(model, jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param)))
    state = nnx.state(optimizer)
    saved = nnx.to_pure_dict(state) if pure else state
    _, fresh = nnx_optimizer()
    like = nnx.state(fresh)
    (plain,) = through_orbax(tmp_path / "state", saved, None)
    back = optaxwd.restore_state(plain, like)
    assert_identical(back, state)
    nnx.update(fresh, back)
    assert_identical(nnx.state(fresh), state)
    assert_identical(
        optaxwd.restore_state(through_flax(nnx.to_pure_dict(state)), like), state
    )


def test_an_equinox_model(tmp_path):
    model = eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))
    params, tx = eqx.filter(model, eqx.is_inexact_array), optaxwd.adamw(0.1)
    _, state = jax.jit(tx.update)(params, tx.init(params), params)
    like = jax.eval_shape(tx.init, params)
    (plain,) = through_orbax(tmp_path / "state", state, None)
    assert_identical(optaxwd.restore_state(plain, like), state)


def test_keys_that_hold_slashes_points_and_numbers(tmp_path):
    params = {"mlp/~/linear_0": {"w": jnp.ones(2)}, "a.b": {"c": jnp.zeros(1)}}
    for tree in (params, {0: jnp.ones(2), 1: jnp.zeros(3)}):
        state = optaxwd.adamw(0.1).init(tree)
        (plain,) = through_orbax(tmp_path / str(len(tree[max(tree)])), state, None)
        assert_identical(optaxwd.restore_state(plain, state), state)
        assert_identical(optaxwd.restore_state(through_flax(state), state), state)


def test_a_restored_state_may_be_donated():
    tx, params = optaxwd.adamw(0.1), parameters(CASES["adamw"])
    restored = through_flax(tx.init(params))
    state = optaxwd.restore_state(restored, jax.eval_shape(tx.init, params))
    jax.jit(tx.update, donate_argnums=1)(params, state, params)
    assert restored["0"]["count"] == 0
