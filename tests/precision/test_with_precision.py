"""Float32 from the gradient to the rounding, and master weights."""

import inspect

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from helpers import (
    assert_close,
    assert_identical,
    by_stage,
    run,
    run_with_state,
)

import optaxwd

EXACT = ("split", "master")
ROUNDINGS = ("nearest", "stochastic", "compensated", *EXACT)
IN_STAGES = by_stage(ROUNDINGS, first="split")
NEEDED = {"amos": {"expected_scale": 0.5}, "adamc": {"peak_learning_rate": 0.01}}


def parameters(seed=0):
    random = np.random.default_rng(seed)
    tree = {"w": random.normal(size=(8, 8)), "b": random.normal(size=8)}
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), tree)


def gradients(params, steps, seed=1):
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda p: jnp.asarray(random.normal(size=(steps, *p.shape)), p.dtype), params
    )


def wide(tree):
    return jax.tree.map(lambda x: x.astype(jnp.float32), tree)


def test_by_hand():
    """Adam's first direction is 1; λθ = 2⁻¹⁰ beside it is lost in bfloat16."""
    params, grads = jnp.ones(1, jnp.bfloat16), jnp.ones(1, jnp.bfloat16)
    options = {"learning_rate": 2.0**-3, "weight_decay": 2.0**-10, "eps": 0.0}
    for make in (optax.adamw, optaxwd.adamw):
        plain = make(**options)
        updates, _ = plain.update(grads, plain.init(params), params)
        assert float(updates[0]) == -(2.0**-3)
    tx = optaxwd.adamw(**options, precision="split")
    updates, state = tx.update(grads, tx.init(params), params)
    after = optax.apply_updates(params, updates)
    assert float(after[0]) == 1 - 2.0**-3
    kept = optaxwd.float32_parameters(after, state)
    assert float(kept[0]) == pytest.approx(1 - 2.0**-3 - 2.0**-13, abs=1e-6)


@pytest.mark.parametrize("rounding", EXACT)
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(optax.adamw, marks=pytest.mark.slow, id="adamw"),
        pytest.param(optaxwd.lionw, id="lionw"),
    ],
)
def test_the_bits_of_a_float32_run(make, rounding):
    """Operation by operation; compiled, XLA fuses differently in the last bit."""
    params, steps = parameters(), 5
    tx, plain = optaxwd.with_precision(make(0.01), rounding), make(0.01)
    expected, state, plain_state = wide(params), tx.init(params), plain.init(params)
    plain_state = plain.init(expected)
    for i in range(steps):
        grads = jax.tree.map(lambda g, i=i: g[i], gradients(params, steps))
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        updates, plain_state = plain.update(wide(grads), plain_state, expected)
        expected = optax.apply_updates(expected, updates)
        assert_identical(optaxwd.float32_parameters(params, state), expected)
        assert_identical(state.inner_state, plain_state)
        near = jax.tree.map(
            lambda p, x: jnp.abs(p - x) <= 2.0**-8 * jnp.abs(x), params, expected
        )
        assert all(leaf.all() for leaf in jax.tree.leaves(near))


@pytest.mark.slow
@pytest.mark.parametrize("name", optaxwd.list_optimizers())
def test_every_optimizer_has_the_switch(name):
    factory = optaxwd.list_optimizers()[name].factory
    assert inspect.signature(factory).parameters["precision"].default is None
    options, params, steps = NEEDED.get(name, {}), parameters(), 20
    grads = gradients(params, steps)
    expected = run(factory(0.01, **options), wide(params), wide(grads))
    for rounding in (*EXACT, "compensated"):
        after, state = run_with_state(
            factory(0.01, precision=rounding, **options), params, grads
        )
        found = optaxwd.float32_parameters(after, state)
        # Newton-Schulz iterations and norms amplify the last bit.
        steps_of_rounding = {"compensated": 100 * steps}.get(rounding, steps)
        assert_close(found, jax.device_get(expected), steps=steps_of_rounding)


@pytest.mark.parametrize("rounding", IN_STAGES)
def test_builders_have_the_switch(rounding):
    params, grads = parameters(), gradients(parameters(), 3)
    rounded = optaxwd.with_precision(optaxwd.adamw(0.01, weight_decay=0.1), rounding)
    expected, _ = run_with_state(rounded, params, grads)
    built = optaxwd.with_weight_decay(
        optaxwd.scale_by_adam(), 0.01, 0.1, precision=rounding
    )
    assert_identical(run_with_state(built, params, grads)[0], expected)
    around = optaxwd.decouple(
        optax.adam(0.01), 0.1, learning_rate=0.01, precision=rounding
    )
    after = run_with_state(around, params, grads)[0]
    assert_close(after, jax.tree.map(lambda x: np.asarray(x, np.float64), expected))


