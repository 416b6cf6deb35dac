"""All mutants, in the order in which they run."""

from tests.mutation import (
    of_numerics,
    of_optimizers,
    of_preconditioners,
    of_rules,
    of_schedules,
    of_telemetry,
    of_transforms,
)

MUTANTS = [
    *of_transforms.MUTANTS,
    *of_preconditioners.MUTANTS,
    *of_optimizers.MUTANTS,
    *of_rules.MUTANTS,
    *of_schedules.MUTANTS,
    *of_numerics.MUTANTS,
    *of_telemetry.MUTANTS,
]
