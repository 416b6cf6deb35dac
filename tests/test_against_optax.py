"""Bit for bit what Optax gives, wherever the arguments are Optax's."""

import itertools

import jax
import jax.numpy as jnp
import optax
import optax.contrib
import pytest
from helpers import (
    OPTAX_ADVANCES_SCHEDULES,
    assert_close,
    assert_identical,
    by_stage,
    jit_to_the_bit,
)

import optaxwd

STEPS = 6


def peak_then_down(count):
    return optax.cosine_decay_schedule(1e-2, 100)(count)


def rising(count):
    return optax.linear_schedule(0.01, 0.3, 5)(count)


LEARNING_RATES = {
    "constant": 1e-2,
    "array": jnp.float32(1e-2),
    "schedule": peak_then_down,
}
DECAYS = {
    "default": {},
    "constant": {"weight_decay": 0.1},
    "zero": {"weight_decay": 0.0},
    "array": {"weight_decay": jnp.float32(0.1)},
    "schedule": {"weight_decay": rising},
    "mask": {"weight_decay": 0.1, "mask": {"w": True, "b": False}},
    "prefix mask": {"weight_decay": 0.1, "mask": False},
    "callable mask": {
        "weight_decay": 0.1,
        "mask": lambda params: jax.tree.map(lambda x: x.ndim > 1, params),
    },
    "mask and schedule": {"weight_decay": rising, "mask": {"w": True, "b": False}},
    "nesterov": {"weight_decay": 0.1, "nesterov": True},
    "mu_dtype": {"weight_decay": 0.1, "mu_dtype": jnp.bfloat16},
}


def parameters(dtype):
    w = jax.random.normal(jax.random.key(1), (33, 17))
    return {"w": w.astype(dtype), "b": jnp.ones((17,), dtype)}


def updates_of(optimizer, params, *, jit=True):
    """Return the updates of a few steps with random gradients."""
    update = jit_to_the_bit(optimizer.update) if jit else optimizer.update
    state, seen = optimizer.init(params), []
    for i in range(STEPS):
        key = jax.random.key(i)
        grads = jax.tree.map(
            lambda p, key=key: jax.random.normal(key, p.shape, p.dtype), params
        )
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
        seen.append(updates)
    return seen


CASES = [
    *((rate, decay, True) for rate in ("constant", "schedule") for decay in DECAYS),
    *(("array", decay, True) for decay in ("constant", "array", "schedule")),
    *((rate, "mask and schedule", False) for rate in LEARNING_RATES),
    ("constant", "constant", False),
]


@pytest.mark.parametrize("dtype", by_stage(["float32", "bfloat16"], first="float32"))
@pytest.mark.parametrize(("rate", "decay", "jit"), CASES)
def test_adamw_is_optax_s(rate, decay, jit, dtype):
    if "schedule" in decay and not OPTAX_ADVANCES_SCHEDULES:
        pytest.skip("optax 0.2.6 never advances a schedule of λ")
    learning_rate, options, params = (
        LEARNING_RATES[rate],
        DECAYS[decay],
        parameters(dtype),
    )
    assert_identical(
        updates_of(optaxwd.adamw(learning_rate, **options), params, jit=jit),
        updates_of(optax.adamw(learning_rate, **options), params, jit=jit),
    )


TWINS = {
    "lionw": (
        lambda rate: optaxwd.lionw(rate, weight_decay=0.1),
        lambda rate: optax.lion(rate, weight_decay=0.1),
    ),
    "nadamw": (
        lambda rate: optaxwd.nadamw(rate, weight_decay=0.1),
        lambda rate: optax.nadamw(rate, weight_decay=0.1),
    ),
    "muonw": (
        lambda rate: optaxwd.muonw(rate, weight_decay=0.1, adam_weight_decay=0.2),
        lambda rate: optax.contrib.muon(rate, weight_decay=0.1, adam_weight_decay=0.2),
    ),
    "adam_l2": (
        lambda rate: optaxwd.adam_l2(rate, weight_decay=0.1),
        lambda rate: optax.chain(optax.add_decayed_weights(0.1), optax.adam(rate)),
    ),
    "sgd_l2": (
        lambda rate: optaxwd.sgd_l2(rate, 0.9, nesterov=True, weight_decay=0.1),
        lambda rate: optax.chain(
            optax.add_decayed_weights(0.1), optax.sgd(rate, 0.9, nesterov=True)
        ),
    ),
    "rmsprop_l2": (
        lambda rate: optaxwd.rmsprop_l2(rate, momentum=0.9, weight_decay=0.1),
        lambda rate: optax.chain(
            optax.add_decayed_weights(0.1), optax.rmsprop(rate, momentum=0.9)
        ),
    ),
    "sgdw without decay": (
        lambda rate: optaxwd.sgdw(rate, 0.9, weight_decay=0.0),
        lambda rate: optax.sgd(rate, 0.9),
    ),
    "rmspropw without decay": (
        lambda rate: optaxwd.rmspropw(
            rate, momentum=0.9, centered=True, nesterov=True, weight_decay=0.0
        ),
        lambda rate: optax.rmsprop(rate, momentum=0.9, centered=True, nesterov=True),
    ),
    "adafactorw without decay": (
        lambda rate: optaxwd.adafactorw(
            rate, min_dim_size_to_factor=8, momentum=0.9, weight_decay=0.0
        ),
        lambda rate: optax.adafactor(rate, min_dim_size_to_factor=8, momentum=0.9),
    ),
    "add_decayed_weights": (
        lambda rate: optaxwd.add_decayed_weights(0.1, {"w": True, "b": False}),
        lambda rate: optax.add_decayed_weights(0.1, {"w": True, "b": False}),
    ),
    "scale_by_learning_rate": (
        optaxwd.scale_by_learning_rate,
        optax.scale_by_learning_rate,
    ),
}


