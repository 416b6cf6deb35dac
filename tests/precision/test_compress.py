"""Compressed states: what is stored, how near the numbers stay, and what they fit."""

import chex
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from helpers import assert_close, assert_identical, by_stage, describe

import optaxwd
from optaxwd.numerics import dequantize
from optaxwd.precision import CompressedState, compress_state

NAMES = ["int8", "bfloat16"]
NAMES_BY_STAGE = by_stage(NAMES, first="int8")
STORED = {"int8": jnp.uint8, "bfloat16": jnp.bfloat16}


def parameters(dtype=jnp.float32):
    random = np.random.default_rng(0)
    return {
        "kernel": jnp.asarray(random.normal(size=(64, 64)), dtype),
        "heads": jnp.asarray(random.normal(size=(8, 16, 64)), dtype),
        "bias": jnp.asarray(random.normal(size=64), dtype),
        "missing": None,
        "empty": {},
    }


def gradients(params, seed=1):
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda p: jnp.asarray(random.normal(size=p.shape), p.dtype), params
    )


def integers(codes):
    """Return codes, or the bits of bfloat16, as integers that are next if they are."""
    bits = np.asarray(codes)
    return bits.view(np.uint16 if bits.itemsize == 2 else np.uint8).astype(int)


def stepped(tx, params, steps=1):
    """Return the state after some steps, compiled."""
    state, step = tx.init(params), jax.jit(tx.update)
    for seed in range(steps):
        _, state = step(gradients(params, seed), state, params)
    return state


def test_what_is_stored_by_hand():
    # A trace without memory is the gradient.
    tx = compress_state(optax.trace(0.0), "int8", min_size=256)
    grads = jnp.zeros(256).at[:4].set(jnp.array([3.0, -1.5, 1e-9, 2.85]))
    updates, state = tx.update(grads, tx.init(grads))
    assert_identical(updates, grads)
    # 1.5 is half of 3, eight codes below; 2.85 is nearest to 3·14/15.
    codes = [127, 119 + 128, 0, 126]
    assert state.inner_state.trace[:4].tolist() == codes
    assert state.scales == (jnp.array([-3.0]),)


def test_bytes_per_parameter_of_adam():
    params = {"w": jnp.zeros((1024, 1024)), "b": jnp.zeros(1024)}
    large, small = 1024 * 1024, 1024
    for dtype, per_number, others, most in [
        ("int8", 1 + 4 / 256, 2 * 4, 2.04),  # two counts
        ("bfloat16", 2, 2 * 4 + 8, 4.01),  # and a key
    ]:
        tx = compress_state(optax.scale_by_adam(), dtype)
        state = jax.eval_shape(tx.init, params)
        total = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
        assert total == 2 * large * per_number + 2 * small * 4 + others
        assert total / (large + small) <= most


@pytest.mark.parametrize("dtype", NAMES_BY_STAGE)
def test_what_is_compressed(dtype):
    state = {
        "large": jnp.ones((16, 256)),
        "wide": jnp.ones((64, 64)),
        "small": jnp.ones(4095),
        "odd": jnp.ones(4099),
        "integers": jnp.ones(4096, jnp.int32),
        "complex": jnp.ones(4096, jnp.complex64),
        "half": jnp.ones(4096, jnp.float16),
        "brain": jnp.ones(4096, jnp.bfloat16),
        "flags": jnp.ones(4096, bool),
        "number": 1.0,
    }
    inner = optax.GradientTransformation(
        lambda params: state, lambda updates, state, params=None: (updates, state)
    )
    tx = compress_state(inner, dtype)
    before = tx.init(None)
    compressed = {
        "int8": {"large", "wide", "half", "brain"},
        "bfloat16": {"large", "wide", "odd"},
    }
    for name, leaf in before.inner_state.items():
        if name in compressed[dtype]:
            assert leaf.dtype == STORED[dtype] and leaf.shape == state[name].shape
        else:
            assert leaf is state[name]
    # A constant is its block's largest number and stays what it was.
    _, after = tx.update(jnp.ones(1), before)
    assert_identical(after.inner_state, before.inner_state)
    assert_identical(after.scales, before.scales)


@pytest.mark.parametrize("dtype", NAMES_BY_STAGE)
def test_a_transformation_sees_the_dtypes_that_it_gave(dtype):
    seen = []
    state = {
        "a": jnp.ones(4096),
        "b": jnp.ones(4096, jnp.bfloat16),
        "c": jnp.ones(4096, jnp.float16),
    }

    def update(updates, state, params=None):
        seen.append(describe(state))
        # As one that does not keep its own dtypes.
        return updates, jax.tree.map(lambda x: x.astype(jnp.float32) * 1.5, state)

    inner = optax.GradientTransformation(lambda params: state, update)
    tx = compress_state(inner, dtype)
    before = tx.init(None)
    _, after = tx.update(jnp.ones(1), before)
    assert seen == [describe(state)]
    assert describe(after) == describe(before)


