"""Faults in what telemetry measures and in what the auditor infers."""

from tests.mutation.record import mutants

MUTANTS = [
    *mutants(
        "telemetry/_measures.py",
        "telemetry/test_record.py",
        {
            "the rate of decay with its sign turned": (
                "rate = -_over(sums.decay_and_weight, sums.weights)",
                "rate = _over(sums.decay_and_weight, sums.weights)",
                "test_by_hand",
            ),
            "a sum for a mean": (
                '"weight_rms": weight / jnp.sqrt(entries)',
                '"weight_rms": weight',
                "test_by_hand",
            ),
            "the angle of the step along the weights": (
                "jnp.arctan2(across, weight + along)",
                "jnp.arctan2(along, weight + across)",
                "test_by_hand",
            ),
        },
    ),
    *mutants(
        "telemetry/_rates.py",
        "telemetry/test_read.py",
        {
            "λ read where the learning rate is": (
                '("recorded_weight_decay", "current_weight_decay")',
                '("recorded_learning_rate", "current_learning_rate")',
                "test_rates_without_a_recorder",
            ),
        },
    ),
    *mutants(
        "auditor/_laws.py",
        "auditor/test_precision.py",
        {
            "the auditor's half-life without its logarithm": (
                "return math.log(2) / -math.log1p(-self.rate) / often",
                "return math.log(2) / self.rate / often",
                "auditor/test_report.py::test_half_life_is_exact",
            ),
        },
    ),
    *mutants(
        "auditor/_coupling.py",
        "auditor/test_bugs.py",
        {
            "the auditor compares λ the wrong way round": (
                "law.factor = law.weight_decay / leaf.weight_decay",
                "law.factor = leaf.weight_decay / law.weight_decay",
                "test_bug_is_found[factory-rate-mismatch-warning-2 times as strongly]",
            ),
            "the auditor takes constant for independent": (
                "elif powers == (0.0, 0.0) or (law.lr_power == 0.0 and not told):\n"
                '        law.coupling = "constant"',
                "elif powers == (0.0, 0.0) or (law.lr_power == 0.0 and not told):\n"
                '        law.coupling = "independent"',
                "auditor/test_optax.py::test_factory_is_classified[adafactor]",
            ),
        },
    ),
]
