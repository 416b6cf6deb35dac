"""Decay commutes with vmap, scan, the order and names of leaves, and accumulation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from helpers import assert_close, assert_identical, run, run_step_by_step
from hypothesis import given
from hypothesis import strategies as st
from laws.optimizers import BY_LEAF, PRECONDITIONERS, build
from laws.strategies import (
    COUPLINGS,
    FORMS,
    KEYS,
    NARROW,
    Case,
    Leaf,
    cases,
    examples,
    filled,
    magnitudes,
    masks,
    options,
    rates,
    rules_of,
)

import optaxwd

learning_rates = rates(0.5, kinds=("number", "schedule"), least=0.0078125)

# What is compiled is kept, so structures and options come from a pool, and values are
# arguments.
TREES = {
    "dict": {"w": Leaf((2, 3), "float32"), "bias": Leaf((3,), "float32")},
    "nested": [({"w": Leaf((2, 3), "float32")}, Leaf((), "float32")), {}],
    "alone": Leaf((3,), "float32"),
}
MASKS = {
    "none": None,
    "rules": optaxwd.DecayRules(
        [
            (
                optaxwd.rules.Pattern(
                    "w", lambda leaf: leaf.path.endswith("w"), optional=True
                ),
                0,
            )
        ],
        default=0.5,
    ),
}
SMOOTH = ("ours", "nadam", "rms", "trace", "identity")
STEPS = 3


@st.composite
def compiled_cases(draw):
    """Draw the name of a tree, parameters, and gradients that keep their signs.

    A sign that rounding could turn would turn the gate of cautious decay.
    """
    name = draw(st.sampled_from(sorted(TREES)))
    params = filled(draw, TREES[name])
    signs = filled(draw, TREES[name], st.sampled_from((1.0, -1.0)))
    steps = [filled(draw, TREES[name], magnitudes) for _ in range(STEPS)]
    grads = [jax.tree.map(np.multiply, signs, step) for step in steps]
    return name, Case(params, grads)


@st.composite
def settings_of_one(draw):
    """Draw what a compiled optimizer is made with."""
    coupling = draw(st.sampled_from(COUPLINGS))
    is_free = coupling != "l2"
    return (
        draw(st.sampled_from(SMOOTH)),
        draw(st.sampled_from(sorted(MASKS))),
        (
            ("coupling", coupling),
            ("form", draw(st.sampled_from(FORMS)) if is_free else "additive"),
            ("cautious", is_free and draw(st.booleans())),
        ),
    )


def optimizer_of(name, mask, chosen, rate, decay):
    """Build an optimizer; the rates may be traced."""
    return optaxwd.with_weight_decay(
        PRECONDITIONERS[name](),
        rate,
        decay,
        mask=MASKS[mask],
        peak_learning_rate=0.5,
        **dict(chosen),
    )


@functools.cache
def compiled(name, mask, chosen, micro_steps=1):
    """Return a run as one compiled scan, over rates, parameters and gradients."""

    def final(rate, decay, params, gradients):
        optimizer = optimizer_of(name, mask, chosen, rate, decay)
        if micro_steps > 1:
            many = optax.MultiSteps(optimizer, micro_steps)
            optimizer = many.gradient_transformation()
        return run(optimizer, params, gradients)

    return jax.jit(final)


@functools.cache
def compiled_sweep(name, mask, chosen):
    """Return the same under vmap, over λ, parameters and gradients."""
    return jax.jit(jax.vmap(compiled(name, mask, chosen), in_axes=(None, 0, 0, 0)))


def stacked(trees):
    """Return trees with their leaves stacked along a new first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


rate_values = st.floats(0.0078125, 0.5, width=32)
decay_values = st.floats(0, 0.25, width=32, allow_subnormal=False)


@examples(5)
@given(settings_of_one(), compiled_cases(), rate_values, decay_values)
def test_a_compiled_scan_is_a_loop(chosen, drawn, rate, decay):
    """To rounding: what is compiled together contracts products and sums."""
    _, case = drawn
    scanned = compiled(*chosen)(rate, decay, case.params, stacked(case.gradients))
    optimizer = optimizer_of(*chosen, rate, decay)
    looped, _ = run_step_by_step(optimizer, case.params, case.gradients)
    # Where decay takes all of a number, what is left is as exact as the number was.
    assert_close_to_scale(scanned, looped, case)


