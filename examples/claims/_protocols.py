"""Three ways to compare two methods over λ, as the same λ is not the same decay.

Losses are arrays ``[λ, seed]``, lower is better, and the seeds of both are paired.
"""

from typing import Any, NamedTuple

import numpy as np

from examples.claims._statistics import Interval, paired

# Of the lowest validation loss that both methods reach.
BUDGETS = (1.0, 1.1, 1.25, 1.5, 2.0)


class Arm(NamedTuple):
    """What a method reaches over its grid of λ.

    Attributes:
      valid: in-distribution validation loss, ``[λ, seed]``.
      measure: what is compared, ``[λ, seed]``, lower is better.
    """

    valid: Any
    measure: Any


def at_same_weight_decay(first: Arm, second: Arm) -> list[Interval]:
    """Return ``first − second`` for every λ."""
    return [
        paired(one, other)
        for one, other in zip(first.measure, second.measure, strict=True)
    ]


def best(valid: Any) -> int:
    """Return which λ has the lowest validation loss, by the mean over the seeds."""
    return int(np.asarray(valid).mean(-1).argmin())


def at_own_best(first: Arm, second: Arm) -> Interval:
    """Return ``first − second``, each at the λ that its validation loss chooses."""
    return paired(first.measure[best(first.valid)], second.measure[best(second.valid)])


def along_frontier(first: Arm, second: Arm) -> list[Interval]:
    """Return ``first − second``, each at its best λ within a validation loss.

    The distinct ones of ``BUDGETS`` times the lowest validation loss that both reach.
    """
    both = max(float(np.asarray(arm.valid).mean(-1).min()) for arm in (first, second))
    gaps = [
        paired(_within(first, times * both), _within(second, times * both))
        for times in BUDGETS
    ]
    return list(dict.fromkeys(gaps))


def _within(arm: Arm, limit: float) -> Any:
    """Return the measure at the best λ whose validation loss is at most ``limit``.

    Which is best for one half of the seeds, the other half says.
    """
    allowed = np.asarray(arm.valid).mean(-1) <= limit
    measure = np.asarray(arm.measure)
    found = np.empty(measure.shape[-1])
    for half, other in ((0, 1), (1, 0)):
        means = np.where(allowed, measure[:, other::2].mean(-1), np.inf)
        found[half::2] = measure[means.argmin(), half::2]
    return found
