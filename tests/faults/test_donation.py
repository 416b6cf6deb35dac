"""Donated buffers: no leaf shares one with another, and numbers stay what they are."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fault_zoo import (
    EVERY,
    FACTORIES,
    WHOLE_NUMBERS,
    apply,
    built,
    gradients,
    parameters,
)
from helpers import assert_close, by_stage, describe

COMBINATIONS = [
    donated
    for size in (1, 2, 3)
    for donated in itertools.combinations(("grads", "state", "params"), size)
]
# XLA has no use for gradients where nothing of their shape and dtype comes out.
UNUSED = pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")


def copied(tree):
    return jax.tree.map(
        lambda x: x if isinstance(x, np.ndarray) else jnp.array(x, copy=True), tree
    )


def buffers(*trees):
    return [
        x.unsafe_buffer_pointer()
        for x in jax.tree.leaves(trees)
        if isinstance(x, jax.Array) and x.size
    ]


def fresh(name):
    optimizer, params = FACTORIES[name](), parameters()
    return optimizer, gradients(), optimizer.init(params), params


def step_of(optimizer):
    def step(grads, state, params):
        updates, state = optimizer.update(grads, state, params)
        return state, apply(params, updates)

    return step


@pytest.mark.parametrize("name", EVERY)
def test_no_two_leaves_of_a_new_state_share_a_buffer(name):
    _, _, state, params = fresh(name)
    every = buffers(state, params)
    assert len(every) == len(set(every))
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(state))


@UNUSED
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            p.values[0],
            marks=[] if p.values[0].endswith("stochastic") else [pytest.mark.slow],
        )
        for p in EVERY
    ],
)
def test_everything_donated_gives_the_same_numbers(name):
    optimizer, update, state, params = built(name)
    updates, expected_state = update(gradients(), state, params)
    expected = apply(params, updates)
    step = jax.jit(step_of(optimizer), donate_argnums=(0, 1, 2))
    given = copied((gradients(), state, params))
    new_state, new = step(*given)
    inputs = [x for x in jax.tree.leaves(given) if isinstance(x, jax.Array) and x.ndim]
    assert any(x.is_deleted() for x in inputs)
    every = buffers(new_state, new)
    assert len(every) == len(set(every))
    shown = {key: x for key, x in new.items() if key not in WHOLE_NUMBERS}
    assert_close(shown, jax.device_get({key: expected[key] for key in shown}))
    assert describe(new_state) == describe(expected_state)
    step(copied(gradients()), new_state, new)


@UNUSED
@pytest.mark.parametrize("name", by_stage(["adamw, anchored", "adamw, int8"], first=""))
@pytest.mark.parametrize("donated", COMBINATIONS, ids="+".join)
def test_any_part_donated_gives_the_same_numbers(name, donated):
    optimizer, grads, state, params = fresh(name)
    step, names = step_of(optimizer), tuple(donated)
    _, expected = jax.jit(step)(grads, state, params)
    given = copied((grads, state, params))
    _, new = jax.jit(step, donate_argnames=names)(*given)
    for key in ("w", "v", "scale"):
        assert_close(new[key], jax.device_get(expected[key]))


@UNUSED
def test_a_state_from_a_compiled_init_may_be_donated_with_its_parameters():
    optimizer, grads, _, params = fresh("adamw, anchored")
    state = jax.jit(optimizer.init)(params)
    every = buffers(state, params)
    assert len(every) == len(set(every))
    step = jax.jit(step_of(optimizer), donate_argnums=(1, 2))
    state, params = step(grads, state, params)
    step(grads, state, params)


@UNUSED
def test_gradients_that_are_donated_may_not_be_read_again():
    tx, params = optax.sgd(0.1), jnp.ones(2)
    grads = jnp.ones(2)
    jax.jit(tx.update, donate_argnums=0)(grads, tx.init(params), params)
    with pytest.raises((RuntimeError, ValueError), match="delete|donated"):
        grads + 1
