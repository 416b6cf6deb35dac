"""The five couplings: how the decay is tied to the learning rate."""

import math
from typing import Any, get_args

import jax

from optaxwd._checks import check_choice, check_scalar, is_static_number
from optaxwd._typing import Coupling, ScalarOrSchedule

COUPLINGS = get_args(Coupling)


def check_coupling(coupling: Any, *, cautious: bool, owner: str) -> None:
    """Raise unless ``coupling`` is one of the five and fits ``cautious``."""
    check_choice(coupling, COUPLINGS, "coupling", owner)
    if cautious and coupling == "l2":
        raise ValueError(
            f"{owner}: cautious=True needs the direction of the step, which "
            "coupling='l2' does not have: its decay enters before preconditioning. "
            "Use another coupling, or cautious=False."
        )


def scheduled_product(*factors: ScalarOrSchedule) -> ScalarOrSchedule:
    """Return the product of numbers, arrays and schedules; a schedule if any is one."""
    if not any(map(callable, factors)):
        return math.prod(factors)
    return lambda count: math.prod(
        factor(count) if callable(factor) else factor for factor in factors
    )


def relative_learning_rate(
    learning_rate: ScalarOrSchedule,
    peak_learning_rate: Any,
    *,
    coupling: str,
    owner: str,
) -> ScalarOrSchedule:
    """Return η_t/η_peak, exactly, or raise where the peak cannot be known.

    A number is its own peak. A schedule hides its peak, and an array may change from
    one update to the next (``optax.inject_hyperparams`` passes schedules so): for both
    the caller must say.
    """
    if peak_learning_rate is None:
        if not is_static_number(learning_rate):
            kind = "a schedule" if callable(learning_rate) else "an array"
            raise ValueError(
                f"{owner}: coupling={coupling!r} divides by the peak learning rate, "
                f"which cannot be read from {kind}, got learning_rate="
                f"{learning_rate!r}. Pass peak_learning_rate=, the largest value that "
                "the learning rate takes (for a constant, the same array)."
            )
        check_positive_peak(learning_rate, "learning_rate", coupling, owner)
        return 1.0
    check_scalar(peak_learning_rate, "peak_learning_rate", owner)
    check_positive_peak(peak_learning_rate, "peak_learning_rate", coupling, owner)
    if callable(learning_rate):
        return lambda count: learning_rate(count) / peak_learning_rate
    return learning_rate / peak_learning_rate


def check_positive_peak(value: Any, name: str, coupling: str, owner: str) -> None:
    """Raise if the learning rate to divide by is known to be zero."""
    if not isinstance(value, jax.core.Tracer) and value == 0:
        raise ValueError(
            f"{owner}: coupling={coupling!r} divides by the peak learning rate, and "
            f"{name}={value!r} leaves nothing to divide by. Pass a positive "
            "peak_learning_rate=, or use coupling='constant', which ignores the "
            "learning rate."
        )
