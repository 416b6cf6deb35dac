"""Where λ is 0, or a mask says no, an optimizer is its base, bit for bit."""

import jax
import jax.numpy as jnp
import optax
from helpers import assert_identical, optimizers_with_weight_decay, run_step_by_step
from hypothesis import given
from hypothesis import strategies as st
from laws import strategies
from laws.optimizers import (
    ALIASES,
    BASES,
    OTHER_THAN_THEIR_BASE,
    PRECONDITIONERS,
    build,
)
from laws.strategies import NARROW, cases, examples, masks, options, rates

import optaxwd

ANY = ("float32", *NARROW)
learning_rates = rates(0.5, kinds=("number", "schedule"), least=0.0078125)


def test_every_optimizer_is_searched():
    assert set(BASES) | OTHER_THAN_THEIR_BASE == set(optimizers_with_weight_decay())


@st.composite
def without_decay(draw):
    """Draw a case, a learning rate, a λ of 0 and the options that change nothing."""
    case, rate = draw(cases(ANY)), draw(learning_rates)
    zero = draw(strategies.zeros(case.is_narrow))
    return case, rate, zero, draw(options(case.params, rate))


@examples(30)
@given(st.sampled_from(sorted(BASES)), without_decay())
def test_an_optimizer_without_decay_is_optax_s(name, drawn):
    case, rate, zero, chosen = drawn
    ours = build(name, rate.value, zero, chosen)
    assert_identical(
        run_step_by_step(ours, case.params, case.gradients),
        run_step_by_step(BASES[name](rate.value), case.params, case.gradients),
    )


@examples(20)
@given(st.sampled_from(sorted(PRECONDITIONERS)), without_decay())
def test_a_preconditioner_without_decay_is_a_chain(name, drawn):
    case, rate, zero, chosen = drawn
    preconditioner = PRECONDITIONERS[name]()
    ours = optaxwd.with_weight_decay(preconditioner, rate.value, zero, **chosen)
    base = optax.chain(preconditioner, optax.scale_by_learning_rate(rate.value))
    assert_identical(
        run_step_by_step(ours, case.params, case.gradients),
        run_step_by_step(base, case.params, case.gradients),
    )


@examples(15)
@given(st.sampled_from(sorted(ALIASES)), without_decay())
def test_decoupling_nothing_leaves_an_alias_what_it_was(name, drawn):
    case, rate, zero, chosen = drawn
    alias = ALIASES[name](rate.value)
    ours = optaxwd.decouple(alias, zero, learning_rate=rate.value, **chosen)
    assert_identical(
        run_step_by_step(ours, case.params, case.gradients),
        run_step_by_step(alias, case.params, case.gradients),
    )


@st.composite
def masked(draw):
    """Draw a case, rates, and options with a mask."""
    case, rate, decay = draw(cases(ANY)), draw(learning_rates), draw(rates(1.0))
    chosen = draw(options(case.params, rate))
    mask = draw(masks(case.params))
    return case, rate, decay, chosen | {"mask": mask.value}, mask.multipliers


NAMES = sorted(optimizers_with_weight_decay())


@examples(30)
@given(st.sampled_from(NAMES), masked())
def test_decay_never_moves_what_is_masked_out(name, drawn):
    case, rate, decay, chosen, multipliers = drawn
    with_decay, without = (
        run_step_by_step(
            build(name, rate.value, weight_decay, chosen),
            case.params,
            case.gradients,
        )[0]
        for weight_decay in (decay.value, 0.0)
    )
    for multiplier, ours, theirs in zip(
        *map(jax.tree.leaves, (multipliers, with_decay, without)), strict=True
    ):
        if multiplier == 0:
            assert_identical(ours, theirs)


@examples(15)
@given(st.sampled_from(NAMES), masked(), st.data())
def test_what_is_frozen_never_changes(name, drawn, data):
    case, rate, decay, chosen, _ = drawn
    paths = strategies.paths(case.params)
    frozen = data.draw(st.lists(st.sampled_from(paths), min_size=1, unique=True))
    rules = optaxwd.DecayRules([(lambda path, leaf: path in frozen, "frozen")])
    optimizer = build(name, rate.value, decay.value, chosen | {"mask": rules})
    after, _ = run_step_by_step(optimizer, case.params, case.gradients)
    for path, old, new in zip(
        paths, jax.tree.leaves(case.params), jax.tree.leaves(after), strict=True
    ):
        if path in frozen:  # an update of +0, which turns -0 into +0
            assert_identical(new, jnp.asarray(old + old.dtype.type(0)))
