"""The five couplings: how the decay is tied to the learning rate."""

import math
from typing import Any, get_args

import jax.core

from optaxwd._checks import check_choice, check_scalar, is_static_number
from optaxwd._typing import Coupling, ScalarOrSchedule

COUPLINGS = get_args(Coupling)
# Those that divide by the peak learning rate.
RELATIVE = ("independent", "corrected")


def check_coupling(coupling: Any, *, cautious: bool, owner: str) -> None:
    """Raise unless ``coupling`` is one of the five and fits ``cautious``."""
    check_choice(coupling, COUPLINGS, "coupling", owner)
    if cautious and coupling == "l2":
        raise ValueError(
            f"{owner}: cautious=True needs the direction of the step, which "
            "coupling='l2' does not have: its decay enters before preconditioning. "
            "Use another coupling, or cautious=False."
        )


def scheduled_product(*factors: Any) -> ScalarOrSchedule:
    """Return the product of numbers, arrays and schedules; a schedule if any is one."""
    if not any(callable(factor) for factor in factors):
        return math.prod(factors)

    def product(count: Any) -> Any:
        values: list[Any] = [f(count) if callable(f) else f for f in factors]
        return math.prod(values)

    return product


def check_peak(
    learning_rate: ScalarOrSchedule,
    peak_learning_rate: Any,
    *,
    coupling: str,
    owner: str,
    name: str = "peak_learning_rate",
) -> None:
    """Raise unless ``coupling`` can know the peak, if it reads it at all.

    A number is its own peak. A schedule hides its peak, and an array may change from
    one update to the next (``optax.inject_hyperparams`` passes schedules so): for both
    the caller must say.
    """
    if coupling not in RELATIVE:
        return
    peak = learning_rate if peak_learning_rate is None else peak_learning_rate
    if peak_learning_rate is not None:
        check_scalar(peak_learning_rate, name, owner)
    elif not is_static_number(learning_rate):
        kind = "a schedule" if callable(learning_rate) else "an array"
        raise ValueError(
            f"{owner}: coupling={coupling!r} divides by the peak learning rate, which "
            f"cannot be read from {kind}, got {learning_rate!r}. Pass {name}=, the "
            "largest value that the learning rate takes (for a constant, the same "
            "array)."
        )
    if not isinstance(peak, jax.core.Tracer) and peak == 0:
        raise ValueError(
            f"{owner}: coupling={coupling!r} divides by the peak learning rate, got "
            f"{peak!r}. Pass a positive {name}=, or use coupling='constant', which "
            "ignores the learning rate."
        )


def relative_learning_rate(
    learning_rate: ScalarOrSchedule, peak_learning_rate: Any
) -> ScalarOrSchedule:
    """Return η_t/η_peak, exactly 1 where the learning rate is its own peak."""
    if peak_learning_rate is None:
        return 1.0
    if callable(learning_rate):
        return lambda count: learning_rate(count) / peak_learning_rate
    return learning_rate / peak_learning_rate
