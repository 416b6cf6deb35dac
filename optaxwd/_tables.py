"""Tables as text, by rich where it can be imported, and as Markdown."""

import importlib.util
import io
import math
import shutil
from collections.abc import Collection, Sequence
from typing import Any

Row = Sequence[str]


def table(columns: Row, rows: Sequence[Row], numbers: Collection[str]) -> str:
    """Return a table for a terminal, with columns in ``numbers`` to the right."""
    rich = importlib.util.find_spec("rich") is not None
    return _rich_table(columns, rows, numbers) if rich else _plain_table(columns, rows)


def markdown_table(columns: Row, rows: Sequence[Row]) -> str:
    """Return a table in Markdown."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def code(text: str) -> str:
    """Return ``text`` as a code span of Markdown that fits in a cell."""
    one_line = " ".join(text.split()).replace("|", "\\|")
    return f"`{one_line}`"


def number(value: Any) -> str:
    """Return a number in four digits, ``-`` for ``None``, a text as it is."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if math.isinf(value):
        return "∞"
    return f"{value:.4g}"


def _rich_table(columns: Row, rows: Sequence[Row], numbers: Collection[str]) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        side = "right" if column in numbers else "left"
        grid.add_column(column, justify=side, overflow="fold")
    for row in rows:
        grid.add_row(*map(Text, row))
    width = max(shutil.get_terminal_size((120, 24)).columns, 80)
    file = io.StringIO()
    # Else rich displays the table by itself in a notebook, and leaves the text empty.
    console = Console(file=file, width=width, color_system=None, force_jupyter=False)
    console.print(grid)
    text = file.getvalue()
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def _plain_table(columns: Row, rows: Sequence[Row]) -> str:
    lines = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
