"""Figures: functions that take data and return a matplotlib figure.

matplotlib is imported inside them, so that importing this package costs nothing. It
imports everything below.
"""

from optaxwd.plots._plan import plot_plan as plot_plan

__all__ = ["plot_plan"]