def test_decay_is_seen_whatever_the_update():
    """1000 steps of decay by 1e-3 under updates that cancel each other."""
    params = jnp.full(512, 1.0, jnp.bfloat16)
    signs = jnp.where(jnp.arange(1000) % 2 == 0, 1.0, -1.0)
    grads = (signs[:, None] * jnp.ones((1000, 512))).astype(jnp.bfloat16)
    options = {"weight_decay": 0.01, "momentum": None}

    def mean(precision):
        tx = optaxwd.sgdw(0.1, precision=precision, **options)
        after, state = run_with_state(tx, params, grads)
        if precision is not None:
            after = optaxwd.float32_parameters(after, state)
        return float(jnp.mean(after.astype(jnp.float32)))

    truth = 1.0
    for sign in np.asarray(signs):
        truth -= 0.1 * (sign + 0.01 * truth)
    assert mean("split") == pytest.approx(truth, rel=1e-5)
    assert mean("compensated") == pytest.approx(truth, rel=1e-2)
    assert mean("stochastic") == pytest.approx(truth, rel=2e-2)
    assert mean(None) > truth + 0.2


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_what_is_kept_and_for_whom(rounding):
    params = {"low": jnp.ones((4, 2), jnp.bfloat16), "high": jnp.ones(3)}
    tx = optaxwd.adamw(0.1, precision=rounding)
    state = tx.init(params)
    kept = {"compensated": jnp.bfloat16, "split": jnp.int16, "master": jnp.float32}
    residual = state.rounding.residual
    if rounding in kept:
        assert residual["low"].dtype == kept[rounding]
        assert residual["low"].shape == (4, 2)
        assert residual["high"] == optax.MaskedNode()
    else:
        assert residual == {"low": optax.EmptyState(), "high": optax.MaskedNode()}
    moments = optax.tree.get(state, "mu")
    assert moments["low"].dtype == moments["high"].dtype == jnp.float32
    updates, _ = tx.update(params, state, params)
    assert updates["low"].dtype == updates["high"].dtype == jnp.float32


def test_frozen_parameters_keep_nothing():
    rules = optaxwd.DecayRules([("b", "frozen")])
    params = parameters()
    tx = optaxwd.adamw(0.1, mask=rules, precision="split")
    state = tx.init(params)
    sizes = [leaf.size for leaf in jax.tree.leaves(state) if leaf.dtype == jnp.int16]
    assert sizes == [params["w"].size]
    updates, _ = tx.update(params, state, params)
    assert not np.asarray(updates["b"]).any()


@pytest.mark.slow
@pytest.mark.parametrize("rounding", EXACT)
def test_groups_with_optimizers_of_their_own(rounding):
    params, grads = parameters(), gradients(parameters(), 3)
    after, state = run_with_state(
        optaxwd.muonw(0.01, precision=rounding), params, grads
    )
    found = optaxwd.float32_parameters(after, state)
    expected = run(optaxwd.muonw(0.01), wide(params), wide(grads))
    assert_close(found, jax.device_get(expected), steps=10)


def test_the_anchor_is_that_of_the_start():
    params = parameters()
    tx = optaxwd.adamw(0.1, weight_decay=0.5, anchor="init", precision="master")
    state = jax.jit(tx.init)(params)
    assert_identical(optax.tree.get(state, "anchor"), wide(params))
    # Copies are buffers of their own, so that all of it can be donated.
    step = jax.jit(tx.update, donate_argnums=1)
    step(params, tx.init(params), params)


@pytest.mark.parametrize("rounding", by_stage(EXACT, first="split"))
def test_parameters_of_flax_nnx(rounding):
    model = nnx.Linear(4, 3, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    before = jax.tree.map(lambda p: p.astype(jnp.float32), nnx.state(model))
    tx = optaxwd.sgdw(2.0**-10, weight_decay=0.1, precision=rounding)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    for _ in range(3):
        optimizer.update(model, jax.tree.map(jnp.ones_like, nnx.state(model)))
    params = nnx.state(model, nnx.Param)
    assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(params))
    found = optaxwd.float32_parameters(params, optimizer.opt_state)
    for start, end in zip(jax.tree.leaves(before), jax.tree.leaves(found), strict=True):
        expected = np.asarray(start, np.float64)
        for _ in range(3):
            expected -= 2.0**-10 * (1 + 0.1 * expected)
        assert end.dtype == jnp.float32
        assert np.abs(end - expected).max() <= 3 * 2.0**-24


