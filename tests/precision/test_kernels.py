"""Kernels for 8-bit states: the same numbers as without, and where they are taken."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_identical, by_stage, describe

import optaxwd
from benchmarks.ahead_of_time import lowering_for
from optaxwd.numerics import dequantize
from optaxwd.precision import _in_kernels, _region_kernel, compress_state
from optaxwd.precision._in_kernels import run_in_kernels, uses_kernels
from optaxwd.precision._storages import Stored
from optaxwd.tree import map_to_trees


def ours(name, state="int8", rounding="split", **options):
    """Return a builder of an optimizer of ours, with a kernel or without."""

    def build(kernel):
        policy = optaxwd.Policy(rounding=rounding, state=state, key=3, kernel=kernel)
        factory = optaxwd.list_optimizers()[name].factory
        return factory(1e-2, weight_decay=0.1, precision=policy, **options)

    return build


def compressed(transform):
    return lambda kernel: compress_state(transform, "int8", kernel=kernel)


def own_norm():
    """Return a transformation whose one moment needs the norm of the other."""

    def init(params):
        zeros = optax.tree.zeros_like(params)
        return {"m": zeros, "v": zeros}

    def update(updates, state, params=None):
        m = jax.tree.map(lambda m, g: 0.9 * m + g, state["m"], updates)
        norm = optax.tree.norm(m)
        v = jax.tree.map(lambda v, m: 0.9 * v + m / norm, state["v"], m)
        return v, {"m": m, "v": v}

    return optax.GradientTransformation(init, update)


BUILDERS = {
    "adamw, bfloat16": ours("adamw"),
    "adamw": ours("adamw"),
    "adamw, at random": ours("adamw", "int8_stochastic"),
    "lionw": ours("lionw"),
    "adamw, options": ours("adamw", max_grad_norm=1.0, cautious=True, anchor="init"),
    "adamw, bfloat16, at random": ours("adamw", "int8_stochastic", "stochastic"),
    "adam_l2": ours("adam_l2"),
    "nadamw": ours("nadamw"),
    "sgdw": ours("sgdw", momentum=0.9, nesterov=True),
    "rmspropw": ours("rmspropw"),
    "adafactorw": ours("adafactorw"),
    "muonw": ours("muonw"),
    "optax.adamw": compressed(optax.adamw(1e-2, weight_decay=0.1)),
    "optax.amsgrad": compressed(optax.amsgrad(1e-2)),
    "optax.adabelief": compressed(optax.adabelief(1e-2)),
    "optax.lamb": compressed(optax.lamb(1e-2)),
    "optax.adan": compressed(optax.adan(1e-2)),
    "accumulated": compressed(
        optax.MultiSteps(optax.adam(1e-2), 2).gradient_transformation()
    ),
    "own norm": compressed(own_norm()),
}


def parameters(dtype):
    random = np.random.default_rng(0)
    shapes = {"kernel": (64, 128), "heads": (4, 64, 64), "long": (8704,), "bias": (7,)}
    return {
        name: jnp.asarray(random.normal(size=shape), dtype)
        for name, shape in shapes.items()
    }


def stepped(optimizer, params, steps=3):
    """Return parameters and the state after some steps with changing gradients."""

    @jax.jit
    def step(grads, params, state):
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    state, random = optimizer.init(params), np.random.default_rng(1)
    for _ in range(steps):
        grads = jax.tree.map(
            lambda p: jnp.asarray(random.normal(size=p.shape), p.dtype), params
        )
        params, state = step(grads, params, state)
    return params, state


def assert_same_numbers(actual, expected):
    """Compare to rounding: XLA may contract products and sums of one and not the other.

    A code then may be another where a number is next to the middle of two. Lower halves
    of parameters are compared as part of these.
    """
    assert describe(actual) == describe(expected)
    for got, want in zip(
        jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True
    ):
        if want.dtype == jnp.uint8:
            steps = np.abs(np.asarray(got, int) - np.asarray(want, int))
            assert steps.max() <= 1 and (steps != 0).mean() < 1e-3
        elif jnp.issubdtype(want.dtype, jnp.floating):
            assert_close(got, np.asarray(want, np.float64), steps=10)
        elif want.dtype != jnp.int16:
            assert_identical(got, want)


@pytest.mark.parametrize("name", by_stage(BUILDERS, first="lionw"))
def test_a_kernel_computes_what_is_computed_without(name):
    build = BUILDERS[name]
    params = parameters(jnp.bfloat16 if "bfloat16" in name else jnp.float32)
    pair = stepped(build(True), params), stepped(build(False), params)
    if "bfloat16" in name:
        pair = [(optaxwd.float32_parameters(*one), one[1]) for one in pair]
    assert_same_numbers(*pair)


@pytest.mark.slow
def test_telemetry_measures_the_same():
    params = parameters(jnp.float32)
    (theta, state), (expected, other) = (
        stepped(optaxwd.record_decay(ours("adamw")(kernel)), params)
        for kernel in (True, False)
    )
    assert_same_numbers(theta, expected)
    measured, without = map(optaxwd.read_telemetry, (state, other))
    assert measured == pytest.approx(without, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("rows", by_stage([1, 2, 3, 6, 16], first=3))
@pytest.mark.parametrize("fallback", ["interpret", "xla"])
def test_random_numbers_of_all_magnitudes(rows, fallback):
    random = np.random.default_rng(rows)
    exponents = random.integers(-120, 100, (2, rows, 1))
    x = random.normal(size=(2, rows, 256)) * 2.0 ** exponents.astype(float)
    x *= 2.0 ** -random.uniform(0, 40, x.shape)
    x[1] = np.abs(x[1])
    x[0, 0, :3] = 0.0, -0.0, np.nan if rows == 3 else 1.0
    old = [jnp.asarray(y, jnp.float32) for y in x]

    def add(loaded, grad):
        m, v = loaded
        return [0.5 * m + grad, 0.5 * v + jnp.abs(grad)], m * v

    def without(grad, stored):
        new, product = add([dequantize(s.leaf, s.note) for s in stored], grad)
        return [optaxwd.numerics.quantize(y) for y in new], product

    def within(grad, stored):
        return run_in_kernels(lambda m: add(m, grad), stored, fallback=fallback)

    stored = [Stored(*optaxwd.numerics.quantize(y), None) for y in old]
    expected = jax.jit(without)(old[0], stored)
    assert_identical(jax.jit(within)(old[0], stored), expected)


@pytest.fixture
def traced_kernels(monkeypatch):
    """Return a list that gets what each kernel that is traced is computed from."""
    traced, original = [], _region_kernel._call

    def call(plain, rows, **options):
        traced.append(rows)
        return original(plain, rows, **options)

    monkeypatch.setattr(_region_kernel, "_call", call)
    return traced


def test_kernels_are_traced_once_per_shape(traced_kernels):
    optimizer = ours("adamw")(True)
    params = {name: jnp.ones((64, 128)) for name in "abcdef"} | {"g": jnp.ones(4096)}
    jax.make_jaxpr(optimizer.update)(params, optimizer.init(params), params)
    # One for GPUs and one that is interpreted, of each shape.
    shapes = sorted(rows.codes[0].shape for rows in traced_kernels)
    assert shapes == [(16, 256)] * 2 + [(32, 256)] * 2


def lowered_for_gpus(update, *arguments):
    """Return the program for an NVIDIA GPU, which need not be there."""
    with lowering_for("NVIDIA H100 80GB HBM3"):
        traced = jax.jit(update).trace(*arguments)
        return traced.lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.parametrize("name", by_stage(BUILDERS, first="adamw, options"))
def test_gpus_get_kernels_for_all_that_is_stored(name):
    params = parameters(jnp.bfloat16 if "bfloat16" in name else jnp.float32)
    for kernel in (True, False):
        optimizer = BUILDERS[name](kernel)
        program = lowered_for_gpus(
            optimizer.update, params, optimizer.init(params), params
        )
        # One leaf is too small, and the others have different shapes.
        count = 3 if kernel and name != "own norm" else 0
        assert program.count("@__gpu$xla.gpu.triton(") == count


def test_functions_of_whole_trees_are_divided_among_kernels(traced_kernels):
    @jax.jit
    def moments(state, grads):
        means = jax.tree.map(lambda m, g: 0.9 * m + g, state["m"], grads)
        return {"m": means, "v": jax.tree.map(jnp.maximum, state["v"], means)}

    def update(updates, state, params=None):
        state = moments(state, updates)
        return jax.tree.map(jnp.add, state["m"], state["v"]), state

    tx = optax.GradientTransformation(
        lambda p: {name: optax.tree.zeros_like(p) for name in "mv"}, update
    )
    optimizer = compress_state(tx, "int8", kernel=True)
    params = parameters(jnp.float32)
    jax.make_jaxpr(optimizer.update)(params, optimizer.init(params))
    # Both moments of a leaf are in one, and nothing else is.
    assert all(
        len(rows.codes) == 2 and len(rows.arrays) == 1 for rows in traced_kernels
    )


IN_16_BITS = ["adam", "adamw", "nadamw", "lamb", "lion", "rmsprop", "adafactor", "yogi"]


@pytest.mark.parametrize("dtype", by_stage(["bfloat16", "float16"], first="bfloat16"))
def test_parameters_of_16_bits_without_a_policy(dtype):
    params = parameters(jnp.dtype(dtype))
    for name in IN_16_BITS:
        optimizer = compress_state(getattr(optax, name)(1e-3), "int8", kernel=True)
        state = optimizer.init(params)
        assert "triton" in lowered_for_gpus(optimizer.update, params, state, params)


@pytest.mark.slow
def test_parameters_of_16_bits_differ_by_their_rounding():
    # Without a kernel XLA may keep more digits between operations.
    params = parameters(jnp.bfloat16)
    mixed = optax.chain(optax.scale_by_adam(mu_dtype=jnp.bfloat16), optax.scale(-1e-2))
    for name in (*IN_16_BITS, "mixed"):
        inner = mixed if name == "mixed" else getattr(optax, name)(1e-2)
        found, expected = (
            stepped(compress_state(inner, "int8", kernel=kernel), params)[0]
            for kernel in (True, False)
        )
        for leaf, other in zip(found.values(), expected.values(), strict=True):
            error = np.abs(np.asarray(leaf, float) - np.asarray(other, float))
            assert error.max() <= 2.0**-7 * np.abs(np.asarray(other, float)).max(), name


def transform(update):
    """Return a transformation with one moment, ``update(grad, m) -> (u, m)``."""

    def update_tree(updates, state, params=None):
        return tuple(map_to_trees(update, 2, updates, state))

    return optax.GradientTransformation(optax.tree.zeros_like, update_tree)


def test_what_a_computation_was_traced_with_stays():
    def drawn(grad, m):
        with jax.threefry_partitionable(False):
            noise = jax.random.normal(jax.random.key(0), m.shape)
        with jax.named_scope("of_the_user"):
            return jnp.sort(grad) + noise, 0.9 * m + grad

    x = jnp.ones((16, 256))
    with_kernel, without = (
        compress_state(transform(drawn), "int8", kernel=kernel)
        for kernel in (True, False)
    )
    state = with_kernel.init(x)
    assert_same_numbers(
        jax.jit(with_kernel.update)(x, state), jax.jit(without.update)(x, state)
    )
    lowered = jax.jit(with_kernel.update).lower(x, state)
    assert "of_the_user" in lowered.as_text(debug_info=True)


def test_moments_that_come_back_complex_are_cast():
    def spectrum(grad, m):
        return grad, jnp.abs(jax.lax.complex(m + grad, grad)) + 0j

    x = jnp.ones((16, 256))
    optimizer = compress_state(transform(spectrum), "int8", kernel=True)
    with pytest.warns(match="omplex"):
        lowered_for_gpus(optimizer.update, x, optimizer.init(x))


def test_steps_can_be_differentiated():
    x = jnp.linspace(0.1, 1.0, 4096)

    def loss(rate, kernel):
        tx = compress_state(optax.scale_by_adam(), "int8", kernel=kernel)
        updates, state = tx.update(x * rate, tx.init(x))
        updates, _ = tx.update(x, state)
        return jnp.sum(updates * x)

    slopes = [jax.jit(jax.grad(loss), static_argnums=1)(2.0, k) for k in (True, False)]
    assert_close(slopes[0], slopes[1])


def test_none_over_explicit_axes(traced_kernels):
    axis_types = (jax.sharding.AxisType.Explicit,)
    mesh = jax.make_mesh((1,), ("x",), axis_types=axis_types)
    placed = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    optimizer = compress_state(optax.adam(1e-3), "int8", kernel=True)
    x = jax.device_put(jnp.ones((16, 256)), placed)
    jax.jit(optimizer.update)(x, optimizer.init(x))
    assert not traced_kernels


def test_kernels_inside_of_shard_map(traced_kernels):
    axis_types = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((1,), ("x",), axis_types=axis_types)
    spec = jax.sharding.PartitionSpec("x")
    optimizer = compress_state(
        transform(lambda g, m: (g, 0.9 * m + g)), "int8", kernel=True
    )
    x = jnp.ones((16, 256))

    def step(x):
        _, state = optimizer.update(x, optimizer.init(x))
        return state.inner_state

    jax.make_jaxpr(jax.shard_map(step, mesh=mesh, in_specs=spec, out_specs=spec))(x)
    assert traced_kernels and all(len(one.arrays) == 1 for one in traced_kernels)


@pytest.mark.slow
def test_mapped_over_rates_and_scanned():
    params = parameters(jnp.float32)

    def run(weight_decay, kernel):
        policy = optaxwd.Policy(state="int8", kernel=kernel)
        tx = optaxwd.adamw(1e-2, weight_decay=weight_decay, precision=policy)

        def step(carry, scale):
            theta, state = carry
            grads = jax.tree.map(lambda p: scale * jnp.cos(p), theta)
            updates, state = tx.update(grads, state, theta)
            return (optax.apply_updates(theta, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), jnp.arange(1.0, 4.0))[0]

    rates = jnp.array([0.0, 0.1, 0.3])
    mapped = [
        jax.jit(jax.vmap(lambda rate, k=kernel: run(rate, k)))(rates)
        for kernel in (True, False)
    ]
    assert_same_numbers(*mapped)


def test_outside_of_compiled_steps_there_is_none(monkeypatch):
    monkeypatch.setattr(_in_kernels, "compute", None)
    params = parameters(jnp.float32)
    optimizer = ours("adamw")(True)
    optimizer.update(params, optimizer.init(params), params)


def device(capability):
    return types.SimpleNamespace(compute_capability=capability)


@pytest.mark.parametrize(
    ("devices", "kernel", "expected"),
    [
        ([device("9.0")], None, True),
        ([device("10.0")], None, True),
        ([device("9.0")], False, False),
        ([device("9.0"), device("9.0")], None, False),
        ([device("9.0"), device("9.0")], True, True),
        ([device("7.5")], None, False),
        ([device("gfx942")], None, False),
        ([types.SimpleNamespace()], None, False),
        ([types.SimpleNamespace()], True, True),
    ],
)
def test_where_kernels_are_taken(monkeypatch, devices, kernel, expected):
    monkeypatch.setattr(jax, "devices", lambda: devices)
    chosen = []

    @jax.jit
    def look(x):
        chosen.append(uses_kernels(kernel, [x]))
        return x

    look(jnp.ones(3))
    assert chosen == [expected]
    assert not uses_kernels(kernel, [jnp.ones(3)]) and not uses_kernels(kernel, [])


def test_without_pallas_for_gpus_there_is_none(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [device("9.0")])
    monkeypatch.setattr(_in_kernels, "_PALLAS_FOR_GPUS", "jax.experimental.missing")
    chosen = []
    jax.jit(lambda x: chosen.append(uses_kernels(None, [x])) or x)(jnp.ones(3))
    assert chosen == [False]


def test_on_a_gpu_without_being_asked(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [device("9.0")])
    params = {"w": jnp.ones((64, 128))}
    tx = optaxwd.adamw(1e-2, weight_decay=0.1, precision=optaxwd.Policy(state="int8"))
    jaxpr = str(jax.make_jaxpr(tx.update)(params, tx.init(params), params))
    assert jaxpr.count("pallas_call[") == 1  # other devices compute the same without
    updates, _ = jax.jit(tx.update)(params, tx.init(params), params)
    monkeypatch.undo()
    expected, _ = jax.jit(tx.update)(params, tx.init(params), params)
    assert_close(updates, expected)


@pytest.mark.parametrize(
    "build",
    [
        lambda k: compress_state(optax.sgd(0.1), "int8", kernel=k),
        lambda k: optaxwd.Policy(state="int8", kernel=k),
    ],
)
def test_what_is_no_choice(build):
    with pytest.raises(TypeError, match=r"kernel must be True or False, got 'yes'"):
        build("yes")
