"""The five couplings: how the decay is tied to the learning rate."""

import math
from typing import Any, get_args

from optaxwd._checks import (
    check_choice,
    check_scalar,
    is_known,
    is_static_number,
)
from optaxwd._typing import Coupling, ScalarOrSchedule
from optaxwd.schedules import POWERS

COUPLINGS = get_args(Coupling)
# Those tied to the learning rate itself, and those that divide by its peak.
TIED = tuple(name for name, power in POWERS.items() if sum(power))
RELATIVE = tuple(name for name, power in POWERS.items() if power.peak)


def check_coupling(
    coupling: Any, *, owner: str, cautious: bool = False, form: str = "additive"
) -> None:
    """Raise unless ``coupling`` is one of the five and fits the gate and the form."""
    check_choice(coupling, COUPLINGS, "coupling", owner)
    if cautious and coupling == "l2":
        raise ValueError(
            f"{owner}: cautious=True needs the direction of the step, which "
            "coupling='l2' does not have: its decay enters before preconditioning. "
            "Use another coupling, or cautious=False."
        )
    if form != "additive" and coupling == "l2":
        raise ValueError(
            f"{owner}: form={form!r} acts on the parameters after the step, but "
            "coupling='l2' puts the decay into the gradient. Use another coupling, or "
            "form='additive'."
        )


def _check_peak(
    learning_rate: Any, peak_learning_rate: Any, coupling: str, owner: str, name: str
) -> None:
    """Raise unless ``coupling`` can know the peak, if it reads it at all.

    A number is its own peak. A schedule hides its peak, and an array may change from
    one update to the next (``optax.inject_hyperparams`` passes schedules so): for both
    the caller must say.
    """
    given = peak_learning_rate is not None
    if given:
        check_scalar(peak_learning_rate, name, owner)
    if coupling not in RELATIVE:
        return
    if not given and not is_static_number(learning_rate):
        kind = "a schedule" if callable(learning_rate) else "an array"
        raise ValueError(
            f"{owner}: coupling={coupling!r} divides by the peak learning rate, which "
            f"cannot be read from {kind}, got {learning_rate!r}. Pass {name}=, the "
            "largest value that the learning rate takes (for a constant, the same "
            "array)."
        )
    peak = peak_learning_rate if given else learning_rate
    if is_known(peak) and float(peak) == 0:
        raise ValueError(
            f"{owner}: coupling={coupling!r} divides by the peak learning rate, got "
            f"{peak!r}. Pass a positive {name}=, or use coupling='constant', which "
            "ignores the learning rate."
        )
    both_known = is_static_number(learning_rate) and is_static_number(peak)
    if both_known and learning_rate > peak * (1 + 1e-6):
        raise ValueError(
            f"{owner}: the learning rate {learning_rate!r} is larger than {name}="
            f"{peak!r}, so decay would be {learning_rate / peak:.3g} times stronger "
            "than weight_decay says. Pass the largest value that it takes."
        )


def rate_factor(
    learning_rate: Any,
    peak_learning_rate: Any,
    *,
    coupling: str,
    scaled_later: bool,
    owner: str,
    prefix: str = "",
    stretch: Any = 1.0,
) -> ScalarOrSchedule:
    """Return f_t, what λ is multiplied by where decay enters: R_t = f_t·λ in the end.

    Raises if the coupling divides by a peak that cannot be known.

    Args:
      learning_rate: η_t.
      peak_learning_rate: η_peak, or ``None`` where η is its own peak.
      coupling: one of the five.
      scaled_later: whether a later stage multiplies by η_t.
      owner: the optimizer to name in messages.
      prefix: what stands before the names of the rates there.
      stretch: what to multiply by besides, a number or a scalar array.
    """
    name = f"{prefix}peak_learning_rate"
    _check_peak(learning_rate, peak_learning_rate, coupling, owner, name)
    factors = [stretch]
    if coupling in TIED and not scaled_later:
        factors.append(learning_rate)
    if coupling in RELATIVE and peak_learning_rate is not None:
        factors.append(_divided(learning_rate, peak_learning_rate))
    return _multiplied(factors)


def _divided(learning_rate: Any, peak: Any) -> ScalarOrSchedule:
    if callable(learning_rate):
        return lambda count: learning_rate(count) / peak
    return learning_rate / peak


def _multiplied(factors: list[Any]) -> ScalarOrSchedule:
    """Return the product of numbers, arrays and schedules."""
    if not any(callable(factor) for factor in factors):
        return math.prod(factors)

    def product(count: Any) -> Any:
        values: list[Any] = [f(count) if callable(f) else f for f in factors]
        return math.prod(values)

    return product
