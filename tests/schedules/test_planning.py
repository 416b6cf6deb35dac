"""Timescales, half-lives and cumulative decay: by hand, by brute force, and as laws."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optaxwd

COSINE = optax.warmup_cosine_decay_schedule(0.0, 0.1, 50, 400, 0.01)
EXACT = 1e-13
rates = st.floats(1e-9, 0.9)
learning_rates = st.floats(1e-6, 1.0)
sizes = st.integers(1, 10**9)


class TestTimescale:
    def test_the_published_numbers(self):
        pair = {"learning_rate": 3e-4, "weight_decay": 0.1}
        assert optaxwd.timescale(**pair) == pytest.approx(1e5 / 3)
        exact = optaxwd.half_life(**pair) / math.log(2)
        assert exact == pytest.approx(33332.8, abs=0.05)

    def test_by_hand(self):
        assert optaxwd.half_life(learning_rate=1.0, weight_decay=0.5) == 1.0
        assert optaxwd.half_life(learning_rate=0.5, weight_decay=0.75) == pytest.approx(
            math.log(2) / -math.log(0.625)
        )

    def test_nothing_decays(self):
        for function in (optaxwd.timescale, optaxwd.half_life):
            assert function(learning_rate=0.1, weight_decay=0.0) == math.inf
            assert function(learning_rate=0.0, weight_decay=0.1) == math.inf

    @pytest.mark.parametrize(
        ("coupling", "rate"),
        [
            ("learning_rate", 0.02),
            ("corrected", 0.02),
            ("independent", 0.1),
            ("constant", 0.1),
        ],
    )
    def test_couplings(self, coupling, rate):
        found = optaxwd.timescale(
            learning_rate=0.2, weight_decay=0.1, coupling=coupling
        )
        assert found == pytest.approx(1 / rate)
        back = optaxwd.weight_decay_from_timescale(
            found, learning_rate=0.2, coupling=coupling
        )
        assert back == pytest.approx(0.1)

    @given(rate=rates, learning_rate=learning_rates)
    def test_half_a_weight_is_left_after_a_half_life(self, rate, learning_rate):
        steps = optaxwd.half_life(
            learning_rate=learning_rate, weight_decay=rate / learning_rate
        )
        assert math.exp(steps * math.log1p(-rate)) == pytest.approx(0.5, rel=1e-9)

    @given(
        steps=st.floats(1.001, 1e9),
        learning_rate=learning_rates,
        batch_size=sizes,
        dataset_size=sizes,
        unit=st.sampled_from(["steps", "epochs", "tokens"]),
    )
    def test_there_and_back_in_every_unit(
        self, steps, learning_rate, batch_size, dataset_size, unit
    ):
        per_step = {"steps": 1, "epochs": batch_size / dataset_size}
        tau = steps * per_step.get(unit, batch_size)
        options = {"unit": unit, "batch_size": batch_size, "dataset_size": dataset_size}
        value = optaxwd.weight_decay_from_timescale(
            tau, learning_rate=learning_rate, **options
        )
        assert value * learning_rate == pytest.approx(1 / steps, rel=1e-9)
        back = optaxwd.timescale(
            learning_rate=learning_rate, weight_decay=value, **options
        )
        assert back == pytest.approx(tau, rel=1e-9)

    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            ({"learning_rate": 10, "weight_decay": 0.1}, ValueError, "100 %.*below 1"),
            ({"learning_rate": -1, "weight_decay": 0.1}, ValueError, "got -1"),
            ({"learning_rate": COSINE, "weight_decay": 0.1}, TypeError, "its peak"),
            (
                {"learning_rate": 0.1, "weight_decay": 0.1, "unit": "days"},
                ValueError,
                "unknown unit 'days'",
            ),
            (
                {"learning_rate": 0.1, "weight_decay": 0.1, "unit": "epochs"},
                ValueError,
                "needs batch_size=, got None",
            ),
            (
                {"learning_rate": 0.1, "weight_decay": 0.1, "coupling": "l2"},
                ValueError,
                "no rate of its own",
            ),
        ],
    )
    @pytest.mark.parametrize("function", [optaxwd.timescale, optaxwd.half_life])
    def test_bad_arguments(self, function, call, error, message):
        with pytest.raises(error, match=message):
            function(**call)

    def test_numbers_of_every_kind(self):
        # int32 would overflow, and float16 underflow, in their own arithmetic.
        sizes = {"batch_size": np.int32(128), "dataset_size": np.int32(1_281_167)}
        found = optaxwd.normalized_weight_decay(0.025, epochs=jnp.int32(3000), **sizes)
        plain = {"batch_size": 128, "dataset_size": 1_281_167}
        assert found == optaxwd.normalized_weight_decay(0.025, epochs=3000, **plain)
        found = optaxwd.weight_decay_from_timescale(1e5, learning_rate=np.float16(3e-4))
        assert found == pytest.approx(1 / 30, rel=1e-3)
        half = optaxwd.half_life(
            learning_rate=jnp.float32(0.5), weight_decay=1, unit="epochs", **sizes
        )
        assert isinstance(half, float) and half == pytest.approx(128 / 1_281_167)

    @pytest.mark.parametrize("function", [optaxwd.timescale, optaxwd.half_life])
    def test_traced_numbers_are_refused(self, function):
        with pytest.raises(TypeError, match="weight_decay must be known before .*jit"):
            jax.jit(lambda x: function(learning_rate=0.1, weight_decay=x))(0.1)

    def test_a_timescale_of_a_step_is_refused(self):
        with pytest.raises(
            ValueError, match="longer than one step.*2 epochs, which is"
        ):
            optaxwd.weight_decay_from_timescale(
                2, learning_rate=0.1, unit="epochs", batch_size=2, dataset_size=1
            )


class TestNormalized:
    @pytest.mark.parametrize(
        ("epochs", "value"), [(100, 1.26491e-4), (1500, 3.26599e-5)]
    )
    def test_the_published_numbers(self, epochs, value):
        found = optaxwd.normalized_weight_decay(
            0.025, batch_size=128, dataset_size=50_000, epochs=epochs
        )
        assert found == pytest.approx(value, rel=5e-6)

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="epochs must be > 0, got 0"):
            optaxwd.normalized_weight_decay(0.1, batch_size=1, dataset_size=1, epochs=0)


def brute_force(learning_rate, weight_decay, steps):
    left = 1.0
    for count in range(steps):
        left *= 1 - float(learning_rate(count)) * float(weight_decay(count))
    return math.log(left)


class TestCumulativeDecay:
    def test_by_hand(self):
        found = optaxwd.cumulative_decay(learning_rate=0.5, weight_decay=1.0, steps=3)
        assert found == pytest.approx(3 * math.log(0.5), rel=EXACT)

    @pytest.mark.parametrize(
        "weight_decay",
        [
            lambda t: 0.2,
            optaxwd.cosine_weight_decay_schedule(0.04, 0.4, 400),
            optaxwd.delayed_schedule(0.3, 100),
        ],
    )
    def test_against_a_product(self, weight_decay):
        found = optaxwd.cumulative_decay(
            learning_rate=COSINE, weight_decay=weight_decay, steps=400
        )
        # One jitted call and 400 eager ones may differ in the last bit of float32.
        want = brute_force(COSINE, weight_decay, 400)
        assert found == pytest.approx(want, rel=1e-7)

    def test_schedules_that_need_python_numbers(self):
        table = [0.1, 0.2, 0.3]
        for schedule in (
            lambda t: 0.1 if t < 1 else 0.2 if t < 2 else 0.3,
            lambda t: table[t],
            lambda t: np.asarray(table)[t],
            lambda t: math.fsum([0.1] * (t + 1)),
            lambda t: dict(enumerate(table))[t],
        ):
            found = optaxwd.cumulative_decay(
                learning_rate=schedule, weight_decay=1.0, steps=3
            )
            want = math.log(0.9 * 0.8 * 0.7)
            assert found == pytest.approx(want, rel=EXACT)

    def test_a_million_steps_are_one_array(self):
        calls = []

        def schedule(count):
            calls.append(count)
            return 1e-3 * count / 1_000_000

        found = optaxwd.cumulative_decay(
            learning_rate=schedule, weight_decay=0.1, steps=1_000_000
        )
        assert len(calls) == 1
        exact = np.log1p(-1e-4 * np.arange(1_000_000) / 1_000_000).sum()
        assert found == pytest.approx(exact, rel=1e-7)

    @pytest.mark.parametrize("steps", [3, 7, 10, 30, 77, 300, 1000])
    def test_schedules_that_fall_to_zero(self, steps):
        # XLA leaves some 1e-9 below 0 at the end of Optax's linear schedules.
        for schedule in (
            optax.linear_schedule(0.1, 0.0, steps),
            optax.join_schedules(
                [lambda t: 0.1, optax.linear_schedule(0.1, 0, 5)], [2]
            ),
        ):
            found = optaxwd.cumulative_decay(
                learning_rate=schedule, weight_decay=0.5, steps=steps + 5
            )
            want = brute_force(schedule, lambda t: 0.5, steps + 5)
            assert found == pytest.approx(want, rel=1e-6)

    def test_inside_of_a_trace_known_numbers_are_known(self):
        @jax.jit
        def scaled(x):
            return x * optaxwd.cumulative_decay(
                learning_rate=COSINE, weight_decay=0.1, steps=9
            )

        outside = optaxwd.cumulative_decay(
            learning_rate=COSINE, weight_decay=0.1, steps=9
        )
        assert float(scaled(2.0)) == pytest.approx(2 * outside, rel=1e-6)

    @pytest.mark.parametrize("coupling", ["independent", "constant", "corrected"])
    def test_couplings_are_the_optimizers_(self, coupling):
        optimizer = optaxwd.sgdw(
            COSINE, weight_decay=0.02, coupling=coupling, peak_learning_rate=0.1
        )
        params, left = jnp.ones(()), 1.0
        state = optimizer.init(params)
        for _ in range(20):
            updates, state = optimizer.update(jnp.zeros(()), state, params)
            params = optax.apply_updates(params, updates)
        left = optaxwd.cumulative_decay(
            learning_rate=COSINE,
            weight_decay=0.02,
            steps=20,
            coupling=coupling,
            peak_learning_rate=0.1,
        )
        assert math.exp(left) == pytest.approx(float(params), rel=2e-5)

    def test_the_peak_is_that_of_the_run(self):
        options = {"weight_decay": 0.02, "steps": 400, "coupling": "independent"}
        found = optaxwd.cumulative_decay(learning_rate=COSINE, **options)
        given = optaxwd.cumulative_decay(
            learning_rate=COSINE, peak_learning_rate=0.1, **options
        )
        assert found == pytest.approx(given, rel=1e-6)

    @given(
        learning_rate=st.floats(1e-6, 0.5),
        low=st.floats(1e-6, 0.9),
        high=st.floats(1e-6, 0.9),
        steps=st.integers(1, 300),
    )
    @settings(max_examples=50)
    def test_more_decay_leaves_less(self, learning_rate, low, high, steps):
        low, high = sorted((low, high))
        less, more = (
            optaxwd.cumulative_decay(
                learning_rate=learning_rate, weight_decay=value, steps=steps
            )
            for value in (low, high)
        )
        assert more <= less <= 0

    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            ({"steps": -1}, ValueError, "steps must be finite and >= 0, got -1"),
            ({"steps": 2.5}, ValueError, "got 2.5"),
            ({"weight_decay": 10.0}, ValueError, "100 % of every weight in step 50"),
            (
                {"weight_decay": lambda t: jnp.where(t < 7, 0.1, jnp.nan)},
                ValueError,
                "weight_decay must be finite and >= 0, got nan at step 7",
            ),
            (
                {"learning_rate": lambda t: 0.1 - 0.05 * t},
                ValueError,
                "learning_rate must be finite .* at step 3",
            ),
            (
                {"learning_rate": lambda t: jnp.ones(2)},
                ValueError,
                r"a scalar for each count, got an array of shape \(2,\)",
            ),
            ({"weight_decay": "0.1"}, TypeError, "got '0.1' of type str"),
            ({"weight_decay": lambda t: 0.1j}, TypeError, "must return a real number"),
            ({"weight_decay": lambda t: None}, TypeError, "a real number .* got None"),
            ({"weight_decay": lambda t: "0.1"}, TypeError, "got '0.1'"),
            ({"weight_decay": lambda t: 1 / (t - t)}, ValueError, "at step 0"),
            ({"steps": 10**9}, ValueError, "more than the 100000000"),
            ({"coupling": "linear"}, ValueError, "unknown coupling 'linear'"),
            ({"peak_learning_rate": 0.05}, ValueError, "rises to .* above"),
        ],
    )
    def test_bad_arguments(self, call, error, message):
        arguments = {"learning_rate": COSINE, "weight_decay": 0.1, "steps": 400} | call
        with pytest.raises(error, match=message):
            optaxwd.cumulative_decay(**arguments)


class TestWarmupCompensation:
    def test_by_hand(self):
        # Half of the steps: (1 − ηλ')² = (1 − ηλ)⁴
        found = optaxwd.warmup_compensated_weight_decay(
            1.0, learning_rate=0.1, steps=4, start=2
        )
        assert found == pytest.approx((1 - 0.9**2) / 0.1, rel=EXACT)

    @given(
        weight_decay=st.floats(1e-6, 1.0),
        start=st.integers(0, 150),
        power=st.floats(0.0, 2.0),
    )
    @settings(max_examples=50)
    def test_both_runs_end_at_the_same_weight(self, weight_decay, start, power):
        eta = 0.1 * ((np.arange(200) + 1) / 200) ** power
        found = optaxwd.warmup_compensated_weight_decay(
            weight_decay, learning_rate=lambda t: eta[t], steps=200, start=start
        )
        throughout = np.log1p(-eta * weight_decay).sum()
        late = np.log1p(-eta[start:] * found).sum()
        assert late == pytest.approx(throughout, rel=1e-12)
        assert found >= weight_decay

    def test_a_strong_decay_is_solved_too(self):
        found = optaxwd.warmup_compensated_weight_decay(
            5.0, learning_rate=0.19, steps=100, start=50
        )
        assert 50 * math.log1p(-0.19 * found) == pytest.approx(
            100 * math.log1p(-0.95), rel=1e-9
        )

    def test_the_schedule_is_the_delayed_one(self):
        options = {"learning_rate": COSINE, "steps": 400, "start": 50}
        value = optaxwd.warmup_compensated_weight_decay(0.2, **options)
        schedule = optaxwd.warmup_compensated_schedule(0.2, **options)
        assert float(schedule(49)) == 0 and float(schedule(50)) == np.float32(value)
        both = [
            optaxwd.cumulative_decay(
                learning_rate=COSINE, weight_decay=decay, steps=400
            )
            for decay in (0.2, schedule)
        ]
        assert both[0] == pytest.approx(both[1], rel=1e-6)

    def test_nothing_to_make_up_for(self):
        for options in ({"start": 0}, {"start": 1, "learning_rate": COSINE}):
            arguments = {"learning_rate": 0.1, "steps": 9} | options
            assert optaxwd.warmup_compensated_weight_decay(0.2, **arguments) == 0.2
        assert (
            optaxwd.warmup_compensated_weight_decay(
                0.0, learning_rate=0.1, steps=9, start=5
            )
            == 0
        )

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ({"start": 9}, "nothing decays from start=9"),
            ({"start": 12}, "nothing decays from start=12"),
            ({"learning_rate": lambda t: 0.1 * (t < 3), "start": 3}, "nothing decays"),
            ({"start": -1}, "start must be finite and >= 0, got -1"),
            (
                {"start": 8, "learning_rate": 0.999999, "weight_decay": 1.0},
                "cannot remove as much",
            ),
            ({"weight_decay": 20.0}, "200 % of every weight"),
        ],
    )
    def test_what_cannot_be_compensated(self, call, message):
        arguments = {"weight_decay": 0.1, "learning_rate": 0.1, "steps": 9, "start": 2}
        with pytest.raises(ValueError, match=message):
            optaxwd.warmup_compensated_weight_decay(**(arguments | call))
