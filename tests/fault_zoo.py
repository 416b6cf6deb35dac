"""Every factory and the variants that faults may treat another way, compiled once.

One tree has all kinds of leaves, and one compiled update per factory serves all tests.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_contracts import NAMES, make

import optaxwd

LAMBDA = 0.3
adamw = functools.partial(optaxwd.adamw, 0.1, weight_decay=LAMBDA)
sgdw = functools.partial(optaxwd.sgdw, 0.1, 0.9, weight_decay=LAMBDA)
no_decay = functools.partial(optaxwd.adamw, 0.1, weight_decay=0.0)

VARIANTS = {
    "adamw, anchored": functools.partial(adamw, anchor="init"),
    "adamw, cautious": functools.partial(adamw, cautious=True),
    "adamw, clipped": functools.partial(adamw, max_grad_norm=1.0),
    "adamw, compensated": functools.partial(adamw, precision="compensated"),
    "adamw, int8": lambda: optaxwd.compress_state(adamw(), "int8", min_size=1),
    "adamw, int8_stochastic": lambda: optaxwd.compress_state(
        adamw(), "int8_stochastic", min_size=1
    ),
    "adamw, master": functools.partial(adamw, precision="master"),
    "adamw, stochastic": functools.partial(adamw, precision="stochastic"),
    "sgdw, constant": functools.partial(sgdw, coupling="constant"),
    "sgdw, multiplicative": functools.partial(sgdw, form="multiplicative"),
    "sgdw, no momentum": functools.partial(optaxwd.sgdw, 0.1, weight_decay=LAMBDA),
    "sgdw, proximal": functools.partial(sgdw, form="proximal"),
}
# The contracts wrap Optax's transformations here; what those do is not ours to say.
OURS = {
    "project_updates": lambda: optaxwd.project_updates(optaxwd.scale_by_adam(), LAMBDA),
    "with_master_weights": lambda: optaxwd.with_master_weights(adamw()),
    "with_selective_projection_decay": lambda: optaxwd.with_selective_projection_decay(
        no_decay(), LAMBDA
    ),
    "with_stable_weight_decay": lambda: optaxwd.with_stable_weight_decay(
        optaxwd.scale_by_adam(), LAMBDA
    ),
}
FACTORIES = {
    **{name: functools.partial(make, name) for name in NAMES},
    **OURS,
    **VARIANTS,
}
# One of each family; all others come in the second stage.
FIRST = {
    "adafactorw",
    "adamcpr",
    "adams",
    "adamw, clipped",
    "adamw, int8_stochastic",
    "adamw, stochastic",
    "add_decayed_weights",
    "amos",
    "muonw",
    "rotational_sgd",
}
EVERY = [
    pytest.param(name, marks=[] if name in FIRST else [pytest.mark.slow])
    for name in FACTORIES
]
# Transformations that optimizers are made of: their updates go to other stages.
STAGES = {
    "add_decayed_weights",
    "clip_by_global_norm",
    "constrain_norms",
    "control_weight_norm",
    "project_updates",
    "rotate_neurons",
    "round_updates",
    "scale_by_adam",
    "scale_by_amos",
    "scale_by_learning_rate",
    "scale_by_nadam",
    "step_on_hyperball",
    "with_stable_weight_decay",
}
WHOLE_NUMBERS = ("flag", "n")


def parameters():
    """Return a matrix of one block of 256, a vector, a scalar, and what is none."""
    random = np.random.default_rng(0)
    w = random.choice([-1.0, 1.0], (16, 16)) * random.uniform(0.5, 1.5, (16, 16))
    return {
        "w": jnp.asarray(w, jnp.float32),
        "v": jnp.linspace(0.5, 1.0, 4),
        "scale": jnp.asarray(2.0),
        "empty": jnp.zeros((0, 3)),
        "flag": jnp.array([True, False]),
        "n": jnp.arange(3),
        "none": None,
    }


def gradients(params=None):
    """Return what ``jax.grad(..., allow_int=True)`` gives: ``float0`` for integers."""

    def leaf(p):
        if not jnp.issubdtype(p.dtype, jnp.inexact):
            return np.zeros(p.shape, jax.dtypes.float0)
        return (0.1 + 0.05 * jnp.cos(jnp.arange(float(p.size)))).reshape(p.shape)

    return jax.tree.map(leaf, parameters() if params is None else params)


def apply(params, updates):
    """Apply the updates of what is a parameter; a stage has none for integers."""
    kept = {name: params[name] for name in WHOLE_NUMBERS}
    shown = {name: u for name, u in updates.items() if name not in kept}
    rest = {name: params[name] for name in shown}
    return {**optax.apply_updates(rest, shown), **kept}


class Built(NamedTuple):
    """An optimizer after one ordinary step, and its compiled update."""

    optimizer: Any
    update: Any
    state: Any
    params: Any


@functools.cache
def built(name):
    optimizer, params = FACTORIES[name](), parameters()
    update = jax.jit(optimizer.update)
    updates, state = update(gradients(), optimizer.init(params), params)
    return Built(optimizer, update, state, apply(params, updates))


def floats(tree):
    """Return the floating-point leaves, as NumPy arrays of float64."""
    return [
        np.asarray(x, np.float64)
        for x in jax.tree.leaves(tree)
        if jnp.issubdtype(x.dtype, jnp.floating)
    ]