@pytest.mark.slow
def test_a_sweep_over_decay():
    params, grads = parameters(), gradients(parameters(), 3)

    def swept(weight_decay):
        tx = optaxwd.adamw(0.01, weight_decay=weight_decay, precision="split")
        after, state = run_with_state(tx, params, grads)
        return optaxwd.float32_parameters(after, state)

    both = jax.vmap(swept)(jnp.array([0.0, 0.5]))
    for i, value in enumerate([0.0, 0.5]):
        one = jax.tree.map(lambda x, i=i: x[i], both)
        assert_close(one, jax.device_get(swept(value)), steps=3)


def test_master_weights_follow_parameters_that_were_loaded():
    tx = optaxwd.with_master_weights(optax.sgd(1e-4))
    params = jnp.ones(2, jnp.bfloat16)
    updates, state = tx.update(jnp.ones(2, jnp.bfloat16), tx.init(params), params)
    params = optax.apply_updates(params, updates)
    loaded = params.at[0].set(3.0)
    updates, state = tx.update(jnp.ones(2, jnp.bfloat16), state, loaded)
    found = optaxwd.float32_parameters(optax.apply_updates(loaded, updates), state)
    assert found.tolist() == pytest.approx([3 - 1e-4, 1 - 2e-4], abs=2e-7)


POLICIES = [
    optaxwd.Policy("stochastic", "int8", key=3),
    optaxwd.Policy("compensated", "bfloat16", key=3),
    optaxwd.Policy("split", "int8_stochastic", key=3),
    optaxwd.Policy("master"),
]


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.rounding)
def test_checkpoints_go_on_where_they_stopped(policy, tmp_path):
    """What is kept, codes and keys come back, and the next steps are the same."""
    params = {"w": jnp.linspace(-1, 1, 8192).reshape(32, 256).astype(jnp.bfloat16)}
    tx = optaxwd.adamw(0.01, weight_decay=0.1, precision=policy)
    step = jax.jit(tx.update)
    updates, state = step(params, tx.init(params), params)
    params = optax.apply_updates(params, updates)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        like = jax.eval_shape(tx.init, params)
        restored = checkpointer.restore(tmp_path / "state", like)
    data = flax.serialization.to_bytes(state)
    for back in (restored, flax.serialization.from_bytes(tx.init(params), data)):
        assert_identical(back, state)
        assert_identical(step(params, back, params), step(params, state, params))


def test_float16_too():
    """Steps of 1e-5 on float16 of size 1, whose last bit is 2⁻¹¹."""
    params = jnp.ones(64, jnp.float16)
    grads = jnp.ones((100, 64), jnp.float16)
    for rounding in (*EXACT, "compensated"):
        tx = optaxwd.sgdw(1e-5, weight_decay=0.1, precision=rounding)
        after, state = run_with_state(tx, params, grads)
        found = optaxwd.float32_parameters(after, state)
        truth = 11 * (1 - 1e-6) ** 100 - 10
        assert float(found[0]) == pytest.approx(truth, abs=100 * 2.0**-19 * 2.0**-3)


def test_messages():
    for build in (optaxwd.with_precision, optaxwd.with_master_weights):
        with pytest.raises(TypeError, match="Call it first: a factory is not"):
            build(optax.adam)
    with pytest.raises(TypeError, match="must be a Policy or the name of a rounding"):
        optaxwd.adamw(0.1, precision=jnp.bfloat16)
    with pytest.raises(ValueError, match="adamw: unknown precision 'kahan'"):
        optaxwd.adamw(0.1, precision="kahan")
    with pytest.raises(ValueError, match="Policy: unknown state 'int4'"):
        optaxwd.Policy(state="int4")
    with pytest.raises(ValueError, match="key must be an integer or one PRNG key"):
        optaxwd.Policy(rounding="stochastic", key="seed")
    params = jnp.ones(1, jnp.bfloat16)
    plain = optax.sgd(0.1)
    with pytest.raises(ValueError, match="without a RoundUpdatesState"):
        optaxwd.float32_parameters(params, plain.init(params))
    tx = optaxwd.with_master_weights(plain)
    with pytest.raises(ValueError, match="^with_master_weights reads the parameters"):
        tx.update(params, tx.init(params))
