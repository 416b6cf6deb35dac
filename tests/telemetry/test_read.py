"""Telemetry is found wherever the state of an optimizer is kept."""

import json

import equinox as eqx
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from helpers import assert_identical, by_stage

import optaxwd
from optaxwd import read_telemetry, record_decay

PARAMS = {
    "dense": {"kernel": jnp.full((4, 3), 0.5), "bias": jnp.ones(3)},
    "head": {"kernel": jnp.ones((3, 2))},
}
GRADS = jax.tree.map(lambda x: 0.1 * x, PARAMS)
DECAY = 0.1


def schedule(count):
    return 1e-2 * (1 - count / 10)


def ours(**options):
    return optaxwd.adamw(schedule, weight_decay=DECAY, **options)


def trained(tx, steps=3):
    if isinstance(tx, optax.MultiSteps):
        tx = tx.gradient_transformation()
    state, params, update = tx.init(PARAMS), PARAMS, jax.jit(tx.update)
    for _ in range(steps):
        updates, state = update(GRADS, state, params)
        params = optax.apply_updates(params, updates)
    return state


def labels(params):
    return {"dense": "body", "head": "head"}


# Each with the number of updates that its recorder has seen after three.
WRAPPED = {
    "bare": (lambda: record_decay(ours()), 3),
    "chain": (lambda: optax.chain(optax.zero_nans(), record_decay(ours())), 3),
    "named chain": (lambda: optax.named_chain(("decay", record_decay(ours()))), 3),
    "MultiSteps": (lambda: optax.MultiSteps(record_decay(ours()), 2), 1),
    "apply_if_finite": (lambda: optax.apply_if_finite(record_decay(ours()), 5), 3),
    "with_precision": (lambda: optaxwd.with_precision(record_decay(ours())), 3),
    "injected inside": (
        lambda: record_decay(
            optax.inject_hyperparams(optax.adamw)(schedule, weight_decay=DECAY)
        ),
        3,
    ),
    "injected outside": (
        lambda: optax.inject_hyperparams(
            lambda learning_rate, weight_decay: record_decay(
                optax.adamw(learning_rate, weight_decay=weight_decay)
            )
        )(learning_rate=schedule, weight_decay=DECAY),
        3,
    ),
    "told": (
        lambda: record_decay(
            optax.adamw(schedule, weight_decay=DECAY),
            learning_rate=schedule,
            weight_decay=DECAY,
        ),
        3,
    ),
    "one of a partition": (
        lambda: optax.partition(
            {"body": record_decay(ours()), "head": optax.set_to_zero()}, labels
        ),
        3,
    ),
    "freeze": (
        lambda: optaxwd.freeze(
            record_decay(ours()), optaxwd.DecayRules([("head/.*", "frozen")])
        ),
        3,
    ),
}


@pytest.mark.parametrize("name", by_stage(WRAPPED, first="injected outside"))
def test_wrapped(name):
    make, updates = WRAPPED[name]
    found = read_telemetry(trained(make()))
    rate = schedule(updates - 1)
    assert found["step"] == updates - 1
    assert found["learning_rate"] == pytest.approx(rate, rel=1e-6)
    assert found["weight_decay"] == pytest.approx(DECAY)
    for key in ("decay_rate", "decay_rate/dense/kernel", "decay_rate/dense/bias"):
        assert found[key] == pytest.approx(rate * DECAY, rel=1e-3), key
    assert all(type(value) is float for value in found.values())
    assert json.loads(json.dumps(found)) == found


def test_several_recorders():
    both = {"body": record_decay(ours()), "head": record_decay(optax.sgd(0.1))}
    found = read_telemetry(trained(optax.partition(both, labels)))
    assert found["step/body"] == found["step/head"] == 2
    assert found["decay_rate/body"] == pytest.approx(schedule(2) * DECAY, rel=1e-3)
    assert found["decay_rate/head"] == found["decay_rate/head/kernel"] == 0
    assert found["decay_rate/dense/bias"] > 0
    assert found["learning_rate"] == pytest.approx(schedule(2))
    assert "step" not in found and "decay_rate" not in found


def test_names_that_states_have_too():
    names = ("decay_count", "telemetry_count", "current_learning_rate", "hyperparams")
    params = {name: jnp.ones(3) for name in names}
    for inner in (optax.adamw(0.1, weight_decay=DECAY), optax.sgd(0.1, momentum=0.9)):
        tx = record_decay(inner)
        _, state = tx.update(params, tx.init(params), params)
        found = read_telemetry(state)
        assert "learning_rate" not in found and found["weight_rms"] == 1
    # A label may be the name of a leaf, and recorders may be nested.
    labels = {"dense": "dense", "head": "dense/kernel"}
    tx = optax.partition(dict.fromkeys(labels.values(), record_decay(ours())), labels)
    found = read_telemetry(trained(tx))
    assert found["weight_rms/dense/kernel"] == pytest.approx(0.5, abs=0.1)
    assert found["weight_rms/dense/kernel (all)"] == pytest.approx(1, abs=0.1)
    found = read_telemetry(trained(record_decay(record_decay(ours()))))
    assert found["cosine/outermost"] == found["cosine/inner_state"]
    assert found["cosine/dense/bias"] == found["cosine/dense/bias (inner_state)"]


