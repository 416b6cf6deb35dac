"""What was recorded in training, beside the equilibrium that is predicted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optaxwd.plots._records import (
    PANELS,
    Records,
    Series,
    choose_leaves,
    in_order,
    recorded_paths,
    series_of,
)
from optaxwd.plots._style import (
    LINE_HEIGHT,
    draw_grid,
    import_matplotlib,
    look,
    name_lines,
    new_figure,
    shorten_all,
    width_of,
)
from optaxwd.telemetry import QUANTITIES

_LABEL = 60
# Width of a panel with its numbers, in inches.
_PANEL = 6.3
# A line has so many markers at most, or one at every point if there are few.
_MARKERS = 8
_FEW = 24


def plot_telemetry(
    records: Sequence[Mapping[str, Any]], *, leaves: Sequence[str] | None = None
) -> Any:
    """Draw the size of weights, their rotation and their decay over training.

    Three panels over the steps: the RMS of the weights, the rotation per step and the
    effective decay per step. Solid is what was measured, dashed, in the same colour,
    the equilibrium that is predicted. A record may lack any quantity: lines join what
    is there. Of two records of one step the later one counts; those from before the
    first update, without a step, do not. The axes are logarithmic unless a quantity is
    negative; what they cannot show is counted above the panel.

    Args:
      records: what ``optaxwd.read_telemetry(state)`` returned, one per recorded step:
        dicts with ``"step"`` and ``"<quantity>/<path>"``, or ``"<quantity>"`` for all
        parameters together.
      leaves: paths of the leaves to draw, ``""`` for all parameters together. ``None``:
        the six with the largest RMS of the weights at the end, those that decay first;
        all parameters together if nothing was recorded by leaf.

    Returns:
      A ``matplotlib.figure.Figure``.

    Raises:
      TypeError: if ``records`` is not a sequence of dicts, or ``leaves`` one of paths.
      ValueError: if there are no records, none of the three quantities is in them, a
        record has no step, or a leaf is not there.
      ImportError: if matplotlib is not installed.

    Examples:
      >>> import optaxwd
      >>> records = [
      ...     {"step": t, "weight_rms/kernel": 0.9**t, "predicted_rms/kernel": 0.3}
      ...     for t in range(10)
      ... ]
      >>> figure = optaxwd.plots.plot_telemetry(records)
      >>> figure.get_suptitle()
      '1 of 1 leaf'

    References:
      Kosson et al., `Rotational Equilibrium: How Weight Decay Balances Learning Across
      Neural Networks <https://arxiv.org/abs/2305.17212>`_, 2024.
    """
    ordered = in_order(records)
    paths = recorded_paths(ordered)
    chosen, title = choose_leaves(ordered, paths, leaves)
    short = shorten_all([path or "all parameters" for path in chosen], _LABEL)
    labels = [f"{look(at).symbol} {label}" for at, label in enumerate(short)]
    height = max(1.9, len(chosen) * LINE_HEIGHT / 72)
    figure = new_figure(_PANEL + max(map(width_of, labels)), 3 * (height + 0.3) + 0.8)
    figure.suptitle(title, fontsize="medium")
    panels = figure.subplots(3, 1, sharex=True)
    for axes, names in zip(panels, PANELS, strict=True):
        lines = _draw_panel(axes, ordered, chosen, *names)
        named = [at for at, line in enumerate(lines) if line]
        name_lines(
            axes, [lines[at] for at in named], [labels[at] for at in named], height
        )
    panels[-1].set_xlabel("step")
    steps = import_matplotlib("ticker").MaxNLocator(integer=True)
    panels[-1].xaxis.set_major_locator(steps)
    return figure


def _draw_panel(
    axes: Any,
    records: Records,
    chosen: Sequence[str],
    name: str,
    predicted: str | None,
) -> list[Any]:
    """Return the line of each leaf, ``None`` where there is nothing to draw."""
    quantity = QUANTITIES[name]
    axes.set_ylabel(f"{quantity.meaning}\n({quantity.unit})", fontsize="small")
    measured = [series_of(records, name, path) for path in chosen]
    expected = [series_of(records, predicted or "", path) for path in chosen]
    values = np.concatenate([series.values for series in measured + expected])
    finite = values[np.isfinite(values)]
    is_log = bool((finite > 0).any() and (finite >= 0).all())
    axes.set_yscale("log" if is_log else "linear")
    draw_grid(axes)
    lines = []
    for at, both in enumerate(zip(measured, expected, strict=True)):
        solid, dashed = (
            _draw_line(axes, series, at, len(chosen), is_log, style)
            for series, style in zip(both, ("-", "--"), strict=True)
        )
        lines.append(solid or dashed)
    axes.margins(x=0.02)
    axes.autoscale_view()
    if is_log:
        _widen(axes)
    axes.set_title(_legend(measured, expected), loc="left", fontsize="small")
    axes.set_title(_missing(values, is_log), loc="right", fontsize="small")
    if not any(lines):
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center")
    return lines


def _widen(axes: Any) -> None:
    """Show at least a factor of five, so that rounding noise does not fill a panel."""
    low, high = axes.get_ylim()
    if high < 5 * low:
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 5**0.5, middle * 5**0.5)


def _draw_line(
    axes: Any, series: Series, at: int, count: int, is_log: bool, style: str
) -> Any:
    """Return the line of a leaf, or ``None`` if there is nothing that it can show."""
    shown = np.isfinite(series.values) & ((series.values > 0) | (not is_log))
    if not shown.any():
        return None
    color, marker, _ = look(at)
    every = max(len(series.steps) // _MARKERS, 1)
    if len(series.steps) <= _FEW:
        every = 1
    (line,) = axes.plot(
        series.steps,
        np.where(shown, series.values, np.nan),
        color=color,
        linestyle=style,
        marker=marker,
        markersize=4,
        fillstyle="full" if style == "-" else "none",
        markevery=(at * every // count, every),
        linewidth=1.2,
    )
    return line


def _legend(measured: Sequence[Series], expected: Sequence[Series]) -> str:
    there = [any(len(one.steps) for one in some) for some in (measured, expected)]
    return "solid: measured, dashed: predicted at equilibrium" if all(there) else ""


def _missing(values: np.ndarray, is_log: bool) -> str:
    """Return how many values cannot be shown."""
    zeros = int((values == 0).sum()) if is_log else 0
    broken = int((~np.isfinite(values)).sum())
    parts = [f"{zeros:,} at 0"] if zeros else []
    parts += [f"{broken:,} not finite"] if broken else []
    return f"not drawn: {', '.join(parts)}" if parts else ""
