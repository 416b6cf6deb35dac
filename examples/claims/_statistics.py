"""Intervals over paired seeds."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean with its 95 % t-interval.

    Attributes:
      mean: of the values.
      low, high: ends of the interval.
      count: number of values.
    """

    mean: float
    low: float
    high: float
    count: int

    def among(self, count: int) -> "Interval":
        """Return the wider interval that ``count`` of them need to hold together.

        Bonferroni's: each at a level of 1 − 0.05 / ``count``.
        """
        freedom = self.count - 1
        wider = stats.t.ppf(1 - 0.025 / count, freedom) / stats.t.ppf(0.975, freedom)
        half = float(wider) * (self.high - self.mean)
        return self._replace(low=self.mean - half, high=self.mean + half)

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        """Return mean ± half of the width, to two digits of the latter."""
        half = self.high - self.mean
        digits = max(1 - math.floor(math.log10(half)), 0) if half > 0 else 4
        return f"{self.mean:.{digits}f} ± {half:.{digits}f}"


def interval(values: Any) -> Interval:
    """Return the mean of ``values``, one per seed, with its 95 % t-interval."""
    values = np.asarray(values, np.float64)
    mean = float(values.mean())
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return Interval(mean, mean - half, mean + half, len(values))


def paired(first: Any, second: Any) -> Interval:
    """Return the interval of ``first − second``, seed by seed."""
    return interval(np.asarray(first, np.float64) - np.asarray(second, np.float64))


def signs(found: Iterable[Interval]) -> str:
    """Return how many intervals lie below and above zero."""
    found = list(found)
    low, high = sum(x.high < 0 for x in found), sum(x.low > 0 for x in found)
    return f"lower in {low} and higher in {high} of {len(found)}"


def slope_over_seeds(x: Any, y: Any) -> Interval:
    """Return the slope of log y on log x, fitted seed by seed, with its interval.

    Args:
      x: ``[n]``.
      y: ``[n, seeds]``.
    """
    rows = np.log(np.asarray(y)).T
    return interval([np.polyfit(np.log(np.asarray(x)), row, 1)[0] for row in rows])