def assert_close_to_scale(actual, expected, case, steps=STEPS):
    """Compare relative to the largest of what went in and what came out."""
    for got, want, start in zip(
        *map(jax.tree.leaves, (actual, expected, case.params)), strict=True
    ):
        both = np.stack([np.asarray(want), start])
        shifted = np.stack([np.asarray(got), start])
        assert_close(shifted, both, steps=10 * steps)


@examples(5)
@given(settings_of_one(), st.data(), rate_values)
def test_vmap_over_seeds_and_decays_is_one_by_one(chosen, data, rate):
    """To rounding, as above; each λ of a sweep acts on its own seed only."""
    name, first = data.draw(compiled_cases())
    _, second = data.draw(compiled_cases().filter(lambda drawn: drawn[0] == name))
    decays = data.draw(st.tuples(decay_values, decay_values))
    both = compiled_sweep(*chosen)(
        rate,
        np.float32(decays),
        stacked([first.params, second.params]),
        stacked([stacked(first.gradients), stacked(second.gradients)]),
    )
    for i, (case, decay) in enumerate(zip((first, second), decays, strict=True)):
        one = compiled(*chosen)(rate, decay, case.params, stacked(case.gradients))
        assert_close_to_scale(jax.tree.map(lambda x, i=i: x[i], both), one, case)


@examples(5)
@given(
    settings_of_one(),
    compiled_cases(),
    rate_values,
    decay_values,
    st.sampled_from((2, 4)),
)
def test_equal_micro_batches_are_one_step(chosen, drawn, rate, decay, count):
    """The mean of equal gradients is that gradient, in floats too."""
    _, case = drawn
    repeated = [grads for grads in case.gradients for _ in range(count)]
    many = compiled(*chosen, count)(rate, decay, case.params, stacked(repeated))
    once = compiled(*chosen)(rate, decay, case.params, stacked(case.gradients))
    assert_close_to_scale(many, once, case)


@st.composite
def rearranged(draw, params):
    """Draw a list of names, an order of the leaves, and how deep each is put."""
    size = len(jax.tree.leaves(params))
    order = draw(st.permutations(range(size)))
    depth = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    return [(KEYS[i % len(KEYS)], i, depth[i]) for i in order]


def rearrange(tree, plan):
    """Return the leaves of a tree in another order, under other names."""
    leaves = jax.tree.leaves(tree)

    def put(name, index, depth):
        value = leaves[index]
        for _ in range(depth):
            value = {name: (value,)}
        return value

    return [put(*place) for place in plan]


def moved_and_unmoved(name, data, dtypes):
    """Return a run over rearranged leaves, what it should give, and its case."""
    case = data.draw(cases(dtypes))
    rate, decay = data.draw(learning_rates), data.draw(rates(1.0))
    chosen = data.draw(options(case.params, rate))
    chosen |= {"anchor": data.draw(st.sampled_from((None, "init"))), "mask": None}
    chosen.pop("corrected_mask", None)
    multipliers = data.draw(masks(case.params)).multipliers
    plan = data.draw(rearranged(case.params))

    def moved(tree):
        return rearrange(tree, plan)

    def after(case, mask):
        optimizer = build(name, rate.value, decay.value, chosen | {"mask": mask})
        return run_step_by_step(optimizer, case.params, case.gradients)[0]

    plain = after(case, rules_of(case.params, multipliers))
    elsewhere = Case(moved(case.params), [moved(grads) for grads in case.gradients])
    found = after(elsewhere, rules_of(elsewhere.params, moved(multipliers)))
    return found, jax.tree.map(jnp.asarray, moved(plain)), elsewhere


@examples(20)
@given(st.sampled_from(BY_LEAF), st.data())
def test_names_and_order_of_leaves_do_not_matter(name, data):
    found, wanted, _ = moved_and_unmoved(name, data, ("float32", *NARROW))
    assert_identical(found, wanted)


@examples(10)
@given(st.sampled_from(("adam_l2", "adamc", "adamw", "nadamw")), st.data())
def test_nor_do_they_for_adam(name, data):
    """To rounding: XLA rounds the corrections of a leaf by what else is there."""
    found, wanted, case = moved_and_unmoved(name, data, ("float32",))
    assert_close_to_scale(found, wanted, case, steps=len(case.gradients))