def test_several_rates():
    both = {"body": ours(), "head": optaxwd.sgdw(0.5, weight_decay=0.25)}
    found = read_telemetry(trained(record_decay(optax.partition(both, labels))))
    assert found["learning_rate/body"] == pytest.approx(schedule(2))
    assert found["learning_rate/head"] == 0.5
    assert found["weight_decay/head"] == 0.25
    assert found["decay_rate/head/kernel"] == pytest.approx(0.125, rel=1e-3)
    assert "learning_rate" not in found


def test_rates_without_a_recorder():
    state = optaxwd.adamw(schedule, weight_decay=lambda t: 0.1 + t).init(PARAMS)
    found = read_telemetry(state)
    assert found == pytest.approx({"learning_rate": 1e-2, "weight_decay": 0.1})
    found = read_telemetry(trained(ours()))
    expected = {"learning_rate": schedule(2), "weight_decay": DECAY}
    assert found == pytest.approx(expected)
    injected = optax.inject_hyperparams(optax.adam)(schedule, b1=0.8)
    state = optax.chain(optax.clip_by_global_norm(1.0), injected)
    found = read_telemetry(trained(state))
    assert found["learning_rate"] == pytest.approx(schedule(2))
    assert found["hyperparams/b1"] == pytest.approx(0.8)
    with pytest.raises(KeyError):
        optax.tree.get(trained(injected), "learning_rate")


OTHERS = ("adamh", "adamp", "adams", "adamspd", "amos", "muonw")


@pytest.mark.parametrize("name", by_stage(OTHERS, first="adams"))
def test_rates_of_other_optimizers(name):
    options = {"expected_scale": 1.0} if name == "amos" else {}
    tx = optaxwd.list_optimizers()[name].factory(schedule, **options)
    found = read_telemetry(trained(tx))
    assert found["learning_rate"] == pytest.approx(schedule(2), rel=1e-6)


def test_rotational_optimizers_tell_their_rate():
    tx = optaxwd.rotational_adamw(schedule, weight_decay=DECAY)
    assert read_telemetry(trained(tx))["learning_rate"] == pytest.approx(schedule(2))


@pytest.mark.parametrize("factory", [optaxwd.adamw, optaxwd.adam_l2])
def test_nnx(factory):
    model = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
    rules = optaxwd.rules.standard()
    tx = record_decay(factory(schedule, weight_decay=DECAY, mask=rules), groups=None)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        grads = nnx.grad(lambda model: jnp.sum(model(jnp.ones((2, 4))) ** 2))(model)
        optimizer.update(model, grads)

    for _ in range(3):
        step(model, optimizer)
    found = read_telemetry(optimizer)
    assert found == read_telemetry(optimizer.opt_state)
    assert found["learning_rate"] == pytest.approx(schedule(2))
    assert abs(found["decay_rate/bias"]) < 1e-6 < found["decay_rate/kernel"]


def test_train_state_and_equinox():
    state = TrainState.create(apply_fn=None, params=PARAMS, tx=record_decay(ours()))
    state = state.apply_gradients(grads=GRADS)
    assert read_telemetry(state)["decay_rate/head/kernel"] > 0
    model = eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))
    tx, params = record_decay(ours()), eqx.filter(model, eqx.is_inexact_array)
    _, state = jax.jit(tx.update)(params, tx.init(params), params)
    assert read_telemetry(state)["decay_rate/layers/0/weight"] > 0


def test_checkpoints(tmp_path):
    inner = optaxwd.adam_l2(schedule, weight_decay=DECAY)
    tx = record_decay(inner, groups=lambda path, leaf: path.replace("/", "."))
    state = trained(tx)
    wanted = read_telemetry(state)
    shape = jax.eval_shape(tx.init, PARAMS)
    data = flax.serialization.to_bytes(state)
    restored = flax.serialization.from_bytes(state, data)
    assert read_telemetry(restored) == wanted
    assert read_telemetry(flax.serialization.msgpack_restore(data)) == wanted
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "state", shape)
        assert_identical(restored, state)
        assert read_telemetry(checkpointer.restore(tmp_path / "state")) == wanted
    following = [jax.jit(tx.update)(GRADS, x, PARAMS) for x in (state, restored)]
    assert_identical(*following)


def test_several_runs_are_refused_and_one_is_read():
    tx = record_decay(ours())
    both = jax.tree.map(lambda x: jnp.stack([x, x]), PARAMS)
    states = jax.jit(jax.vmap(tx.init))(both)
    _, states = jax.jit(jax.vmap(tx.update))(both, states, both)
    with pytest.raises(ValueError, match=r"several runs.*Pass one run: jax.tree.map"):
        read_telemetry(states)
    one = read_telemetry(jax.tree.map(lambda x: x[1], states))
    assert one["decay_rate"] == pytest.approx(1e-3, rel=1e-3)


def test_messages():
    with pytest.raises(
        ValueError, match="records nothing, got a tuple. Pass the state"
    ):
        read_telemetry(optax.adam(0.1).init(PARAMS))
    with pytest.raises(TypeError, match="traced .* read it outside"):
        jax.jit(lambda state: read_telemetry(state) and 0)(
            record_decay(ours()).init(PARAMS)
        )


def test_numpy_states():
    state = jax.device_get(trained(record_decay(ours())))
    assert isinstance(state.measures["cosine"], np.ndarray)
    assert read_telemetry(state)["step"] == 2
