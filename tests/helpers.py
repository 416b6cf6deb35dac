"""The one table of tolerances, and what several test files need."""

import contextlib
import importlib.metadata
import inspect
import os
import re
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import strategies as st

import optaxwd

# Largest relative error per step, by dtype: rounding of the parameter itself, which is
# one unit in the last place for bfloat16, and some ten for the moments' arithmetic.
TOLERANCE_PER_STEP = {"float64": 1e-13, "float32": 1e-6, "bfloat16": 2.0**-8}

# Optax 0.2.6 reads a schedule of λ but never advances its count.
OPTAX_ADVANCES_SCHEDULES = importlib.metadata.version("optax") != "0.2.6"

DTYPES = tuple(TOLERANCE_PER_STEP)


def by_stage(values, *, first):
    """Return parameters of which all but ``first``, a value or a set of some, are slow.

    What is slow comes in the second stage.
    """
    early = first if isinstance(first, set) else [first]
    slow = pytest.mark.slow
    return [pytest.param(x, marks=[] if x in early else [slow]) for x in values]


# float64 shows whether a law is right; how the others round it, in the second stage.
DTYPES_BY_STAGE = by_stage(DTYPES, first="float64")


def describe(tree):
    """Return a tree of the shapes and dtypes of ``tree``."""
    return jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), tree)


def assert_close(actual, expected, *, steps=1, message=""):
    """Compare every leaf with float64 ``expected``, relative to the leaf's largest."""
    actual_leaves, expected_leaves = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert len(actual_leaves) == len(expected_leaves), message
    for got, want in zip(actual_leaves, expected_leaves, strict=True):
        tolerance = TOLERANCE_PER_STEP[str(got.dtype)] * steps
        want = np.asarray(want, np.float64)
        scale = max(np.abs(want).max(initial=0.0), 1e-30)
        error = np.abs(np.asarray(got, np.float64) - want).max(initial=0.0) / scale
        assert error <= tolerance, f"{message}: {error:.2e} > {tolerance:.2e}"


def assert_identical(actual, expected, message=""):
    """Compare structure, dtypes and bits, the sign of zero and NaN included."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected), message
    for got, want in zip(
        jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True
    ):
        got, want = np.asarray(got), np.asarray(want)
        assert (got.dtype, got.shape) == (want.dtype, want.shape), message
        assert got.tobytes() == want.tobytes(), f"{message}: {got} != {want}"


def optimizers_with_weight_decay():
    """Return the names of the optimizers that take a λ; others hold a norm."""
    return [
        name
        for name, info in optaxwd.list_optimizers().items()
        if "weight_decay" in inspect.signature(info.factory).parameters
    ]


def precision_for(dtype):
    """Return a context in which arrays of ``dtype`` exist."""
    if dtype != "float64":
        return contextlib.nullcontext()
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64(True)


def vectors(size):
    """Return lists of numbers up to 10, none so small that float32 squares it to 0."""
    numbers = st.floats(-10, 10, width=32).map(lambda x: x if abs(x) > 1e-6 else 0.0)
    return st.lists(numbers, min_size=size, max_size=size)


def example_trees(seed=0):
    """Return parameter trees of every kind, in float64, away from zero."""
    random = np.random.default_rng(seed)

    def leaf(*shape):
        return random.choice([-1.0, 1.0], shape) * random.uniform(0.5, 1.5, shape)

    return {
        "dict": {"kernel": leaf(3, 4), "bias": leaf(4)},
        "nested": {"layers": [{"w": leaf(2, 3)}, {"w": leaf(3, 2)}], "top": (leaf(2),)},
        "scalar leaf": leaf(),
        "empty subtree": {"w": leaf(3), "empty": {}, "none": ()},
        "None leaf": {"w": leaf(2, 2), "missing": None},
    }


def example_gradients(params, steps, seed=1):
    """Return ``steps`` gradients stacked along a new first axis.

    Each entry keeps its sign over the steps: a sign that rounding could turn would make
    a comparison of Lion or Adam meaningless.
    """
    random = np.random.default_rng(seed)

    def leaf(p):
        sign = random.choice([-1.0, 1.0], p.shape)
        return sign * random.uniform(0.5, 1.5, (steps, *p.shape))

    return jax.tree.map(leaf, params)


def cast(tree, dtype):
    """Return ``tree`` as JAX arrays of ``dtype``."""
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def donated_step(optimizer):
    """Return a jitted step that takes gradients, state and parameters."""

    def step(grads, state, params):
        updates, state = optimizer.update(grads, state, params)
        return state, optax.apply_updates(params, updates)

    return jax.jit(step, donate_argnums=(1, 2))


def compiled_step(optimizer, params):
    """Return the step over ``params``, compiled."""
    state = optimizer.init(params)
    return donated_step(optimizer).lower(params, state, params).compile()


def bytes_per_parameter(optimizer, params):
    """Return what a compiled step reads and writes, by XLA's estimate for CPUs."""
    cost = compiled_step(optimizer, params).cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    return cost["bytes accessed"] / sum(x.size for x in jax.tree.leaves(params))


def jit_to_the_bit(function):
    """Compile ``function`` as outside of tests.

    With the older emitters, which tests/conftest.py chooses, the same operations in two
    programs may be contracted in two ways.
    """
    older = "xla_cpu_use_fusion_emitters=false" in os.environ.get("XLA_FLAGS", "")
    options = {"xla_cpu_use_fusion_emitters": True} if older else None
    return jax.jit(function, compiler_options=options)


def run(optimizer, params, gradients):
    """Return the parameters after one update per entry of ``gradients``."""
    return run_with_state(optimizer, params, gradients)[0]


def run_with_state(optimizer, params, gradients):
    """Return parameters and state after one update per entry of ``gradients``."""

    def step(carry, grads):
        params, state = carry
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    carry = (params, optimizer.init(params))
    return jax.lax.scan(step, carry, gradients)[0]


def run_step_by_step(optimizer, params, gradients):
    """Return the parameters after one update per gradient, and all the updates.

    Nothing is compiled across operations, so that equal operations give equal bits.
    """
    params, seen = jax.tree.map(jnp.asarray, params), []
    state = optimizer.init(params)
    for grads in gradients:
        grads = jax.tree.map(jnp.asarray, grads)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        seen.append(updates)
    return params, seen


def run_python_blocks(markdown):
    """Run the Python code of a page, block after block, and return its names."""
    blocks = re.findall(r"^ *```python\n(.*?)```", markdown, re.DOTALL | re.MULTILINE)
    assert blocks
    names = {}
    for block in blocks:
        exec(compile(textwrap.dedent(block), markdown.split("\n")[0], "exec"), names)
    return names
