"""A table with bars in it: labels, bars, columns of text, and notes beneath."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from optaxwd.plots._style import (
    LINE_HEIGHT,
    SMALL,
    draw_grid,
    new_figure,
    width_of,
    wrap,
)

# Inches.
_BARS = 3.2
_ROW = 0.21
_GAP = 0.2
_ABOVE_AND_BELOW = 1.15


class Column(NamedTuple):
    """A column of texts right of the bars, and the properties of each text, if any."""

    title: str
    texts: Sequence[str]
    styles: Sequence[dict[str, Any]] = ()

    @property
    def width(self) -> float:
        """Its width in inches."""
        bold = any(self.styles)
        widths = [width_of(text, bold=bold) for text in self.texts]
        return max([width_of(self.title, bold=True), *widths])


def bar_table(
    labels: Sequence[str],
    columns: Sequence[Column],
    *,
    title: str,
    notes: Sequence[str],
) -> tuple[Any, Any]:
    """Return a figure, and in it the axes for the bars, one to a row from 0 on."""
    count = max(len(labels), 1)
    beside = sum(column.width + _GAP for column in columns)
    left = max(map(width_of, labels), default=0.0)
    width = left + _BARS + beside + 0.4
    lines = wrap(notes, width - 0.4)
    head = wrap([title], width - 0.4)
    heights = [_ABOVE_AND_BELOW + _ROW * count + len(head) * LINE_HEIGHT / 72]
    if lines:
        heights.append(0.2 + len(lines) * LINE_HEIGHT / 72)
    figure = new_figure(width, sum(heights))
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    upper, *lower = parts[:, 0]
    for part in lower:
        text = "\n".join(lines)
        part.text(0.2 / width, 1, text, va="top", fontsize=SMALL, parse_math=False)
    figure.suptitle("\n".join(head), fontsize=SMALL + 1)
    axes = upper.subplots()
    axes.set_yticks(range(len(labels)), labels, fontsize=SMALL, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.set_ylim(count - 0.5, -0.5)
    draw_grid(axes, "x")
    at = 8.0
    for column in columns:
        _write_column(axes, column, at)
        at += 72 * (column.width + _GAP)
    return figure, axes


def _write_column(axes: Any, column: Column, at: float) -> None:
    """Write a column ``at`` points right of the axes."""
    properties = {
        "xycoords": axes.get_yaxis_transform(),
        "textcoords": "offset points",
        "fontsize": SMALL,
        "parse_math": False,
    }
    header = {"xytext": (at, 3), "va": "bottom", "fontweight": "bold"}
    axes.annotate(column.title, (1, -0.5), **properties, **header)
    styles = column.styles or [{}] * len(column.texts)
    for row, (text, style) in enumerate(zip(column.texts, styles, strict=True)):
        axes.annotate(
            text, (1, row), xytext=(at, 0), va="center", **properties, **style
        )
