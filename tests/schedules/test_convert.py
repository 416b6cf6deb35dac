"""Conversions of λ: exact, there and back, and refused where there is none."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optaxwd

STEPS = 12
PEAK = 0.2
# Never 0, so that everything can be converted.
LEARNING_RATE = optax.warmup_cosine_decay_schedule(0.02, PEAK, 4, STEPS, 0.05)
PERIOD = {"batch_size": 4, "dataset_size": 10, "epochs": 10}
ROOT = np.sqrt(4 / 100)
# The rate in every convention, written out again: R(λ, η, η_peak).
RATES = {
    "learning_rate": lambda lam, eta, peak: eta * lam,
    "independent": lambda lam, eta, peak: eta / peak * lam,
    "constant": lambda lam, eta, peak: lam + 0 * eta,
    "corrected": lambda lam, eta, peak: eta**2 / peak * lam,
    "learning_rate_squared": lambda lam, eta, peak: eta**2 * lam,
    "normalized": lambda lam, eta, peak: eta / peak * lam * ROOT,
    "l2": lambda lam, eta, peak: eta * lam,
    "l2_full": lambda lam, eta, peak: 2 * eta * lam,
}
PAIRS = list(itertools.product(RATES, RATES))


def convert(value, source, target, **options):
    arguments = {"peak_learning_rate": PEAK, "optimizer": "sgd", **PERIOD, **options}
    return optaxwd.convert_weight_decay(
        value, source=source, target=target, **arguments
    )


def over_run(value):
    if not callable(value):
        return np.full(STEPS, value)
    return np.array([float(value(count)) for count in range(STEPS)])


ETA = over_run(LEARNING_RATE)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_step_has_the_same_rate(source, target):
    value = convert(0.03, source, target, learning_rate=LEARNING_RATE, steps=STEPS)
    np.testing.assert_allclose(
        RATES[target](over_run(value), ETA, PEAK),
        RATES[source](0.03, ETA, PEAK),
        rtol=1e-6,
    )


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_there_and_back(source, target):
    for options in (
        {"learning_rate": 0.1},
        {"learning_rate": LEARNING_RATE, "steps": STEPS},
    ):
        there = convert(0.03, source, target, **options)
        back = convert(there, target, source, **options)
        np.testing.assert_allclose(over_run(back), 0.03, rtol=1e-6)


@given(
    value=st.floats(1e-8, 0.4),
    eta=st.floats(1e-6, 0.1),
    above=st.floats(1.0, 10.0),
    pair=st.sampled_from(PAIRS),
)
@settings(max_examples=200)
def test_there_and_back_to_the_last_bits(value, eta, above, pair):
    options = {"learning_rate": eta, "peak_learning_rate": eta * above}
    source, target = pair
    there = convert(value, source, target, **options)
    if RATES[target](there, eta * above, eta * above) < 1:
        assert convert(there, target, source, **options) == pytest.approx(
            value, rel=1e-14
        )


@pytest.mark.parametrize("coupling", ["independent", "constant", "corrected"])
def test_optimizers_agree(coupling):
    value = convert(
        0.3, "learning_rate", coupling, learning_rate=LEARNING_RATE, steps=STEPS
    )
    ours = optaxwd.adamw(
        LEARNING_RATE, weight_decay=value, coupling=coupling, peak_learning_rate=PEAK
    )
    theirs = optax.adamw(LEARNING_RATE, weight_decay=0.3)
    found = []
    for optimizer in (ours, theirs):
        params = jnp.array([1.0, -2.0])
        state = optimizer.init(params)
        for count in range(STEPS):
            grads = jnp.array([0.1, 0.3]) * (-1.0) ** count
            updates, state = optimizer.update(grads, state, params)
            params = optax.apply_updates(params, updates)
        found.append(params)
    np.testing.assert_allclose(*found, rtol=2e-5)


def test_an_l2_term_is_decay_under_plain_sgd():
    value = convert(0.3, "keras.regularizers.L2", "pytorch")
    params, grads = jnp.array([2.0]), jnp.array([0.5])
    penalised = grads + 2 * 0.3 * params
    want = params - 0.1 * penalised
    tx = optaxwd.sgdw(0.1, weight_decay=value)
    updates, _ = tx.update(grads, tx.init(params), params)
    np.testing.assert_allclose(optax.apply_updates(params, updates), want, rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "source", "target", "options", "expected"),
    [
        # MosaicML's default: 1e-5 = 1e-3 · 1e-2.
        (1e-2, "pytorch", "mosaicml", {"peak_learning_rate": 1e-3}, 1e-5),
        (1e-2, "torch.optim.AdamW", "Algorithm 2", {"learning_rate": 1e-3}, 1e-5),
        (0.1, "optax.adamw", "tfa", {"learning_rate": 3e-4}, 3e-5),
        (0.1, "keras", "tensorflow-addons", {"learning_rate": 3e-4}, 3e-5),
        (0.1, "adamw", "adamc", {"learning_rate": 3e-4}, 0.1),
        (0.1, "adamw", "modded-nanogpt", {"learning_rate": 0.5}, 0.2),
        (1e-4, "l2", "2lambda", {}, 5e-5),
        (1e-4, "tf.keras.regularizers.L2", "torch.optim.Adam", {}, 2e-4),
        (
            0.025,
            "AdamWR",
            "independent",
            {"batch_size": 128, "dataset_size": 50_000, "epochs": 100},
            1.2649111e-4,
        ),
        (
            0.025,
            "AdamWR",
            "adamw",
            {
                "batch_size": 128,
                "dataset_size": 50_000,
                "epochs": 100,
                "peak_learning_rate": 1e-3,
            },
            0.12649111,
        ),
        (0.1, "optax", "pytorch", {}, 0.1),
        (0.0, "optax", "tfa", {"learning_rate": 0.1}, 0.0),
    ],
)
def test_published_numbers_and_names(value, source, target, options, expected):
    found = optaxwd.convert_weight_decay(value, source=source, target=target, **options)
    assert isinstance(found, float)
    assert found == pytest.approx(expected, rel=1e-7)


def test_a_number_stays_one_where_a_number_does():
    found = convert(0.1, "optax", "mosaicml", learning_rate=LEARNING_RATE)
    assert found == pytest.approx(0.02)
    assert callable(convert(0.1, "optax", "tfa", learning_rate=LEARNING_RATE))


def test_a_schedule_is_converted_step_by_step():
    schedule = optaxwd.cosine_weight_decay_schedule(0.04, 0.4, STEPS)
    found = convert(schedule, "optax", "mosaicml")
    np.testing.assert_allclose(over_run(found), PEAK * over_run(schedule), rtol=1e-6)
    found = convert(schedule, "optax", "tfa", learning_rate=LEARNING_RATE)
    np.testing.assert_allclose(over_run(found), ETA * over_run(schedule), rtol=1e-6)


def test_the_peak_of_a_run_is_found():
    found = convert(
        0.1,
        "optax",
        "mosaicml",
        learning_rate=LEARNING_RATE,
        steps=STEPS,
        peak_learning_rate=None,
    )
    assert found == pytest.approx(0.02)


ZERO = optax.linear_schedule(0.2, 0.0, 6)
WARMUP = optax.warmup_cosine_decay_schedule(0.0, PEAK, 4, STEPS)


@pytest.mark.parametrize("schedule", [ZERO, WARMUP])
@pytest.mark.parametrize("target", ["corrected", "learning_rate_squared", "constant"])
@pytest.mark.parametrize("steps", [None, STEPS])
def test_steps_without_learning_rate(schedule, target, steps):
    eta = np.maximum(over_run(schedule), 0)
    options = {"learning_rate": schedule, "steps": steps}
    there = convert(0.03, "learning_rate", target, **options)
    for found in (there, jax.jit(there)):
        rate = RATES[target](over_run(found), eta, PEAK)
        np.testing.assert_allclose(rate, eta * 0.03, rtol=1e-5, atol=1e-9)
    if steps:
        back = convert(there, target, "learning_rate", **options)
        np.testing.assert_allclose(
            eta * over_run(back), eta * 0.03, rtol=1e-5, atol=1e-9
        )


def test_constant_decay_that_rests_where_the_learning_rate_does():
    late = optaxwd.delayed_schedule(0.03, 1)
    options = {"learning_rate": WARMUP, "steps": STEPS - 1}
    found = over_run(convert(late, "constant", "learning_rate", **options))
    eta = over_run(WARMUP)
    np.testing.assert_allclose((eta * found)[1:-1], 0.03, rtol=1e-5)
    assert found[0] == 0
    with pytest.raises(ValueError, match="learning rate is 0 at step 0"):
        convert(0.03, "constant", "learning_rate", **options)
    assert convert(0.0, "constant", "learning_rate", learning_rate=0.0) == 0


def test_a_penalty_is_no_rate():
    assert convert(2.0, "l2", "l2_full", learning_rate=1.0) == 1.0


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        ("l2", "adamw", {}, "no exact equivalent.*optimizer=None.*adaptive one"),
        ("l2", "adamw", {"optimizer": "adam"}, "divides it by a scale of its own"),
        ("adamw", "l2_full", {"optimizer": "momentum"}, "momentum spreads it"),
        ("fastai", "adamw", {}, "unknown source 'fastai'"),
        ("adamw", "mosaic", {}, "unknown target 'mosaic'.*Did you mean 'mosaicml'"),
        ("adamw", None, {}, "unknown target None"),
        ("adamw", "mosaicml", {}, "takes peak_learning_rate=, got None"),
        (
            "adamw",
            "mosaicml",
            {"learning_rate": LEARNING_RATE},
            "takes peak_learning_rate=, got None",
        ),
        ("adamw", "tfa", {}, "takes learning_rate=, got None"),
        ("tfa", "adamw", {"learning_rate": LEARNING_RATE}, "Pass steps="),
        (
            "tfa",
            "adamw",
            {"learning_rate": ZERO, "steps": 9},
            "learning rate is 0 at step 6, where the source decays",
        ),
        ("tfa", "adamw", {"learning_rate": 0.0}, "learning rate is 0"),
        ("adamwr", "adamw", {"learning_rate": 0.1}, "needs batch_size, dataset_size"),
        ("adamw", "tfa", {"learning_rate": 100.0}, "1000 % of every weight"),
        ("adamw", "tfa", {"learning_rate": -0.1}, "learning_rate .*got -0.1"),
        ("adamw", "mosaicml", {"peak_learning_rate": 0.0}, "must be > 0"),
        ("adam", "tfa", {}, "unknown source 'adam'; choose one of 'learning_rate'"),
        (
            "adamw",
            "tfa",
            {"learning_rate": lambda t: jnp.nan * t, "steps": 3},
            "got nan at step 0",
        ),
    ],
)
def test_what_cannot_be_converted(source, target, options, message):
    with pytest.raises(ValueError, match=message):
        optaxwd.convert_weight_decay(0.1, source=source, target=target, **options)


def test_bad_values():
    with pytest.raises(ValueError, match="finite and >= 0, got -1"):
        convert(-1, "l2", "l2_full")
    with pytest.raises(TypeError, match="got '0.1'"):
        convert("0.1", "l2", "l2_full")
    with pytest.raises(ValueError, match="removes 100 % of every weight"):
        convert(1.0, "tfa", "optax", learning_rate=0.1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda t: jnp.nan * t, "value must be finite and >= 0, got nan at step 0"),
        (lambda t: t - 3.0, "got -3.0 at step 0"),
        (lambda t: 1e6 + t, "of every weight"),
    ],
)
def test_a_bad_schedule_is_seen_over_the_steps(value, message):
    with pytest.raises(ValueError, match=message):
        convert(value, "adamw", "mosaicml", learning_rate=LEARNING_RATE, steps=STEPS)


def test_bad_kinds():
    with pytest.raises(TypeError, match="a name such as 'sgd'"):
        convert(0.1, "l2", "adamw", optimizer=optax.sgd)
    with pytest.raises(TypeError, match="value must be known before .* traced"):
        jax.jit(lambda x: convert(x, "adamw", "mosaicml"))(0.1)