def test_anchors_and_master_weights_are_left_alone():
    params = parameters(jnp.bfloat16)
    inner = optaxwd.adamw(1e-2, weight_decay=0.1, anchor="init")
    tx = compress_state(optaxwd.with_master_weights(inner), "int8")
    state = stepped(tx, params).inner_state
    assert state.rounding.residual["kernel"].dtype == jnp.float32
    wide = jax.tree.map(lambda p: p.astype(jnp.float32), params)
    assert_identical(optax.tree.get(state, "anchor"), wide)


def test_signs_are_found_in_each_block():
    state = stepped(compress_state(optax.scale_by_adam(), "int8"), parameters(), 3)
    _, mu, nu = state.scales
    assert (np.asarray(mu["kernel"]) < 0).all() and mu["kernel"].shape == (16, 1)
    assert (np.asarray(nu["kernel"]) > 0).all() and nu["heads"].shape == (8, 4, 1)
    assert nu["bias"] == optax.MaskedNode()


def test_second_moments_stay_above_their_floor():
    # Gradients over 40 binades, so that second moments take 80.
    grads = jnp.exp2(-jnp.linspace(0.0, 40.0, 4096))
    tx = compress_state(optax.scale_by_adam(), "int8")
    state = tx.init(grads)
    for _ in range(3):
        updates, state = jax.jit(tx.update)(grads, state)
        assert np.isfinite(updates).all()
    scales = state.scales[2]
    nu = dequantize(state.inner_state.nu, scales)
    floor = np.repeat(np.asarray(scales, np.float64), 256) / 8 / (1.875 * 2.0**30)
    assert (np.asarray(nu) >= floor * (1 - 2.0**-22)).all()


# How far a moment may be from its float32 self, relative to itself, per step.
ROUNDING = {"int8": 1 / 17, "bfloat16": 2.0**-7}


def relative_error(dtype):
    """Return how much larger an update of Adam may be if its moments are rounded."""
    return ROUNDING[dtype] + (1 - ROUNDING[dtype]) ** -0.5 - 1


@pytest.mark.parametrize("dtype", NAMES_BY_STAGE)
def test_one_step_is_within_the_rounding_of_the_moments(dtype):
    adam, params = optax.scale_by_adam(), parameters()
    state = adam.init(params)
    for seed in range(5):
        _, state = jax.jit(adam.update)(gradients(params, seed), state)
    begun = optax.GradientTransformation(lambda params: state, adam.update)
    tx = compress_state(begun, dtype)
    grads = gradients(params, 5)
    expected, new = jax.jit(adam.update)(grads, state)
    updates, _ = jax.jit(tx.update)(grads, tx.init(params))
    assert_close(updates["bias"], expected["bias"])
    rounding = ROUNDING[dtype]
    for name in ("kernel", "heads"):
        u, mu = np.asarray(expected[name], np.float64), np.asarray(state.mu[name])
        # Where codes are eighths, they are off by half of that.
        smallest = np.abs(mu).max() / (1.875 * 2.0**14) / 16
        error = 0.9 * np.maximum(rounding * np.abs(mu), smallest) / (1 - 0.9**6)
        root = np.sqrt(np.asarray(new.nu[name], np.float64) / (1 - 0.999**6))
        factor = (1 - rounding) ** -0.5
        bound = error / root * factor + np.abs(u) * (factor - 1) + 1e-5 * np.abs(u)
        assert (np.abs(np.asarray(updates[name]) - u) <= bound).all()
        assert np.abs(np.asarray(updates[name]) - u).max() > 0


@pytest.mark.parametrize("dtype", NAMES_BY_STAGE)
def test_the_path_to_a_minimum_is_nearly_the_same(dtype):
    curvature = jnp.geomspace(0.1, 10.0, 64)

    def run(scale):
        def step(carry, _):
            params, state = carry
            updates, state = scale.update(curvature * params, state)
            return (params - 0.02 * updates, state), updates

        start = parameters()["kernel"]
        (end, _), updates = jax.lax.scan(step, (start, scale.init(start)), length=100)
        lengths = 0.02 * jnp.linalg.norm(updates.reshape(100, -1), axis=1)
        return end, lengths.sum()

    expected, length = jax.jit(lambda: run(optax.scale_by_adam()))()
    end, _ = jax.jit(lambda: run(compress_state(optax.scale_by_adam(), dtype)))()
    distance = float(jnp.linalg.norm(end - expected))
    assert 0 < distance <= relative_error(dtype) * float(length)


