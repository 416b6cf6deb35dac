"""Figures: functions that take data and return a matplotlib figure.

matplotlib is imported inside them, so that importing this package costs nothing. It
imports everything below.
"""

from optaxwd.plots._audit import plot_audit as plot_audit
from optaxwd.plots._decaying import plot_decaying as plot_decaying
from optaxwd.plots._effective_decay import plot_effective_decay as plot_effective_decay
from optaxwd.plots._plan import plot_plan as plot_plan
from optaxwd.plots._telemetry import plot_telemetry as plot_telemetry

__all__ = [
    "plot_audit",
    "plot_decaying",
    "plot_effective_decay",
    "plot_plan",
    "plot_telemetry",
]
