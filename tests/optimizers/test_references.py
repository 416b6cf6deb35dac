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

# name: (what builds it, the reference, couplings it takes)
OPTIMIZERS = {
    "adamw": (optaxwd.adamw, {}, references.adam, COUPLINGS),
    "adamw nesterov": (
        optaxwd.adamw,
        {"nesterov": True},
        lambda: references.adam(nesterov=True),
        COUPLINGS,
    ),
    "adam_l2": (optaxwd.adam_l2, {}, references.adam, ("l2",)),
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

CASES = [
    pytest.param(name, coupling, id=f"{name}-{coupling}")
    for name, (*_, couplings) in OPTIMIZERS.items()
    for coupling in couplings
]


def learning_rate(t):
    return PEAK * (1 - 0.5 * t / STEPS)


def weight_decay(t):
    return 0.1 / (1 + t)


def test_every_optimizer_has_a_reference():
    assert {name.split()[0] for name in OPTIMIZERS} == set(optaxwd.list_optimizers())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "coupling"), CASES)
def test_twenty_steps(name, coupling, dtype):
    factory, options, algorithm, couplings = OPTIMIZERS[name]
    if len(couplings) > 1:
        options = {**options, "coupling": coupling, "peak_learning_rate": PEAK}
    with precision_for(dtype):
        optimizer = factory(learning_rate, weight_decay=weight_decay, **options)
        trees = cast(example_trees(), dtype)
        gradients = cast(example_gradients(trees, STEPS), dtype)
        trained = jax.jit(
            lambda trees, gradients: {
                kind: run(optimizer, trees[kind], gradients[kind]) for kind in trees
            }
        )(trees, gradients)
        for kind, params in trees.items():
            expected = jax.tree.map(
                lambda theta, g: references.train(
                    algorithm(),
                    np.asarray(theta, np.float64),
                    np.asarray(g, np.float64),
                    learning_rate=learning_rate,
                    weight_decay=weight_decay,
                    coupling=coupling,
                    peak=PEAK,
                ),
                params,
                gradients[kind],
            )
            assert_close(trained[kind], expected, steps=STEPS, message=kind)
