"""A planned run: its numbers, what rounding does to it, its tables."""

import json
import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optaxwd

COSINE = optax.warmup_cosine_decay_schedule(0.0, 0.1, 100, 1000)


def test_by_hand():
    plan = optaxwd.describe(0.5, 0.5, 3)
    assert plan.peak_rate == plan.mean_rate == 0.25
    assert plan.timescale == 4
    assert plan.half_life == pytest.approx(math.log(2) / -math.log(0.75))
    assert plan.remaining == pytest.approx(0.75**3)
    assert plan.log_shrinkage == pytest.approx(3 * math.log(0.75))
    assert plan.steps == 3 and plan.warmup_steps == 0 and plan.lost_to_warmup == 0


def test_the_numbers_are_those_of_the_functions():
    plan = optaxwd.describe(COSINE, 0.2, 1000)
    total = optaxwd.cumulative_decay(learning_rate=COSINE, weight_decay=0.2, steps=1000)
    assert plan.log_shrinkage == total
    pair = {"learning_rate": plan.rates.peak_learning_rate, "weight_decay": 0.2}
    assert plan.half_life == optaxwd.half_life(**pair)
    assert plan.timescale == optaxwd.timescale(**pair)
    assert plan.warmup_steps == 100


def test_what_the_warmup_costs_by_hand():
    # η = 0, 0.1, 0.2, then 0.2 three times more: of 6 steps at the peak rate.
    plan = optaxwd.describe(0.2, 1.0, 6, warmup_steps=2)
    peak = -math.log(0.8)
    lost = 2 * peak + math.log(0.9)
    assert plan.warmup_steps == 2
    assert plan.lost_to_warmup == pytest.approx(lost / (6 * peak), rel=1e-6)


def test_a_warmup_is_optax_s():
    plan = optaxwd.describe(0.2, 1.0, 50, warmup_steps=20)
    schedule = optax.warmup_constant_schedule(0.0, 0.2, 20)
    want = [float(schedule(count)) for count in range(50)]
    np.testing.assert_allclose(plan.rates.learning_rate, want, rtol=1e-6)
    assert plan.rates.peak_learning_rate == 0.2


def moved(rate, dtype, exponent):
    """Return which weights of one exponent decay at ``rate`` moves."""
    mantissas = 1 + np.arange(0, 1, float(jnp.finfo(dtype).eps))
    theta = jnp.asarray(mantissas * 2.0**exponent, dtype)
    exact = theta.astype(jnp.float32) * (1 - rate)
    return np.asarray(exact.astype(dtype) != theta)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("exponent", [-3, 0, 2])
def test_the_limits_of_rounding_are_those_of_the_dtype(dtype, exponent):
    limit = optaxwd.describe(0.1, 0.1, 1, dtype=dtype).smallest_rate
    assert limit == {"bfloat16": 2.0**-9, "float16": 2.0**-12}[dtype]
    assert not moved(0.99 * limit, dtype, exponent).any()
    assert 0 < moved(1.5 * limit, dtype, exponent).mean() < 1
    assert moved(2.01 * limit, dtype, exponent).all()


def test_what_is_lost_to_rounding():
    rates = [1e-4, 2.0**-9 * 1.5, 0.01]
    plan = optaxwd.describe(lambda t: jnp.array(rates)[t], 1.0, 3)
    logs = -np.log1p(-np.array(rates))
    assert plan.lost_to_rounding == pytest.approx(logs[0] / logs.sum(), rel=1e-6)
    assert plan.exposed_to_rounding == pytest.approx(logs[1] / logs.sum(), rel=1e-6)
    assert optaxwd.describe(3e-4, 0.1, 10).lost_to_rounding == 1
    assert optaxwd.describe(3e-4, 0.1, 10, dtype=jnp.float32).lost_to_rounding == 0


def test_equivalents():
    plan = optaxwd.describe(COSINE, 0.2, 1000)
    found = plan.equivalents
    assert found["learning_rate"] == (0.2, "")
    assert found["independent"].weight_decay == pytest.approx(0.02, rel=1e-6)
    assert found["independent"].note == ""
    assert found["constant"].weight_decay == pytest.approx(0.02, rel=1e-6)
    assert "takes a schedule" in found["constant"].note
    assert found["l2"].note == "only for plain SGD"
    assert found["l2_full"].weight_decay == pytest.approx(0.1)
    assert found["normalized"].weight_decay is None
    sized = optaxwd.describe(
        COSINE, 0.2, 1000, batch_size=4, dataset_size=400, epochs=10
    ).equivalents["normalized"]
    assert sized.weight_decay == pytest.approx(0.02 * math.sqrt(1000), rel=1e-6)