# Under an array as learning rate Optax's momentum turns from bfloat16 into float32 at
# the first update; ours stays.
DIFFERENT = {
    ("rmsprop_l2", "array", "bfloat16"),
    ("rmspropw without decay", "array", "bfloat16"),
}
TWIN_CASES = [
    pytest.param(*case, marks=[] if case[1] == "schedule" else [pytest.mark.slow])
    for case in itertools.product(TWINS, LEARNING_RATES, ("float32", "bfloat16"))
    if case not in DIFFERENT
]


@pytest.mark.parametrize(("name", "rate", "dtype"), TWIN_CASES)
def test_twin(name, rate, dtype):
    ours, theirs = (build(LEARNING_RATES[rate]) for build in TWINS[name])
    params = parameters(dtype)
    assert_identical(updates_of(ours, params), updates_of(theirs, params))


def test_constant_adafactorw_is_optax_s_weight_decay_rate():
    # Optax adds λθ before it turns the sign: other fused multiply-adds, no other sum.
    ours = optaxwd.adafactorw(0.1, weight_decay=0.1, coupling="constant")
    theirs = optax.adafactor(0.1, weight_decay_rate=0.1)
    params = parameters("float32")
    assert_close(
        updates_of(ours, params),
        jax.device_get(updates_of(theirs, params)),
        steps=STEPS,
    )


@pytest.mark.parametrize("consistent_rms", [None, 0.2])
def test_muonw_takes_dimension_numbers(consistent_rms):
    numbers = optax.contrib.MuonDimensionNumbers((0, 1), 2)
    dims = {"w": numbers, "b": None}
    params = {"w": jax.random.normal(jax.random.key(0), (2, 3, 4)), "b": jnp.ones(3)}
    options = {"muon_weight_dimension_numbers": dims, "weight_decay": 0.1}
    if consistent_rms is not None:
        options["consistent_rms"] = consistent_rms
    for form in (dims, lambda params: dims):
        options["muon_weight_dimension_numbers"] = form
        try:
            theirs = optax.contrib.muon(0.1, **options)
        except TypeError:
            pytest.skip("this Optax has no consistent_rms")
        ours = optaxwd.muonw(0.1, **options)
        assert_identical(updates_of(ours, params), updates_of(theirs, params))


@pytest.mark.parametrize("name", ["standard", "dion"])
def test_muonw_knows_optax_s_names_of_coefficients(name):
    try:
        theirs = optax.contrib.muon(0.1, name, weight_decay=0.1)
        theirs.init(parameters("float32"))
    except TypeError:
        pytest.skip("this Optax has no names for coefficients")
    ours = optaxwd.muonw(0.1, name, weight_decay=0.1)
    params = parameters("float32")
    assert_identical(updates_of(ours, params), updates_of(theirs, params))


@pytest.mark.parametrize("factory", [optaxwd.muonw, optaxwd.muonh])
def test_unknown_coefficients_are_refused(factory):
    message = f"{factory.__name__}: unknown ns_coeffs 'Dion'.*Did you mean 'dion'"
    with pytest.raises(ValueError, match=message):
        factory(0.1, "Dion")


def test_muonw_gives_its_groups_their_own_rates():
    optimizer = optaxwd.muonw(
        0.1, weight_decay=0.5, adam_learning_rate=0.01, adam_weight_decay=0.2
    )
    params = {"w": jnp.eye(2), "b": jnp.ones(2)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    assert float(updates["w"][0, 0]) == pytest.approx(-0.05)
    assert float(updates["b"][0]) == pytest.approx(-0.002)
