"""Every optimizer and coupling against NumPy, over 20 steps, dtypes and trees."""

import jax
import numpy as np
import pytest
import references
from helpers import (
    DTYPES,
    assert_close,
    cast,
    example_gradients,
    example_trees,
    precision_for,
    run,
)

import optaxwd

STEPS = 20
PEAK = 0.02
COUPLINGS = ("l2", "learning_rate", "independent", "constant", "corrected")
DECOUPLED = COUPLINGS[1:]

# name: (what builds it, the reference, couplings it takes)
OPTIMIZERS = {
    "adamw": (optaxwd.adamw, {}, references.adam, COUPLINGS),
    "adamc": (optaxwd.adamc, {}, references.adam, ("corrected",)),
    "adamwn": (optaxwd.adamwn, {"ratio": 0.5}, references.adam, COUPLINGS),
    "adamw nesterov": (
        optaxwd.adamw,
        {"nesterov": True},
        lambda: references.adam(nesterov=True),
        COUPLINGS,
    ),
    "adam_l2": (optaxwd.adam_l2, {}, references.adam, ("l2",)),
    # Everything is projected, or nothing: no last bit decides.
    "adamp": (
        optaxwd.adamp,
        {"delta": 2.0},
        lambda: references.adamp(delta=2.0),
        DECOUPLED,
    ),
    "sgdp": (
        optaxwd.sgdp,
        {"momentum": 0.9, "delta": 0.0},
        lambda: references.sgdp(0.9, delta=0.0),
        DECOUPLED,
    ),
    "nadamw": (
        optaxwd.nadamw,
        {},
        lambda: references.adam(nesterov=True),
        COUPLINGS,
    ),
    "nadamw warming": (
        optaxwd.nadamw,
        {"momentum_decay": 4e-3},
        references.nadam,
        COUPLINGS,
    ),
    "sgdw": (optaxwd.sgdw, {}, references.sgd, COUPLINGS),
    "sgdw momentum": (
        optaxwd.sgdw,
        {"momentum": 0.9},
        lambda: references.sgd(0.9),
        COUPLINGS,
    ),
    "sgd_l2": (
        optaxwd.sgd_l2,
        {"momentum": 0.9, "nesterov": True},
        lambda: references.sgd(0.9, nesterov=True),
        ("l2",),
    ),
    "rmspropw": (optaxwd.rmspropw, {}, references.rmsprop, COUPLINGS),
    "rmspropw momentum": (
        optaxwd.rmspropw,
        {"momentum": 0.9},
        lambda: references.rmsprop(momentum=0.9),
        COUPLINGS,
    ),
    "rmsprop_l2": (optaxwd.rmsprop_l2, {}, references.rmsprop, ("l2",)),
    "lionw": (optaxwd.lionw, {}, references.lion, COUPLINGS),
    "adafactorw": (
        optaxwd.adafactorw,
        {"min_dim_size_to_factor": 3},
        lambda: references.adafactor(min_dim=3),
        COUPLINGS,
    ),
    "muonw": (
        optaxwd.muonw,
        {"adam_weight_decay": lambda t: 0.1 / (1 + t)},
        references.muon,
        COUPLINGS,
    ),
}

ANCHORS = {
    "adamwn": lambda theta, theta_0: (
        0.5 * np.linalg.norm(theta_0) / np.linalg.norm(theta) * theta
    )
}

QUICK = [("adamw", "learning_rate"), ("adam_l2", "l2"), ("muonw", "learning_rate")]


def stage(name, coupling, couplings, dtype):
    """Return the marks of a case.

    First are three in every dtype, AdamW with every coupling, and the others as by
    default. Other couplings show how float32 rounds; bfloat16 is the same computation.
    """
    default = "learning_rate" if "learning_rate" in couplings else couplings[0]
    if (name, coupling) in QUICK:
        return []
    if dtype == "float64" and (coupling == default or name == "adamw"):
        return []
    if dtype == "bfloat16" and coupling != default:
        return [pytest.mark.nightly]
    return [pytest.mark.slow]


CASES = [
    pytest.param(
        name,
        coupling,
        dtype,
        id=f"{name}-{coupling}-{dtype}",
        marks=stage(name, coupling, couplings, dtype),
    )
    for name, (*_, couplings) in OPTIMIZERS.items()
    for coupling in couplings
    for dtype in DTYPES
]


def learning_rate(t):
    return PEAK * (1 - 0.5 * t / STEPS)


def weight_decay(t):
    return 0.1 / (1 + t)


# Laws that are no term added to the step stand beside the tests of their transforms.
ELSEWHERE = {
    "adamcpr",
    "adamh",
    "adams",
    "adamspd",
    "amos",
    "muonh",
    "rotational_adamw",
    "rotational_lion",
    "rotational_sgd",
    "sgds",
}


def test_every_optimizer_has_a_reference():
    here = {name.split()[0] for name in OPTIMIZERS}
    assert here | ELSEWHERE == set(optaxwd.list_optimizers())
    assert not here & ELSEWHERE


def build(name, coupling):
    factory, options, _, couplings = OPTIMIZERS[name]
    if len(couplings) > 1:
        options = {**options, "coupling": coupling}
    if coupling != "l2":
        options = {**options, "peak_learning_rate": PEAK}
    return factory(learning_rate, weight_decay=weight_decay, **options)


@pytest.mark.parametrize(("name", "coupling", "dtype"), CASES)
def test_twenty_steps(name, coupling, dtype):
    # All kinds of trees as one: the next test shows that they do not see each other.
    _, _, algorithm, _ = OPTIMIZERS[name]
    with precision_for(dtype):
        trees = cast(example_trees(), dtype)
        gradients = cast(example_gradients(trees, STEPS), dtype)
        trained = jax.jit(run, static_argnums=0)(
            build(name, coupling), trees, gradients
        )
        expected = jax.tree.map(
            lambda theta, g: references.train(
                algorithm(),
                np.asarray(theta, np.float64),
                np.asarray(g, np.float64),
                learning_rate=learning_rate,
                weight_decay=weight_decay,
                coupling=coupling,
                peak=PEAK,
                anchor=ANCHORS.get(name, 0.0),
            ),
            trees,
            gradients,
        )
        for kind in trees:
            assert_close(trained[kind], expected[kind], steps=STEPS, message=kind)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_tree_is_updated_as_it_is_inside_a_larger_one(name):
    optimizer = build(name, OPTIMIZERS[name][-1][-1])
    trees = cast(example_trees(), "float32")
    grads = jax.tree.map(lambda g: g[0], cast(example_gradients(trees, 1), "float32"))
    together, _ = optimizer.update(grads, optimizer.init(trees), trees)
    for kind, params in trees.items():
        alone, _ = optimizer.update(grads[kind], optimizer.init(params), params)
        # Newton-Schulz iterations amplify a last bit.
        assert_close(alone, jax.device_get(together[kind]), steps=5, message=kind)