def test_a_constant_learning_rate_takes_no_schedule():
    notes = {
        name: found.note
        for name, found in optaxwd.describe(0.1, 0.2, 5).equivalents.items()
    }
    assert "schedule" not in "".join(notes.values())


@pytest.mark.parametrize("coupling", ["independent", "constant", "corrected"])
def test_couplings(coupling):
    plan = optaxwd.describe(COSINE, 0.02, 1000, coupling=coupling)
    total = optaxwd.cumulative_decay(
        learning_rate=COSINE, weight_decay=0.02, steps=1000, coupling=coupling
    )
    assert plan.log_shrinkage == total
    assert plan.equivalents[coupling] == (0.02, "")


@pytest.mark.parametrize("rate", [{"learning_rate": 0.0}, {"weight_decay": 0.0}])
def test_a_run_without_decay(rate):
    arguments = {"learning_rate": 0.1, "weight_decay": 0.1, "steps": 5} | rate
    plan = optaxwd.describe(**arguments)
    assert plan.remaining == 1 and plan.half_life == plan.timescale == math.inf
    assert plan.lost_to_warmup == plan.lost_to_rounding == 0
    assert json.loads(json.dumps(plan.to_dict(), allow_nan=False))["half_life"] is None
    assert "∞" in str(plan)


def test_a_learning_rate_below_the_peak():
    plan = optaxwd.describe(
        0.1, 0.1, 10, coupling="independent", peak_learning_rate=0.5
    )
    for name, found in plan.equivalents.items():
        if name == "normalized":
            continue
        assert found.weight_decay == pytest.approx(
            optaxwd.convert_weight_decay(
                0.1,
                source="independent",
                target=name,
                learning_rate=0.1,
                peak_learning_rate=0.5,
                optimizer="sgd",
            )
        )


def test_peaks_at_different_times():
    rising = optaxwd.linear_weight_decay_schedule(0.0, 1.5, 100)
    plan = optaxwd.describe(optax.linear_schedule(1.0, 0.01, 100), rising, 100)
    assert plan.peak_rate < 0.4
    assert plan.equivalents["independent"].note == "of the largest λ"


def test_decay_without_learning_rate_has_no_equivalent():
    plan = optaxwd.describe(COSINE, 0.01, 1000, coupling="constant")
    found = plan.equivalents["learning_rate"]
    assert found.weight_decay is None and "steps without learning rate" in found.note


def test_plans_are_compared_by_identity():
    one, other = (optaxwd.describe(0.1, 0.1, 3) for _ in range(2))
    assert one == one and one != other and len({one, other}) == 2


def test_late_decay_has_nothing_to_lose_in_the_warmup():
    late = optaxwd.delayed_schedule(0.2, 500)
    assert optaxwd.describe(COSINE, late, 1000).lost_to_warmup == 0


def test_the_tables():
    plan = optaxwd.describe(COSINE, 0.2, 1000)
    for text in (str(plan), plan.to_markdown()):
        for word in ("half_life", "34.31", "MosaicML", "TensorFlow Addons", "PyTorch"):
            assert word in text
    read = json.loads(json.dumps(plan.to_dict()))
    assert read["steps"] == 1000 and read["coupling"] == "learning_rate"
    assert read["equivalents"]["learning_rate"] == {"weight_decay": 0.2, "note": ""}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"steps": -5}, ValueError, "steps must be finite and >= 0, got -5"),
        ({"weight_decay": 10.0}, ValueError, "100 % of every weight in step 0"),
        (
            {"learning_rate": lambda t: jnp.where(t == 3, jnp.nan, 0.1)},
            ValueError,
            "learning_rate must be finite and >= 0, got nan at step 3",
        ),
        (
            {"learning_rate": COSINE, "warmup_steps": 5},
            ValueError,
            "put the warmup into the schedule",
        ),
        ({"warmup_steps": -5}, ValueError, "warmup_steps must be .* got -5"),
        ({"warmup_steps": 9}, ValueError, "below steps=9, got 9: .* never reach"),
        ({"dtype": None}, TypeError, "floating-point dtype .* got None"),
        ({"dtype": "int8"}, TypeError, "floating-point dtype .* got 'int8'"),
        ({"dtype": "float12"}, TypeError, "got 'float12'"),
        ({"coupling": "l2"}, ValueError, "no rate of its own"),
        ({"coupling": "torch"}, ValueError, "unknown coupling 'torch'"),
    ],
)
def test_bad_arguments(call, error, message):
    arguments = {"learning_rate": 0.1, "weight_decay": 0.1, "steps": 9} | call
    with pytest.raises(error, match=message):
        optaxwd.describe(**arguments)
