"""A transformer over eight devices: the numbers of one, and each state in its place."""

import functools

import jax
import pytest
from helpers import assert_close, assert_identical
from jax.sharding import AxisType
from sharding.layouts import (
    CASES,
    LAYOUTS,
    arrays,
    collectives,
    displaced,
    dtype_of,
    placed,
    shardings,
    step_of,
)
from test_contracts import COMPOSED

import optaxwd
from optaxwd import tree

# Stacked biases are matrices to some presets, which say so. Here they may be.
pytestmark = pytest.mark.filterwarnings("ignore:matrices_only")

# XLA sends messages together since then.
COMBINES = jax.__version_info__ >= (0, 10)

# What moves parts of parameters between devices, and why it has to.
GATHERS = {
    ("muonw", "tensor parallel"): "Newton-Schulz multiplies whole matrices",
    ("muonh", "tensor parallel"): "Newton-Schulz multiplies whole matrices",
    ("adamw split", "tensor parallel"): "blocks of 256 that lie over two devices",
}
# What one device sums over in another order than eight do.
REDUCES = {
    "adafactorw",
    "adamcpr",
    "adamh",
    "adamp",
    "adams",
    "adamspd",
    "adamw clipped",
    "adamwn",
    "amos",
    "clip_by_global_norm",
    "constrain_norms",
    "control_weight_norm",
    "muonh",
    "muonw",
    "project_updates",
    "rotate_neurons",
    "rotational_adamw",
    "rotational_lion",
    "rotational_sgd",
    "scale_by_amos",
    "sgdp",
    "sgds",
    "step_on_hyperball",
    "with_selective_projection_decay",
    "with_stable_weight_decay",
}
# Global quantities, which take one message per step, however many leaves there are.
ONCE = {
    "adamcpr",
    "adams",
    "adamspd",
    "adamw clipped",
    "adamwn",
    "amos",
    "clip_by_global_norm",
}


# Chains of parts that are cases themselves: tensor parallel, and at night the others.
CHAINS = COMPOSED - ONCE - {name for name, _ in GATHERS}


def by_stage(name, *others):
    chain = name in CHAINS and "tensor parallel" not in others
    return pytest.param(name, *others, marks=[pytest.mark.nightly] if chain else [])


def steps_of(name, params, grads, state, number=3):
    """Return the compiled step, and state and parameters after some."""
    program = step_of(CASES[name]()).lower(grads, state, params).compile()
    for _ in range(number):
        # It refuses what does not lie where it lay when the program was compiled.
        state, params = program(grads, state, params)
    return program, state, params


@functools.cache
def one_device(name):
    params, grads = arrays(0, dtype_of(name)), arrays(1, dtype_of(name))
    state = jax.jit(CASES[name]().init)(params)
    return jax.device_get(steps_of(name, params, grads, state)[1:])


def compare(name, found, *, exact=True):
    wanted = one_device(name)
    if name in REDUCES or not exact:
        # Sums over shards, and what is iterated on them, are rounded anew.
        assert_close(found[1], wanted[1], steps=100, message=name)
        return
    if name == "record_decay":
        telemetry, expected = map(optaxwd.read_telemetry, (found[0], wanted[0]))
        assert telemetry == pytest.approx(expected, rel=1e-4, abs=1e-6)
        found, wanted = found[1], wanted[1]
    assert_identical(jax.device_get(found), wanted, name)


def assert_moments_lie_well(tx, params, expected):
    """Check a compiled init that is not told where to put what it makes."""
    state = jax.jit(tx.init)(params)
    parts = tree.parameters_of(state, params)
    for (path, leaf, _, param), sharding in zip(
        parts, jax.tree.leaves(expected), strict=True
    ):
        if param is not None and leaf.shape == param.shape:
            assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim), path


@pytest.mark.parametrize(
    ("name", "layout"), [by_stage(name, layout) for layout in LAYOUTS for name in CASES]
)
def check_automatic_axes(name, layout):
    where = shardings(layout)
    params, grads = placed(name, where)
    tx = CASES[name]()
    expected = optaxwd.state_shardings(tx, params)
    assert_moments_lie_well(tx, params, expected)
    state = jax.jit(tx.init, out_shardings=expected)(params)
    assert not displaced(state, expected)
    program, state, params = steps_of(name, params, grads, state)
    assert not displaced(state, expected)
    assert not displaced(params, where)
    messages = collectives(program)
    others = set(messages) - {"all-reduce"}
    assert bool(others) == ((name, layout) in GATHERS), others
    if name in ONCE and layout == "fsdp" and COMBINES:
        assert len(messages) == 1
    if name == "record_decay" and layout == "fsdp" and COMBINES:
        assert len(messages) == 3, "of sums, of least and of largest √v̂"
    compare(name, (state, params))


@pytest.mark.parametrize("name", [by_stage(name) for name in CASES])
def check_explicit_axes(name):
    if name == "record_decay" and jax.__version_info__ < (0, 8):
        pytest.skip("JAX 0.7 has no rule for sums by group over explicit axes")
    where = shardings("tensor parallel", AxisType.Explicit)
    mesh = jax.tree.leaves(where)[0].mesh
    in_mesh = jax.set_mesh if hasattr(jax, "set_mesh") else jax.sharding.use_mesh
    tx = CASES[name]()
    with in_mesh(mesh):
        params, grads = placed(name, where)
        expected = optaxwd.state_shardings(tx, params)
        state = jax.jit(tx.init, out_shardings=expected)(params)
        _, state, params = steps_of(name, params, grads, state)
        assert not displaced(state, expected)
    # XLA fuses less where automatic axes begin inside of explicit ones.
    compare(name, (state, params), exact=name != "adamw split")
