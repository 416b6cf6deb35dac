"""Rates of zero, without end, below zero, and of every type that numbers come in."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    assert_close,
    assert_identical,
    by_stage,
    optimizers_with_weight_decay,
)

import optaxwd

REGISTERED = list(optaxwd.list_optimizers())
# What each cannot do without, besides the learning rate.
NEEDED = {
    "adamc": {"peak_learning_rate": 0.2},
    "adamcpr": {"kappa_init_method": "dependent", "kappa_init_param": 0.5},
    "amos": {"expected_scale": 0.5},
}
COUPLED = [
    name
    for name in optimizers_with_weight_decay()
    if "coupling" in inspect.signature(getattr(optaxwd, name)).parameters
]
# Neurons turn at a rate that is a root: there is no turning by less than nothing.
TURNS = {"rotational_adamw", "rotational_lion", "rotational_sgd"}
REFUSED = [-1.0, float("nan"), float("inf"), np.float32(-1), jnp.asarray(jnp.nan)]
PARAMS = {"w": jnp.array([[0.5, -0.5], [-0.5, 0.6], [0.5, 0.5]]), "b": jnp.ones(2)}
GRADS = {"w": jnp.array([[0.1, 0.2], [0.4, 0.5], [0.9, 0.3]]), "b": jnp.ones(2)}


def make(name, learning_rate=0.1, **options):
    options = {**NEEDED.get(name, {}), **options}
    return getattr(optaxwd, name)(learning_rate, **options)


def updates_of(tx, steps=1):
    state = tx.init(PARAMS)
    for _ in range(steps):
        updates, state = tx.update(GRADS, state, PARAMS)
    return updates, state


def is_nan(tree):
    return any(np.isnan(x).any() for x in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", REGISTERED)
def test_rates_that_mean_nothing_are_refused_at_once(name):
    taken = inspect.signature(getattr(optaxwd, name)).parameters
    for value in REFUSED:
        with pytest.raises(ValueError, match=f"^{name}: .*finite and >= 0"):
            make(name, value)
        if "weight_decay" in taken:
            with pytest.raises(ValueError, match=f"^{name}: .*finite and >= 0"):
                make(name, weight_decay=value)


@pytest.mark.parametrize("name", by_stage(REGISTERED, first="adamw"))
def test_a_learning_rate_of_zero_moves_nothing(name):
    steady, steady_state = updates_of(make(name, 0.0))
    later, _ = updates_of(make(name, lambda count: jnp.where(count, 0.0, 0.1)), steps=2)
    # The pull of a bound has no learning rate in it.
    moves = name == "adamcpr"
    for updates in (steady, later):
        assert any(np.asarray(u).any() for u in jax.tree.leaves(updates)) == moves
        assert not is_nan(updates)
    assert not is_nan([x for x in jax.tree.leaves(steady_state) if x.ndim])


@pytest.mark.parametrize("name", by_stage(COUPLED, first="adamw"))
def test_decay_where_the_learning_rate_is_zero_by_coupling(name):
    for coupling in ("independent", "corrected"):
        for options in (
            {"learning_rate": 0.0},
            {"learning_rate": 0.1, "peak_learning_rate": 0.0},
        ):
            with pytest.raises(ValueError, match="peak learning rate"):
                make(name, coupling=coupling, weight_decay=0.1, **options)
        updates, _ = updates_of(
            make(
                name,
                lambda _: 0.0,
                coupling=coupling,
                weight_decay=0.1,
                peak_learning_rate=0.1,
            )
        )
        assert not any(np.asarray(u).any() for u in jax.tree.leaves(updates))
    updates, _ = updates_of(make(name, 0.0, coupling="constant", weight_decay=0.1))
    assert not is_nan(updates)
    if name not in ("adamwn", "adams", "sgds", *TURNS):
        assert_close(updates["w"], -0.1 * np.asarray(PARAMS["w"], np.float64))


def test_a_traced_peak_of_zero_gives_nan_and_not_a_rate():
    def updates(rate):
        tx = make("adamw", rate, coupling="independent", peak_learning_rate=rate)
        return updates_of(tx)[0]

    assert is_nan(jax.jit(updates)(0.0))
    assert not is_nan(jax.jit(updates)(0.1))


@pytest.mark.parametrize(
    "name", by_stage(optimizers_with_weight_decay(), first="adamw")
)
def test_traced_rates_are_not_checked_and_show(name):
    def updates(learning_rate, weight_decay):
        return updates_of(make(name, learning_rate, weight_decay=weight_decay))

    run = jax.jit(updates)
    assert is_nan(run(jnp.nan, 0.1))
    # Selective projection only decays where it must: there the state alone shows it.
    assert is_nan(run(0.1, jnp.nan))
    assert is_nan(run(-0.1, 0.1)) == (name in TURNS)


@pytest.mark.parametrize("form", ["additive", "multiplicative", "proximal"])
def test_huge_decay_is_finite(form):
    tx = optaxwd.sgdw(0.1, weight_decay=1e30, form=form)
    updates, _ = updates_of(tx)
    assert all(np.isfinite(u).all() for u in jax.tree.leaves(updates))
    if form == "proximal":
        new = jax.tree.map(lambda p, u: p + u, PARAMS, updates)
        assert all(np.abs(x).max() < 1e-20 for x in jax.tree.leaves(new))


def test_one_number_in_every_type():
    kinds = [float, np.float64, np.float32, jnp.asarray, np.asarray]
    expected, _ = updates_of(make("adamw", 0.25, weight_decay=0.5))
    for rate, decay in itertools.product(kinds, repeat=2):
        updates, state = updates_of(make("adamw", rate(0.25), weight_decay=decay(0.5)))
        assert_identical(updates, expected)
        assert optaxwd.adamw(rate(0.25)).init(PARAMS) is not None
        assert jax.tree.structure(state) == jax.tree.structure(
            make("adamw").init(PARAMS)
        )
    one, _ = updates_of(make("adamw", 1, weight_decay=1))
    assert_identical(one, updates_of(make("adamw", 1.0, weight_decay=1.0))[0])