INNERS = {
    "scale_by_adam": optax.scale_by_adam,
    "adamw": lambda: optaxwd.adamw(1e-2, weight_decay=0.1, mask=optaxwd.DecayRules([])),
    "adams": lambda: optaxwd.adams(1e-2, weight_decay=0.1),
    "optax.adamw": lambda: optax.adamw(1e-2),
    "rmsprop": lambda: optax.rmsprop(1e-2, momentum=0.9),
    "lion": lambda: optax.lion(1e-2),
    "adafactor": lambda: optax.adafactor(1e-2, momentum=0.9, factored=False),
    "muon": lambda: optax.contrib.muon(1e-2),
    "mu_dtype": lambda: optax.scale_by_adam(mu_dtype=jnp.bfloat16),
    "masked": lambda: optax.masked(
        optax.scale_by_adam(),
        {"kernel": True, "heads": False, "bias": True, "missing": None, "empty": {}},
    ),
    "partition": lambda: optax.partition(
        {"a": optax.adamw(1e-2), "b": optax.lion(1e-2)},
        {"kernel": "a", "heads": "b", "bias": "b", "missing": "a", "empty": {}},
    ),
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.adamw)(1e-2),
}
FIRST = {("int8", "partition"), ("bfloat16", "adamw")}
CASES = [
    pytest.param(dtype, name, marks=[] if (dtype, name) in FIRST else pytest.mark.slow)
    for dtype in NAMES
    for name in INNERS
]


@pytest.mark.parametrize(("dtype", "name"), CASES)
def test_around_any_transformation(dtype, name):
    tx, params = compress_state(INNERS[name](), dtype), parameters()
    state = jax.jit(tx.init)(params)
    assert any(x.dtype == STORED[dtype] for x in jax.tree.leaves(state))
    assert describe(jax.eval_shape(tx.init, params)) == describe(state)
    expected, _ = INNERS[name]().update(
        gradients(params), INNERS[name]().init(params), params
    )
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(tx.update, n=1))
    new = state
    for seed in range(1, 4):
        updates, new = step(gradients(params, seed), new, params)
        if seed == 1:
            # Moments of zero are stored as they are.
            assert_close(updates, jax.device_get(expected), steps=10)
        assert describe(updates) == describe(params)
        assert describe(new) == describe(state)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(updates))
    assert int(new.compression_count) == 3
    assert_identical(optax.tree.map_params(tx, lambda x: x, new), new)


@pytest.mark.parametrize("dtype", NAMES_BY_STAGE)
def test_updates_keep_the_dtypes_of_narrow_parameters(dtype):
    params = parameters(jnp.bfloat16)
    tx = optax.apply_if_finite(compress_state(optax.adamw(1e-2), dtype), 3)
    state = tx.init(params)
    updates, new = jax.jit(tx.update)(gradients(params), state, params)
    assert describe(updates) == describe(params)
    assert describe(new) == describe(state)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", NAMES)
def test_scan_is_a_loop(dtype):
    tx, params = compress_state(optax.scale_by_adam(), dtype), parameters()
    grads = [gradients(params, seed) for seed in range(3)]
    looped = tx.init(params)
    for g in grads:
        _, looped = jax.jit(tx.update)(g, looped)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *grads)
    scanned, _ = jax.jit(
        lambda: jax.lax.scan(
            lambda state, g: tx.update(g, state)[::-1], tx.init(params), stacked
        )
    )()
    assert describe(scanned) == describe(looped)
    # What XLA rounds otherwise may end in the next number, but no further.
    for name, codes in scanned.inner_state.mu.items():
        other = looped.inner_state.mu[name]
        if name in ("kernel", "heads"):
            distance = integers(codes) - integers(other)
            assert np.abs(distance).max() <= 1
        elif name == "bias":
            assert_close(codes, jax.device_get(other), steps=3)


@pytest.mark.parametrize("dtype", NAMES)
def test_names_in_the_state_are_found_once(dtype):
    inner = optax.inject_hyperparams(optax.adamw)(1e-2)
    state = compress_state(inner, dtype).init(parameters())
    assert optax.tree.get(state, "mu")["kernel"].dtype == STORED[dtype]
    assert optax.tree.get(state, "learning_rate") == np.float32(1e-2)
    assert len(optax.tree.get_all_with_path(state, "ScaleByAdamState")) == 1
    changed = optax.tree.set(state, learning_rate=jnp.float32(0.5))
    assert describe(changed) == describe(state)


