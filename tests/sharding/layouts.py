"""A transformer's parameters, and the ways in which eight devices share them."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from test_contracts import NAMES, make

import optaxwd

WIDTH, HIDDEN, WORDS, LAYERS = 256, 512, 64, 2

# One leaf of each kind; every layer's matrices are stacked.
SHAPES = {
    "embedding": (WORDS, WIDTH),
    "layers": {
        "qkv": (LAYERS, WIDTH, 3 * WIDTH),
        "up_bias": (LAYERS, HIDDEN),
        "down": (LAYERS, HIDDEN, WIDTH),
        "norm_scale": (LAYERS, WIDTH),
    },
    "head": (WIDTH, WORDS),
    "temperature": (),
}

# Fully sharded: every parameter is cut along one of its axes into eight.
FSDP = {
    "embedding": PartitionSpec(None, "data"),
    "layers": {
        "qkv": PartitionSpec(None, "data"),
        "up_bias": PartitionSpec(None, "data"),
        "down": PartitionSpec(None, "data"),
        "norm_scale": PartitionSpec(None, "data"),
    },
    "head": PartitionSpec("data"),
    "temperature": PartitionSpec(),
}

# Tensor-parallel along "model", as in Megatron, and fully sharded along "data".
TENSOR_PARALLEL = {
    "embedding": PartitionSpec("model", "data"),
    "layers": {
        "qkv": PartitionSpec(None, "data", "model"),
        "up_bias": PartitionSpec(None, "model"),
        "down": PartitionSpec(None, "model", "data"),
        "norm_scale": PartitionSpec(),
    },
    "head": PartitionSpec("data", "model"),
    "temperature": PartitionSpec(),
}

LAYOUTS = {
    "fsdp": ((8,), ("data",), FSDP),
    "tensor parallel": ((4, 2), ("data", "model"), TENSOR_PARALLEL),
}

POLICIES = {
    "stochastic": optaxwd.Policy("stochastic", key=1),
    "compensated": optaxwd.Policy("compensated", "bfloat16", key=1),
    "split": optaxwd.Policy("split", "int8"),
    "master": optaxwd.Policy("master"),
}
OPTIONS = {
    "clipped": {"max_grad_norm": 1.0},
    "anchor": {"anchor": "init", "mask": optaxwd.rules.standard()},
    "cautious": {"cautious": True, "coupling": "independent"},
    "proximal": {"form": "proximal", "penalty": "l1", "coupling": "independent"},
}
CASES = {
    **{name: functools.partial(make, name) for name in NAMES},
    **{
        f"adamw {name}": functools.partial(optaxwd.adamw, 0.1, **options)
        for name, options in OPTIONS.items()
    },
    **{
        f"adamw {name}": functools.partial(optaxwd.adamw, 0.1, precision=policy)
        for name, policy in POLICIES.items()
    },
}


def dtype_of(name):
    """Return the dtype of the parameters in a case."""
    return "bfloat16" if name.removeprefix("adamw ") in POLICIES else "float32"


def arrays(seed, dtype="float32"):
    """Return a tree of numbers, all on one device."""
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: jnp.asarray(random.normal(size=shape), dtype),
        SHAPES,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def shardings(layout, axis_type=AxisType.Auto):
    """Return the sharding of every parameter."""
    shape, names, specs = LAYOUTS[layout]
    mesh = jax.make_mesh(shape, names, axis_types=(axis_type,) * len(names))
    return jax.tree.map(
        lambda spec: NamedSharding(mesh, spec),
        specs,
        is_leaf=lambda x: isinstance(x, PartitionSpec),
    )


def placed(name, where):
    """Return the parameters and gradients of a case, on the devices."""
    trees = arrays(0, dtype_of(name)), arrays(1, dtype_of(name))
    return jax.device_put(trees, (where, where))


def step_of(tx):
    """Return a compiled step."""

    @jax.jit
    def step(grads, state, params):
        updates, state = tx.update(grads, state, params)
        return state, optax.apply_updates(params, updates)

    return step


def collectives(program):
    """Return the names of the messages between devices in a compiled program."""
    return re.findall(
        r" (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)"
        r"(?:-start)?\(",
        program.as_text(),
    )


def displaced(state, expected):
    """Return the paths of what does not lie where it should."""
    return [
        jax.tree_util.keystr(keys)
        for (keys, leaf), sharding in zip(
            jax.tree_util.tree_leaves_with_path(state),
            jax.tree.leaves(expected),
            strict=True,
        )
        if not leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
    ]
