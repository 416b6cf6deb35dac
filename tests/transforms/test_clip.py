"""Clipping by the global norm: one factor, in float32, in every optimizer."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import (
    DTYPES,
    assert_close,
    assert_identical,
    by_stage,
    cast,
    describe,
    example_trees,
    precision_for,
    run,
)

import optaxwd

# Every optimizer with what it cannot be built without.
REQUIRED = {
    "adamcpr": {"kappa_init_method": "dependent", "kappa_init_param": 0.5},
    "amos": {"expected_scale": 0.5},
}


def build(name, **options):
    factory = optaxwd.list_optimizers()[name].factory
    return factory(0.1, **REQUIRED.get(name, {}), **options)


def clipped(gradients, max_norm):
    tx = optaxwd.clip_by_global_norm(max_norm)
    return jax.jit(tx.update)(gradients, tx.init(gradients))[0]


def reference(gradients, max_norm):
    """Clip in float64."""
    norm = np.sqrt(sum(np.sum(np.abs(g) ** 2) for g in jax.tree.leaves(gradients)))
    return jax.tree.map(lambda g: g * min(1.0, max_norm / norm), gradients)


def test_by_hand():
    grads = {"w": jnp.array([3.0]), "b": jnp.array([[4.0]])}
    got = clipped(grads, 1.0)
    assert_close(got, {"b": np.array([[0.8]]), "w": np.array([0.6])})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("max_norm", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("name", example_trees())
def test_against_float64(name, max_norm, dtype):
    with precision_for(dtype):
        grads = cast(example_trees()[name], dtype)
        exact = jax.tree.map(lambda g: np.asarray(g, np.float64), grads)
        got = clipped(grads, max_norm)
        assert describe(got) == describe(grads)
        assert_close(got, reference(exact, max_norm), steps=2)


def test_gradients_below_the_norm_pass_bit_for_bit(key):
    grads = {"w": jax.random.normal(key, (50,)), "b": jnp.array(-0.0)}
    norm = float(optax.tree.norm(grads))
    assert_identical(clipped(grads, 1.001 * norm), grads)
    assert float(optax.tree.norm(clipped(grads, 0.999 * norm))) < norm


def test_zero_gradients_stay_zero():
    grads = {"w": jnp.zeros(3), "none": {}}
    assert_identical(clipped(grads, 1.0), grads)


def test_what_is_not_finite_is_as_in_optax():
    inf, nan = jnp.inf, jnp.nan
    for values in ([1.0, nan], [1.0, inf], [-inf, 0.0]):
        grads = {"a": jnp.array(values), "b": jnp.ones(2)}
        theirs = optax.clip_by_global_norm(1.0)
        expected = theirs.update(grads, theirs.init(grads))[0]
        got = clipped(grads, 1.0)
        for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(x, y)


def test_float16_does_not_overflow():
    grads = {"w": jnp.full(4, 300.0, jnp.float16)}
    got = clipped(grads, 300.0)["w"]
    assert got.dtype == jnp.float16
    np.testing.assert_array_equal(got, np.full(4, 150.0, np.float16))
    theirs = optax.clip_by_global_norm(300.0)
    assert not np.any(theirs.update(grads, theirs.init(grads))[0]["w"])


def test_complex_entries_count_with_their_magnitudes():
    got = clipped({"z": jnp.array([3.0 + 4.0j])}, 1.0)["z"]
    assert complex(got[0]) == pytest.approx(0.6 + 0.8j)


def test_integers_are_left_alone():
    grads = {"w": jnp.array([3.0, 4.0]), "steps": jnp.array([100])}
    got = clipped(grads, 1.0)
    assert int(got["steps"][0]) == 100
    assert_close(got["w"], np.array([0.6, 0.8]))


def test_a_sweep_over_norms_is_one_vmap():
    grads = {"w": jnp.array([3.0, 4.0])}
    swept = jax.vmap(lambda c: clipped(grads, c)["w"])(jnp.array([1.0, 2.0, 10.0]))
    assert_close(swept, np.array([[0.6, 0.8], [1.2, 1.6], [3.0, 4.0]]))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nothing_is_computed_wider_than_it_must(dtype):
    with precision_for("float64"):
        grads = {"w": jnp.ones((4, 4), dtype)}
        tx = optaxwd.clip_by_global_norm(1.0)
        lowered = jax.jit(tx.update).lower(grads, tx.init(grads)).as_text()
        assert "4x4xf64" not in lowered


def test_arrays_are_looked_at_also_while_a_step_is_traced():
    norm, rate, none = jnp.float32(1.0), jnp.float32(0.9), jnp.float32(-1.0)

    @jax.jit
    def step(grads):
        tx = optaxwd.adamw(rate, b1=rate, weight_decay=rate, max_grad_norm=norm)
        return tx.update(grads, tx.init(grads), grads)[0]

    assert jnp.all(jnp.isfinite(step(jnp.array([3.0, 4.0]))))
    with pytest.raises(ValueError, match="max_grad_norm must be"):
        jax.jit(lambda g: optaxwd.adamw(0.1, max_grad_norm=none).init(g))(norm)


def test_state_is_optax_s():
    params = {"w": jnp.ones(2)}
    ours = optax.chain(optaxwd.clip_by_global_norm(1.0), optax.adam(0.1))
    theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))
    assert_identical(ours.init(params), theirs.init(params))


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), jnp.ones(2)])
def test_norms_that_are_none_are_refused(value):
    with pytest.raises(ValueError, match="clip_by_global_norm: max_norm must be"):
        optaxwd.clip_by_global_norm(value)
    with pytest.raises(ValueError, match="adamw: max_grad_norm must be"):
        optaxwd.adamw(0.1, max_grad_norm=value)


def test_no_number_is_refused():
    with pytest.raises(TypeError, match="max_norm must be a number"):
        optaxwd.clip_by_global_norm("1.0")
    with pytest.raises(TypeError, match="decouple: max_grad_norm must be a number"):
        optaxwd.decouple(optax.sgd(0.1), 0.1, learning_rate=0.1, max_grad_norm=[1.0])


def parameters(dtype="float32"):
    w = jnp.array([[0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]], dtype)
    return {"w": w, "b": jnp.ones((2,), dtype)}


def gradients(dtype="float32", steps=3):
    keys = jax.random.split(jax.random.key(7), 2)
    return {
        "w": 3.0 * jax.random.normal(keys[0], (steps, 3, 2), dtype),
        "b": jax.random.normal(keys[1], (steps, 2), dtype),
    }


@pytest.mark.parametrize("name", by_stage(optaxwd.list_optimizers(), first="adamw"))
def test_every_optimizer_clips_first(name):
    assert (
        "max_grad_norm"
        in inspect.signature(optaxwd.list_optimizers()[name].factory).parameters
    )
    params, grads = parameters(), gradients()
    plain, limited = build(name), build(name, max_grad_norm=0.5)
    chained = optax.chain(optaxwd.clip_by_global_norm(0.5), plain)
    got = run(limited, params, grads)
    assert_close(got, jax.device_get(run(chained, params, grads)), steps=3)
    assert describe(limited.init(params)) == describe(plain.init(params))


@pytest.mark.parametrize(
    "options",
    [
        {"coupling": "l2"},
        {"coupling": "constant"},
        {"coupling": "independent", "cautious": True},
        {"mask": optaxwd.DecayRules([("b", 0.0)])},
        {"precision": "split"},
    ],
    ids=lambda options: "-".join(map(str, options)),
)
@pytest.mark.parametrize("dtype", by_stage(["float32", "bfloat16"], first="float32"))
def test_builders_clip_first(options, dtype):
    params, grads = parameters(dtype), gradients(dtype)
    clip = optaxwd.clip_by_global_norm(0.5)
    adam = optax.scale_by_adam()
    for build in (
        lambda **more: optaxwd.with_weight_decay(adam, 0.01, 0.1, **options, **more),
        lambda **more: optaxwd.adamw(0.01, weight_decay=0.1, **options, **more),
    ):
        got = run(build(max_grad_norm=0.5), params, grads)
        chained = optax.chain(clip, build())
        assert_close(got, jax.device_get(run(chained, params, grads)), steps=3)


def test_decouple_clips_first():
    params, grads = parameters(), gradients()
    tx = optaxwd.decouple(optax.sgd(0.1), 0.1, learning_rate=0.1, max_grad_norm=0.5)
    by_hand = params
    for i in range(3):
        g = reference(jax.tree.map(lambda g, i=i: np.asarray(g[i], float), grads), 0.5)
        by_hand = jax.tree.map(lambda p, g: p - 0.1 * g - 0.01 * p, by_hand, g)
    assert_close(run(tx, params, grads), by_hand, steps=3)


@pytest.mark.parametrize(
    "name", ["muonw", *by_stage(["adamw", "muonh", "sgdw"], first="adamw")]
)
def test_frozen_gradients_count_in_no_norm(name):
    rules = optaxwd.DecayRules([("frozen", "frozen")])
    params, grads = parameters(), gradients()
    with_frozen = {**params, "frozen": jnp.ones(2)}
    frozen_grads = {**grads, "frozen": jnp.full((3, 2), 1e3)}
    got = run(build(name, mask=rules, max_grad_norm=0.5), with_frozen, frozen_grads)
    assert_identical(got.pop("frozen"), with_frozen["frozen"])
    everything = optaxwd.rules.everything()
    expected = run(build(name, mask=everything, max_grad_norm=0.5), params, grads)
    assert_close(got, jax.device_get(expected), steps=3)


def test_all_groups_of_muon_have_one_norm():
    params, grads = parameters(), jax.tree.map(lambda g: g[0], gradients())
    tx = optaxwd.muonw(0.1, max_grad_norm=0.5, adam_b1=0.0, adam_b2=0.0, weight_decay=0)
    state = tx.init(params)
    _, state = jax.jit(tx.update)(grads, state, params)
    (momentum,) = (leaf for leaf in jax.tree.leaves(state) if jnp.shape(leaf) == (3, 2))
    # The first momentum is 5 % of the clipped gradient.
    expected = reference(jax.tree.map(lambda g: np.asarray(g, float), grads), 0.5)
    assert_close(momentum, 0.05 * expected["w"])


@pytest.mark.slow
def test_muon_clips_in_float32_where_it_computes_in_it():
    params, grads = parameters("bfloat16"), gradients("bfloat16")
    tx = optaxwd.muonw(0.01, max_grad_norm=0.5, precision="split")
    wide = optax.chain(
        optaxwd.clip_by_global_norm(0.5), optaxwd.muonw(0.01, precision="split")
    )
    expected = run(wide, params, cast(grads, "float32"))
    assert_identical(run(tx, params, grads), expected)


def test_the_norm_can_be_swept_and_injected():
    params, grads = parameters(), gradients()

    def last(norm):
        return run(optaxwd.adamw(0.1, max_grad_norm=norm, eps=1.0), params, grads)

    swept = jax.vmap(last)(jnp.array([0.5, 5.0]))
    for i, norm in enumerate((0.5, 5.0)):
        one = jax.tree.map(lambda x, i=i: x[i], swept)
        assert_close(one, jax.device_get(last(norm)), steps=3)
    injected = optax.inject_hyperparams(optaxwd.adamw)(0.1, max_grad_norm=0.5, eps=1.0)
    assert "max_grad_norm" in injected.init(params).hyperparams
    assert_close(run(injected, params, grads), jax.device_get(last(0.5)), steps=3)