@pytest.mark.parametrize("dtype", NAMES)
def test_shardings_of_parameters_are_those_of_the_state(dtype):
    tx, params = compress_state(optax.scale_by_adam(), dtype), parameters()
    specs = jax.tree.map(lambda p: p.ndim, params)
    mapped = optax.tree.map_params(
        tx,
        lambda x, spec: spec if hasattr(x, "ndim") else x,
        tx.init(params),
        specs,
        is_leaf=lambda x: isinstance(x, optax.MaskedNode),
    )
    assert mapped.inner_state.mu == mapped.inner_state.nu == specs
    mu = mapped.scales[1]
    expected = specs["kernel"] if dtype == "int8" else optax.MaskedNode()
    assert mu["kernel"] == expected and mu["bias"] == optax.MaskedNode()


@pytest.mark.parametrize("dtype", NAMES_BY_STAGE)
def test_checkpoints(dtype, tmp_path):
    tx, params = compress_state(optax.adamw(1e-2), dtype), parameters()
    state = stepped(tx, params)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        like = jax.eval_shape(tx.init, params)
        assert_identical(checkpointer.restore(tmp_path / "state", like), state)
    data = flax.serialization.to_bytes(state)
    assert_identical(flax.serialization.from_bytes(tx.init(params), data), state)


@pytest.mark.parametrize("dtype", NAMES_BY_STAGE)
def test_a_step_that_is_not_finite_is_skipped(dtype):
    params = parameters()
    tx = optax.apply_if_finite(compress_state(optax.adamw(1e-2), dtype), 3)
    state = tx.init(params)
    bad = jax.tree.map(lambda g: g.at[0].set(jnp.nan), gradients(params))
    updates, after = jax.jit(tx.update)(bad, state, params)
    assert not any(np.asarray(x).any() for x in jax.tree.leaves(updates))
    assert_identical(after.inner_state, state.inner_state)


@pytest.mark.parametrize("dtype", NAMES_BY_STAGE)
def test_nan_in_a_moment_is_not_lost(dtype):
    tx, params = compress_state(optax.scale_by_adam(), dtype), parameters()
    grads = gradients(params)
    bad = {**grads, "kernel": grads["kernel"].at[5, 5].set(jnp.nan)}
    _, state = jax.jit(tx.update)(bad, tx.init(params))
    updates, _ = jax.jit(tx.update)(grads, state)
    assert np.isnan(updates["kernel"][5, 5])
    assert np.isfinite(updates["heads"]).all()


@pytest.mark.parametrize("dtype", NAMES_BY_STAGE)
def test_accumulated_gradients(dtype):
    params, grads = parameters(), gradients(parameters())
    tx = compress_state(optax.adamw(1e-2), dtype)
    many = optax.MultiSteps(tx, every_k_schedule=2)
    state, step = many.init(params), jax.jit(many.update)
    _, state = step(grads, state, params)
    updates, _ = step(grads, state, params)
    expected, _ = jax.jit(tx.update)(grads, tx.init(params), params)
    assert_close(updates, jax.device_get(expected))


def test_codes_inside_of_what_reads_moments():
    params = parameters()
    inside = optaxwd.with_stable_weight_decay(
        compress_state(optaxwd.scale_by_adam(), "int8"), 0.1, b2=0.999
    )
    with pytest.raises(ValueError, match="uint8 codes at 'heads'. Put compress_state"):
        inside.init(params)
    # Nothing in it is large enough to be turned into codes, or codes are none.
    for scale in (
        compress_state(optaxwd.scale_by_adam(), "int8", min_size=10**6),
        compress_state(optaxwd.scale_by_adam(), "bfloat16"),
    ):
        optaxwd.with_stable_weight_decay(scale, 0.1, b2=0.999).init(params)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((optax.adam, "int8"), {}, TypeError, "transform must be an optax.Gradient"),
        ((optax.sgd(0.1), "int4"), {}, ValueError, "unknown dtype 'int4'.*'int8'"),
        ((optax.sgd(0.1), "bfloat16"), {"key": 0.5}, ValueError, "key must be an int"),
        ((optax.sgd(0.1), "int8"), {"min_size": -1}, ValueError, "min_size.* got -1"),
    ],
)
def test_messages(arguments, options, error, message):
    with pytest.raises(error, match=f"^compress_state: .*{message}"):
        compress_state(*arguments, **options)


def test_the_state_is_public():
    state = compress_state(optax.scale_by_adam(), "int8").init(parameters())
    assert isinstance(state, CompressedState) and state.compression_key is None
