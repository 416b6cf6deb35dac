"""Faults in schedules, conversions and planning."""

from tests.mutation.record import mutants

MUTANTS = [
    *mutants(
        "schedules/_schedules.py",
        "schedules/test_schedules.py",
        {
            "the delay one step too long": (
                "jnp.where(count < first, 0.0, value)",
                "jnp.where(count <= first, 0.0, value)",
                "test_delay_by_hand",
            ),
            "a whole cosine": (
                "jnp.cos(jnp.pi * _done(",
                "jnp.cos(2 * jnp.pi * _done(",
                "test_dino_by_hand",
            ),
            "schedules run on past their end": (
                "jnp.clip((count - start) / steps, 0.0, 1.0)",
                "jnp.maximum((count - start) / steps, 0.0)",
                "test_dino_by_hand",
                "test_a_linear_schedule_ends_where_it_says_also_under_jit",
            ),
            "the ends exchanged": (
                "(1 - weight) * init_value + weight * end_value",
                "weight * init_value + (1 - weight) * end_value",
                "test_dino_by_hand",
            ),
            "a tied schedule without its power": (
                "weight_decay * (rate / peak_learning_rate) ** power",
                "weight_decay * (rate / peak_learning_rate)",
                "test_a_tied_schedule_has_the_shape_of_the_learning_rate",
            ),
        },
    ),
    *mutants(
        "schedules/_couplings.py",
        "schedules/test_planning.py",
        {
            "corrected decay without the square": (
                '"corrected": Powers(2, -1)',
                '"corrected": Powers(1, -1)',
                "optimizers/test_builders.py::"
                "test_the_chain_written_by_hand[schedule-corrected]",
            ),
            "independent decay with its peak upside down": (
                '"independent": Powers(1, -1)',
                '"independent": Powers(1, 1)',
                "TestCumulativeDecay::test_couplings_are_the_optimizers_",
            ),
        },
    ),
    *mutants(
        "schedules/_rates.py",
        "schedules/test_planning.py",
        {
            "the least learning rate for the peak": (
                "largest = float(eta.max(initial=0.0))",
                "largest = float(eta.min(initial=1.0))",
                "TestCumulativeDecay::test_the_peak_is_that_of_the_run",
            ),
        },
    ),
    *mutants(
        "schedules/_cumulative.py",
        "schedules/test_planning.py",
        {
            "the logarithm left out": (
                "return float(np.log1p(-run.rate).sum())",
                "return float((-run.rate).sum())",
                "TestCumulativeDecay::test_by_hand",
            ),
            "decay made up for one step late": (
                "late = factor[start:]",
                "late = factor[start + 1 :]",
                "TestWarmupCompensation::test_by_hand",
                "TestWarmupCompensation::test_both_runs_end_at_the_same_weight",
            ),
        },
    ),
    *mutants(
        "schedules/_timescales.py",
        "schedules/test_planning.py",
        {
            "the half-life without its logarithm": (
                "math.log(2) / -math.log1p(-rate)",
                "math.log(2) / rate",
                "TestTimescale::test_by_hand",
            ),
            "a timescale that is its rate": (
                "return 1 / rate if rate else math.inf",
                "return rate if rate else math.inf",
                "TestTimescale::test_the_published_numbers",
            ),
        },
    ),
    *mutants(
        "schedules/_convert.py",
        "schedules/test_convert.py",
        {
            "a conversion with its peak upside down": (
                "factor *= peak**peak_power",
                "factor *= peak**-peak_power",
                "test_published_numbers_and_names",
            ),
            "a followed schedule upside down": (
                "given * factor * safe**power, 0.0)",
                "given * factor / safe**power, 0.0)",
                "test_a_schedule_is_converted_step_by_step",
            ),
        },
    ),
    *mutants(
        "schedules/_conventions.py",
        "schedules/test_convert.py",
        {
            "λ‖θ‖² without its factor of two": (
                "factor=2.0,",
                "factor=1.0,",
                "test_published_numbers_and_names",
            ),
        },
    ),
    *mutants(
        "schedules/_normalized.py",
        "schedules/test_planning.py",
        {
            "normalised decay without its root": (
                "normalized * math.sqrt(batch / (dataset * periods))",
                "normalized * batch / (dataset * periods)",
                "TestNormalized::test_the_published_numbers",
            ),
        },
    ),
]
