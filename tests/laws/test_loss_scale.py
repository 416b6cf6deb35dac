"""A loss times c: decoupled decay does not notice, an L2 penalty becomes λ/c."""

import functools

import jax
import numpy as np
import optax
from helpers import assert_identical, run_step_by_step
from hypothesis import given
from hypothesis import strategies as st
from laws.optimizers import build
from laws.strategies import cases, examples, magnitudes, options, rates

import optaxwd

learning_rates = rates(0.5, kinds=("number", "schedule"), least=0.0078125)
powers = st.integers(-10, 10).filter(bool).map(lambda power: 2.0**power)
gradients = st.builds(lambda x, sign: x * sign, magnitudes, st.sampled_from((1, -1)))
# Blind to a power of two, bit for bit: without ε, with gradients of which no square
# leaves the range of float32, and none of which is 0, as 0/0 is no direction.
BLIND = {
    "adam": functools.partial(optaxwd.scale_by_adam, eps=0.0),
    "nadam": functools.partial(optaxwd.scale_by_nadam, eps=0.0),
    "amsgrad": functools.partial(optax.scale_by_amsgrad, eps=0.0),
    "rms": functools.partial(optax.scale_by_rms, eps=0.0),
    "lion": optax.scale_by_lion,
    "sign": optax.scale_by_sign,
}


def scaled(case, factor):
    """Return the gradients of a loss times ``factor``."""
    times = np.float32(factor)
    return [jax.tree.map(lambda g: g * times, grads) for grads in case.gradients]


@st.composite
def drawn_cases(draw, couplings):
    """Draw a case, a learning rate, a λ and options."""
    case, rate = draw(cases(elements=gradients)), draw(learning_rates)
    return case, rate, draw(rates(1.0)), draw(options(case.params, rate, couplings))


@examples(12)
@given(
    st.sampled_from(sorted(BLIND)),
    drawn_cases(("learning_rate", "independent", "constant", "corrected")),
    powers,
)
def test_decoupled_decay_does_not_notice(name, drawn, factor):
    case, rate, decay, chosen = drawn
    optimizer = optaxwd.with_weight_decay(
        BLIND[name](), rate.value, decay.value, **chosen
    )
    assert_identical(
        run_step_by_step(optimizer, case.params, scaled(case, factor)),
        run_step_by_step(optimizer, case.params, case.gradients),
    )


plain_rates = rates(1.0, kinds=("number",), least=0.0009765625)


@examples(12)
@given(
    st.sampled_from(sorted(BLIND)),
    cases(elements=gradients),
    learning_rates,
    plain_rates,
    powers,
)
def test_an_l2_penalty_is_divided(name, case, rate, decay, factor):
    # The sum g + λθ must be the same times c, so no entry of it may be 0 or tiny.
    params = jax.tree.map(np.abs, case.params)
    kept = case.gradients[:1]
    kept = [jax.tree.map(np.abs, grads) for grads in kept]
    times = np.float32(factor)
    louder = [jax.tree.map(lambda g: g * times, grads) for grads in kept]

    def penalised(weight_decay):
        return optaxwd.with_weight_decay(
            BLIND[name](), rate.value, weight_decay, coupling="l2"
        )

    assert_identical(
        run_step_by_step(penalised(decay.value * factor), params, louder),
        run_step_by_step(penalised(decay.value), params, kept),
    )


@examples(12)
@given(
    drawn_cases(("learning_rate", "independent", "constant", "corrected")),
    st.sampled_from(("sgdw", "sgds")),
    powers,
)
def test_what_sgd_decays_by_does_not_scale(drawn, name, factor):
    """The steps grow by c, and what decay adds to them stays: additive, no gate."""
    case, rate, decay, chosen = drawn
    chosen |= {"form": "additive", "cautious": False}
    one_step = case.gradients[:1]

    def update(weight_decay, gradients):
        optimizer = build(name, rate.value, weight_decay, chosen)
        _, updates = run_step_by_step(optimizer, case.params, gradients)
        return updates[0]

    def decay_in(gradients):
        with_decay, without = update(decay.value, gradients), update(0.0, gradients)
        return jax.tree.map(
            lambda a, b: np.float64(a) - np.float64(b), with_decay, without
        )

    loud = scaled(case, factor)[:1]
    sizes = (
        jax.tree.map(np.abs, update(0.0, loud)),
        jax.tree.map(np.abs, update(0.0, one_step)),
    )
    for one, other, *size in zip(
        *map(jax.tree.leaves, (decay_in(one_step), decay_in(loud), *sizes)), strict=True
    ):
        # Both are differences of float32 numbers of the size of the steps.
        bound = 4e-7 * (np.maximum(*size) + np.abs(one))
        assert (np.abs(one - other) <= bound).all()


def test_adam_with_an_l2_penalty_does_notice():
    """By hand: θ = 1, λ = 1, and a gradient of −0.5 against −2 turns the sign."""
    params = np.ones(1, np.float32)
    optimizer = optaxwd.adam_l2(0.5, eps=0.0, weight_decay=1.0)
    for gradient, expected in ((-0.5, -0.5), (-2.0, 0.5)):
        _, updates = run_step_by_step(optimizer, params, [np.float32([gradient])])
        np.testing.assert_allclose(updates[0], [expected], rtol=1e-5)
