"""The decay rate R_t in every step of a planned run: what all planning starts from."""

from typing import Any, NamedTuple

import numpy as np

from optaxwd._checks import check_choice, check_number, check_steps
from optaxwd.schedules._couplings import POWERS
from optaxwd.schedules._evaluate import over_steps

_LONGEST_RUN = 10**8


class Rates(NamedTuple):
    """A planned run, step by step, in float64.

    Attributes:
      learning_rate: η_t, shape ``(steps,)``.
      weight_decay: λ_t, shape ``(steps,)``.
      rate: R_t, the fraction of a weight that decay removes, shape ``(steps,)``.
      peak_learning_rate: η_peak.
    """

    learning_rate: np.ndarray
    weight_decay: np.ndarray
    rate: np.ndarray
    peak_learning_rate: float


def rates_over_steps(
    learning_rate: Any,
    weight_decay: Any,
    steps: Any,
    *,
    coupling: str,
    peak_learning_rate: Any,
    owner: str,
) -> Rates:
    """Return η_t, λ_t and R_t = λ_t · η_t^a · η_peak^b over a run.

    The peak is the largest η_t of the run unless it is given.

    Raises:
      ValueError: if R_t is 1 or more in some step, on an unknown coupling, or as
        :func:`over_steps`.
    """
    check_coupling(coupling, owner)
    steps = check_run(steps, owner)
    eta = over_steps(learning_rate, steps, "learning_rate", owner)
    lam = over_steps(weight_decay, steps, "weight_decay", owner)
    peak = peak_of(eta, peak_learning_rate, owner)
    rate = lam * factors(eta, peak, coupling, owner)
    check_rates(rate, owner)
    return Rates(eta, lam, rate, peak)


def factors(eta: np.ndarray, peak: float, coupling: str, owner: str) -> np.ndarray:
    """Return f_t, the rate per unit of λ: R_t = f_t·λ_t."""
    power = POWERS[coupling]
    if power.peak and peak == 0:
        raise ValueError(
            f"{owner}: coupling={coupling!r} divides by the peak learning rate, got "
            f"{peak!r}. Pass a positive peak_learning_rate=, or use "
            "coupling='constant', which ignores the learning rate."
        )
    return eta**power.learning_rate * float(peak) ** power.peak


def peak_of(eta: np.ndarray, peak_learning_rate: Any, owner: str) -> float:
    """Return η_peak: as given, or the largest η_t."""
    largest = float(eta.max(initial=0.0))
    if peak_learning_rate is None:
        return largest
    peak = check_number(peak_learning_rate, "peak_learning_rate", owner, positive=True)
    if largest > peak * (1 + 1e-6):
        raise ValueError(
            f"{owner}: the learning rate rises to {largest!r}, above "
            f"peak_learning_rate={peak_learning_rate!r}. Pass the largest value that "
            "it takes."
        )
    return peak


def check_run(steps: Any, owner: str) -> int:
    """Return the length of a run, or raise unless its steps fit in memory."""
    count = check_steps(steps, "steps", owner)
    if count > _LONGEST_RUN:
        raise ValueError(
            f"{owner}: steps={steps!r} is more than the {_LONGEST_RUN} that fit in "
            "memory one by one. Plan a part of the run."
        )
    return count


def check_coupling(coupling: Any, owner: str) -> None:
    """Raise unless decay has a rate of its own under ``coupling``."""
    if coupling == "l2":
        raise ValueError(
            f"{owner}: coupling='l2' has no rate of its own: its decay is divided by "
            "the preconditioner, which depends on the gradients. For plain SGD it is "
            "coupling='learning_rate'; of any other optimizer `optaxwd.audit` measures "
            "the rate."
        )
    check_choice(coupling, POWERS, "coupling", owner)


def check_rates(rate: np.ndarray, owner: str) -> None:
    """Raise if decay would remove a whole weight, or more, in one step."""
    if (rate >= 1).any():
        step = int(np.argmax(rate >= 1))
        raise ValueError(
            f"{owner}: decay would remove {100 * rate[step]:.4g} % of every weight in "
            f"step {step} (counted from 0); the rate must be below 1. Lower "
            "weight_decay or learning_rate, or check the coupling: with 'independent' "
            "and 'constant' weight_decay is a fraction per step."
        )
