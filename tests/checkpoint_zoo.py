"""Optimizers whose states go through checkpoints: all factories, and what wraps them.

The names are those of the golden files, and so are the parameters, the gradients and
the hyperparameters: what changes one of them changes what the files are compared with.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from test_contracts import NAMES, make

import optaxwd

RULES = optaxwd.DecayRules([(optaxwd.rules.glob("**/b"), 0.0)])


class Case(NamedTuple):
    """An optimizer and the matrix that it trains."""

    build: Callable[[], Any]
    shape: tuple[int, int] = (3, 2)
    dtype: str = "float32"


def schedule(count):
    return 0.1 / (1 + count)


def rounded(rounding, state="float32"):
    """Return AdamW on parameters of 16 bits that are just large enough for 8 bits."""
    inner = optaxwd.adamw(schedule, weight_decay=0.1)
    if state != "float32":
        inner = optaxwd.compress_state(inner, state, min_size=256, key=3)
    policy = optaxwd.Policy(rounding, key=jax.random.key(5))
    return optaxwd.with_precision(inner, policy)


def narrow(rounding, state="float32"):
    return Case(lambda: rounded(rounding, state), (2, 256), "bfloat16")


WRAPPED = {
    "anchor_and_rules": Case(
        lambda: optaxwd.adamw(schedule, weight_decay=0.1, mask=RULES, anchor="init")
    ),
    "apply_if_finite": Case(
        lambda: optax.apply_if_finite(optaxwd.lionw(schedule, weight_decay=0.1), 3)
    ),
    "chain": Case(
        lambda: optax.chain(
            optax.zero_nans(), optaxwd.nadamw(schedule, max_grad_norm=1.0)
        )
    ),
    "inject_hyperparams": Case(
        lambda: optax.inject_hyperparams(optaxwd.adamw, static_args=("mask",))(
            schedule, weight_decay=0.1, mask=RULES
        )
    ),
    "multi_steps": Case(
        lambda: optax.MultiSteps(optaxwd.adamw(schedule), 2).gradient_transformation()
    ),
    "partition": Case(
        lambda: optax.partition(
            {"matrix": optaxwd.muonw(0.1), "vector": optaxwd.adamw(schedule)},
            {"w": "matrix", "layers": [{"b": "vector"}]},
        )
    ),
    "record_decay_in_groups": Case(
        lambda: optaxwd.record_decay(
            optaxwd.adam_l2(schedule, weight_decay=0.1),
            groups=lambda path, leaf: path.replace("/", "."),
        )
    ),
    "record_decay_around_precision": Case(
        lambda: optaxwd.record_decay(rounded("stochastic", "int8")),
        (2, 256),
        "bfloat16",
    ),
    "compensated_bfloat16": narrow("compensated", "bfloat16"),
    "master": narrow("master"),
    "split_int8_stochastic": narrow("split", "int8_stochastic"),
    "stochastic_int8": narrow("stochastic", "int8"),
}
CASES = {name: Case(lambda name=name: make(name)) for name in NAMES} | WRAPPED


def parameters(case):
    """Return parameters whose rows, columns and entries all differ."""
    size = int(np.prod(case.shape))
    w = np.cos(1.0 + np.arange(size, dtype=np.float64)).reshape(case.shape)
    return {
        "w": jnp.asarray(w, case.dtype),
        "layers": [{"b": jnp.asarray([1.0, -0.5], case.dtype)}],
    }


def gradients(params, step):
    return jax.tree.map(
        lambda p: jnp.asarray(
            np.sin(step + np.arange(p.size, dtype=np.float64)).reshape(p.shape),
            p.dtype,
        ),
        params,
    )


def trained(tx, params, state=None, *, start=0, stop=3):
    """Return parameters and state after the steps from ``start`` to ``stop``."""
    state, update = tx.init(params) if state is None else state, jax.jit(tx.update)
    for step in range(start, stop):
        updates, state = update(gradients(params, step), state, params)
        params = optax.apply_updates(params, updates)
    return params, state
