"""What the figures share: colours, grid, the names of lines, and texts that fit."""

import importlib
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

# Okabe and Ito's colours, which also the colour-blind tell apart.
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PINK = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREY = "0.4"

# Points.
SMALL = 8
LINE_HEIGHT = 1.4 * SMALL


class Look(NamedTuple):
    """How a line is told from others: by colour, and in grey by its marker.

    Attributes:
      color: of the line.
      marker: for matplotlib.
      symbol: the marker as a character, for the line's name.
    """

    color: str
    marker: str
    symbol: str


_COLORS = (BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY, "black")
_MARKERS = "os^DvPX<>*"
_SYMBOLS = "●■▲◆▼✚✖◀▶★"


def look(index: int) -> Look:
    """Return how the line of this index is drawn; 70 differ."""
    at = index % len(_MARKERS)
    return Look(_COLORS[index % len(_COLORS)], _MARKERS[at], _SYMBOLS[at])


def import_matplotlib(module: str) -> Any:
    """Return a module of matplotlib, or raise with what to do."""
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError as error:
        raise ImportError(
            "optaxwd.plots needs matplotlib. Install it with `pip install matplotlib`."
        ) from error


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure of this size in inches, apart from any window."""
    empty = import_matplotlib("figure").Figure
    return empty(figsize=(width, height), layout="constrained")


def draw_grid(axes: Any, axis: str = "both") -> None:
    """Draw a faint grid behind the data."""
    axes.grid(axis=axis, alpha=0.3)
    axes.set_axisbelow(True)


def check_is(value: Any, kind: type, name: str, owner: str, source: str) -> None:
    """Raise unless ``value`` is of the type that ``source`` returns."""
    if not isinstance(value, kind):
        raise TypeError(
            f"{owner}: {name} must be what {source} returns, got {value!r} of type "
            f"{type(value).__name__}."
        )


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def shorten(text: str, limit: int) -> str:
    """Return a text in one line, without its middle if it is longer than ``limit``."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    end = (limit - 1) // 2
    return f"{line[: limit - 1 - end]}…{line[-end:]}"


def shorten_all(texts: Sequence[str], limit: int) -> list[str]:
    """Return short texts, or the whole ones where the short ones would be alike."""
    short = [shorten(text, limit) for text in texts]
    return [
        one if short.count(one) == 1 else text
        for one, text in zip(short, texts, strict=True)
    ]


def width_of(text: str, *, bold: bool = False) -> float:
    """Return how wide a small text is, in inches."""
    properties = import_matplotlib("font_manager").FontProperties
    text_to_path = import_matplotlib("textpath").text_to_path
    font = properties(size=SMALL, weight="bold" if bold else "normal")
    return text_to_path.get_text_width_height_descent(text, font, False)[0] / 72


def wrap(lines: Sequence[str], width: float) -> list[str]:
    """Return lines of small text that fit into a width in inches."""
    limit = max(int(width / width_of("n")), 20)
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, limit, subsequent_indent="    ") or [""]
    ]


def name_lines(
    axes: Any, lines: Sequence[Any], names: Sequence[str], height: float
) -> None:
    """Write the names of lines beside their right ends, as far apart as text needs.

    The limits of ``axes`` must not change any more; ``height`` is theirs, in inches.
    """
    points = [line.get_xydata() for line in lines]
    ends = [found[np.isfinite(found).all(axis=1)][-1] for found in points]
    to_axes = axes.transScale + axes.transLimits
    heights = [float(to_axes.transform(end)[1]) for end in ends]
    at = spread(heights, LINE_HEIGHT / 72 / height)
    for line, end, y, name in zip(lines, ends, at, names, strict=True):
        axes.annotate(
            name,
            end,
            xytext=(1.03, y),
            textcoords="axes fraction",
            fontsize=SMALL,
            va="center",
            annotation_clip=False,
            parse_math=False,
            arrowprops={
                "arrowstyle": "-",
                "color": line.get_color(),
                "linewidth": 0.6,
                "relpos": (0, 0.5),
                "shrinkA": 1,
            },
        )


def spread(heights: Sequence[float], apart: float) -> list[float]:
    """Return heights moved as little as needs be to be ``apart``, in the same order.

    They stay between 0 and 1 if there is room. Less what they must be apart they need
    only not to fall, which merging neighbours to their mean makes of them.
    """
    order = np.argsort(heights, kind="stable")
    steps = apart * np.arange(len(order))
    merged: list[tuple[float, int]] = []
    for mean in np.asarray(heights, float)[order] - steps:
        count = 1
        while merged and merged[-1][0] > mean:
            before, size = merged.pop()
            mean = (before * size + mean * count) / (size + count)
            count += size
        merged.append((mean, count))
    means, counts = zip(*merged, strict=True) if merged else ((), ())
    room = max(1 - steps[-1], 0) if len(steps) else 0
    found = np.empty(len(order))
    found[order] = np.clip(np.repeat(means, counts), 0, room) + steps
    return found.tolist()
