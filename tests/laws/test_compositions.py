"""One law, put together in several ways: the same bits."""

import jax
import optax
from helpers import assert_close, assert_identical, run_step_by_step
from hypothesis import given
from hypothesis import strategies as st
from laws.optimizers import BY_LEAF, PRECONDITIONERS, build
from laws.strategies import NARROW, cases, examples, masks, options, rates, rules_of

import optaxwd

ANY = ("float32", *NARROW)
learning_rates = rates(0.5, kinds=("number", "schedule"), least=0.0078125)
names = st.sampled_from(sorted(PRECONDITIONERS))
numbers_only = rates(0.5, kinds=("number",), least=0.0078125)

# What a part of a tree knows too.
INITIAL = (None, "init", optaxwd.InitialNorm(0.5), optaxwd.TargetNorm(1.5))


def after(optimizer, case):
    """Return what the steps of a case lead to."""
    return run_step_by_step(optimizer, case.params, case.gradients)


@st.composite
def drawn_cases(draw, dtypes=ANY):
    """Draw a case, rates and a mask."""
    case = draw(cases(dtypes))
    return case, draw(learning_rates), draw(rates(1.0)), draw(masks(case.params))


@examples(12)
@given(names, drawn_cases())
def test_a_builder_is_a_chain(name, drawn):
    case, rate, decay, mask = drawn
    chain = optax.chain(
        PRECONDITIONERS[name](),
        optaxwd.add_decayed_weights(decay.value, mask.value),
        optaxwd.scale_by_learning_rate(rate.value),
    )
    whole = optaxwd.with_weight_decay(
        PRECONDITIONERS[name](), rate.value, decay.value, mask=mask.value
    )
    assert_identical(after(whole, case), after(chain, case))


@examples(12)
@given(names, drawn_cases(), st.sampled_from(("constant", "independent")))
def test_decay_after_the_rate_is_decoupling(name, drawn, coupling):
    case, rate, decay, mask = drawn
    chosen = {
        "coupling": coupling,
        "peak_learning_rate": rate.top,
        "mask": mask.value,
    }
    finished = optax.chain(
        PRECONDITIONERS[name](), optax.scale_by_learning_rate(rate.value)
    )
    whole = optaxwd.with_weight_decay(
        PRECONDITIONERS[name](), rate.value, decay.value, **chosen
    )
    around = optaxwd.decouple(finished, decay.value, learning_rate=rate.value, **chosen)
    assert_identical(after(around, case), after(whole, case))


@examples(12)
@given(drawn_cases())
def test_a_mask_is_optax_s_masked(drawn):
    case, _, decay, mask = drawn
    # Optax knows yes and no, and not how much.
    which = jax.tree.map(bool, mask.multipliers)
    ours = optaxwd.add_decayed_weights(decay.value, which)
    theirs = optax.masked(optaxwd.add_decayed_weights(decay.value), which)
    updates = [after(optimizer, case)[1] for optimizer in (ours, theirs)]
    assert_identical(*updates)


@examples(12)
@given(st.sampled_from(BY_LEAF), st.data())
def test_a_partition_of_two_decays_is_one_with_rules(name, data):
    case, rate, decay, _ = data.draw(drawn_cases())
    chosen = data.draw(options(case.params, rate))
    chosen |= {"mask": None, "anchor": data.draw(st.sampled_from(INITIAL))}
    chosen.pop("corrected_mask", None)
    groups = jax.tree.map(
        lambda _: data.draw(st.sampled_from(("all", "none"))), case.params
    )
    parts = {
        "all": build(name, rate.value, decay.value, chosen),
        "none": build(name, rate.value, 0.0, chosen),
    }
    multipliers = jax.tree.map(lambda group: float(group == "all"), groups)
    rules = rules_of(case.params, multipliers)
    one = build(name, rate.value, decay.value, chosen | {"mask": rules})
    assert_identical(
        after(optax.partition(parts, groups), case)[0], after(one, case)[0]
    )


@examples(12)
@given(
    st.sampled_from(("sgdw", "sgd_l2", "lionw", "adamw")),
    cases(),
    numbers_only,
    numbers_only,
)
def test_injected_rates_are_the_rates(name, case, rate, decay):
    factory = optaxwd.list_optimizers()[name].factory
    static = ("b1", "b2", "eps", "eps_root", "momentum", "accumulator_dtype")
    known = [x for x in static if x in factory.__code__.co_varnames]
    injected = optax.inject_hyperparams(factory, static_args=known)
    plain, _ = after(factory(rate.value, weight_decay=decay.value), case)
    inside, _ = after(injected(rate.value, weight_decay=decay.value), case)
    assert_close(inside, jax.device_get(plain), steps=2)
