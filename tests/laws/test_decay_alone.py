"""Without a gradient decay is all that happens: a product of one factor per step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import references
from helpers import assert_close, assert_identical, precision_for, run_step_by_step
from hypothesis import given
from hypothesis import strategies as st
from laws.optimizers import ALIASES, PRECONDITIONERS
from laws.strategies import COUPLINGS, FORMS, cases, examples, masks, rates

import optaxwd

# η·λ of at most 1/8: then what 16 bits lose of the decay is less than what they lose of
# the parameter, and the table of tolerances holds.
KINDS = ("number", "array", "schedule")
DTYPES = ("float64", "float32", "bfloat16")
RELATIVE = [coupling for coupling in COUPLINGS if coupling != "l2"]
# Yogi's mean starts above 0, so it moves where every gradient is 0.
PRECONDITIONER = st.sampled_from(sorted(set(PRECONDITIONERS) - {"yogi"}))
ALIAS = st.sampled_from(sorted(set(ALIASES) - {"yogi"}))


@st.composite
def alone(draw, dtypes=("float32",), couplings=RELATIVE):
    """Draw a case without gradients, rates, a mask, and where decay is and how."""
    case = draw(cases(dtypes, steps=3, elements=st.just(0.0)))
    # An array of float32 would make the product of both one.
    kinds = KINDS if "float64" not in dtypes else ("number", "schedule")
    rate = draw(rates(0.25, kinds, least=0.0078125))
    decay = draw(rates(0.0625, kinds))
    mask = draw(masks(case.params))
    options = {
        "coupling": draw(st.sampled_from(couplings)),
        "form": draw(st.sampled_from(FORMS)),
        "peak_learning_rate": rate.top * draw(st.sampled_from((1.0, 2.0))),
        "cautious": draw(st.booleans()),
    }
    return case, rate, decay, mask, options


def product(case, rate, decay, multipliers, options):
    """Return θ·Π(1 − R_t·m), for ``"proximal"`` θ/Π(1 + R_t·m), in float64."""
    coupling, peak = options["coupling"], options["peak_learning_rate"]

    def leaf(param, multiplier):
        kept = 1.0
        for t in range(len(case.gradients)):
            step = multiplier * references.rate(coupling, rate.at(t), decay.at(t), peak)
            kept *= 1 / (1 + step) if options["form"] == "proximal" else 1 - step
        return np.asarray(param, np.float64) * kept

    return jax.tree.map(leaf, case.params, multipliers)


@pytest.mark.parametrize("dtype", DTYPES)
@examples(10)
@given(data=st.data())
def test_a_preconditioner_leaves_the_product(dtype, data):
    case, rate, decay, mask, options = data.draw(alone((dtype,)))
    name = data.draw(PRECONDITIONER)
    with precision_for(dtype):
        optimizer = optaxwd.with_weight_decay(
            PRECONDITIONERS[name](), rate.value, decay.value, mask=mask.value, **options
        )
        params, _ = run_step_by_step(optimizer, case.params, case.gradients)
        expected = product(case, rate, decay, mask.multipliers, options)
        assert_close(params, expected, steps=len(case.gradients))


@examples(10)
@given(ALIAS, alone())
def test_an_alias_leaves_the_product(name, drawn):
    case, rate, decay, mask, options = drawn
    optimizer = optaxwd.decouple(
        ALIASES[name](rate.value),
        decay.value,
        learning_rate=rate.value,
        mask=mask.value,
        **options,
    )
    params, _ = run_step_by_step(optimizer, case.params, case.gradients)
    expected = product(case, rate, decay, mask.multipliers, options)
    assert_close(params, expected, steps=len(case.gradients))


numbers_only = rates(0.25, kinds=("number",), least=0.0078125)


@examples(10)
@given(cases(elements=st.just(0.0)), numbers_only, numbers_only, st.booleans())
def test_the_bits_are_those_of_three_operations(case, rate, decay, after):
    """One step in float32: θ + (−η)·(λ·θ), or θ − (η·λ)·θ after the learning rate."""
    eta, lam = np.float32(rate.value), np.float32(decay.value)
    params = jax.tree.map(lambda p: p + np.float32(0), case.params)  # no -0
    if after:
        decayed = optaxwd.add_decayed_weights(
            decay.value, after_learning_rate=True, factor=rate.value
        )
        optimizer = optax.chain(optax.sgd(0.5), decayed)
        # λ·η is a product of Python's numbers, rounded once.
        both = np.float32(rate.value * decay.value)
        expected = jax.tree.map(lambda p: p + (np.float32(0) - both * p), params)
    else:
        optimizer = optaxwd.sgdw(rate.value, weight_decay=decay.value)
        expected = jax.tree.map(lambda p: p + -eta * (np.float32(0) + lam * p), params)
    got, _ = run_step_by_step(optimizer, params, case.gradients[:1])
    assert_identical(got, jax.tree.map(jnp.asarray, expected))


@examples(10)
@given(alone())
def test_plain_sgd_on_an_l2_penalty_leaves_the_product_too(drawn):
    case, rate, decay, mask, options = drawn
    optimizer = optaxwd.with_weight_decay(
        optax.identity(), rate.value, decay.value, mask=mask.value, coupling="l2"
    )
    params, _ = run_step_by_step(optimizer, case.params, case.gradients)
    options = options | {"coupling": "learning_rate", "form": "additive"}
    expected = product(case, rate, decay, mask.multipliers, options)
    assert_close(params, expected, steps=len(case.gradients))
