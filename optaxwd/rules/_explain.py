"""The table that says which leaves decay, how much, and why."""

import dataclasses
import html
import importlib.util
import io
import math
import shutil
from collections.abc import Callable
from typing import Any

from optaxwd._checks import check_scalar
from optaxwd._typing import Scalar

_NUMBERS = ("multiplier", "λ", "half-life")
_COLUMNS = ("parameter", "shape", "rule", "multiplier", "λ", "half-life", "reason")


@dataclasses.dataclass(frozen=True)
class Row:
    """One leaf of the table.

    Attributes:
      path: its canonical path.
      shape: its shape, ``None`` if it is not an array.
      size: number of entries; 0 if it is not a parameter.
      rule: text of the pattern that matched, or ``"default"``.
      multiplier: what λ is multiplied by.
      weight_decay: λ of this leaf, a number or ``"schedule"``; ``None``: not known.
      half_life: steps in which a weight without gradient halves, ``None`` if not known.
      decays: whether decay reaches the leaf.
      reason: in words.
    """

    path: str
    shape: tuple[int, ...] | None
    size: int
    rule: str
    multiplier: float
    weight_decay: float | str | None
    half_life: float | None
    decays: bool
    reason: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as texts, in the order of the columns."""
        return (
            self.path,
            "-" if self.shape is None else str(self.shape).replace(" ", ""),
            self.rule,
            f"{self.multiplier:g}",
            _number(self.weight_decay),
            _number(self.half_life),
            self.reason,
        )


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What :meth:`DecayRules.explain` returns: printed, a table.

    Attributes:
      rows: one :class:`Row` per leaf, in JAX's leaf order.
      groups: for each rule that won a leaf, and the default, its numbers of leaves and
        of parameters.
      problems: what ``strict`` would complain of, and arrays that stand at two paths.
    """

    rows: tuple[Row, ...]
    groups: dict[str, tuple[int, int]]
    problems: tuple[str, ...]

    @classmethod
    def build(
        cls,
        decided: list[Any],
        patterns: list[str],
        problems: list[str],
        *,
        empty: list[str],
        weight_decay: Scalar | None,
        learning_rate: Scalar | None,
    ) -> "Explanation":
        """Return the table of ``decided``, one decision per leaf."""
        for name, value in (
            ("weight_decay", weight_decay),
            ("learning_rate", learning_rate),
        ):
            if value is not None and not (name == "weight_decay" and callable(value)):
                check_scalar(value, name, "explain")
        rows: list[Row] = []
        groups: dict[str, tuple[int, int]] = {}
        for decision in decided:
            rule = decision.reason.split(":")[0]
            if decision.rule is not None:
                rule = patterns[decision.rule]
            own = decision.decay.weight_decay
            own = weight_decay if own is None else own
            rate: Any = "schedule" if callable(own) else own
            if not decision.is_parameter:
                rate = None
            elif not decision.decay.decays:
                rate = None if own is None else 0.0
            elif rate is not None and not callable(own):
                rate = float(rate) * decision.decay.multiplier
            size = math.prod(decision.shape or ()) if decision.is_parameter else 0
            rows.append(
                Row(
                    decision.path,
                    decision.shape,
                    size,
                    rule if decision.is_parameter else "-",
                    decision.decay.multiplier,
                    rate,
                    _half_life(rate, learning_rate),
                    decision.decay.decays,
                    decision.reason,
                )
            )
            if decision.is_parameter:
                leaves, parameters = groups.get(rule, (0, 0))
                groups[rule] = (leaves + 1, parameters + size)
        rows += [
            Row(path, None, 0, "-", 0.0, None, None, False, "not a parameter: None")
            for path in empty
        ]
        return cls(tuple(rows), groups, tuple(problems))

    @property
    def total(self) -> int:
        """Number of parameters."""
        return sum(row.size for row in self.rows)

    @property
    def decaying(self) -> int:
        """Number of parameters that decay."""
        return sum(row.size for row in self.rows if row.decays)

    def __str__(self) -> str:
        """Return the table for a terminal, by rich where it can be imported."""
        cells = [row.cells for row in self.rows]
        rich = importlib.util.find_spec("rich") is not None
        table = _rich_table(cells) if rich else _plain_table(cells)
        return "\n".join([table, *self._summary()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
        body = "".join(
            "<tr>" + "".join(map(_html_cell, _COLUMNS, row.cells)) + "</tr>"
            for row in self.rows
        )
        notes = "".join(f"<p>{html.escape(line)}</p>" for line in self._summary())
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
        )

    def to_markdown(self) -> str:
        """Return the table as Markdown, stable enough to keep in a repository."""
        lines = [_COLUMNS, ("---",) * len(_COLUMNS)]
        for row in self.rows:
            path, shape, rule, *rest = row.cells
            lines.append((_code(path), shape, _code(rule), *rest))
        table = ["| " + " | ".join(line) + " |" for line in lines]
        notes = [f"- {line}" for line in self._summary(_code)]
        return "\n".join([*table, "", *notes]) + "\n"

    def _summary(self, mark: Callable[[str], str] = str) -> list[str]:
        share = f"{100 * self.decaying / self.total:.2f} %" if self.total else "none"
        lines = [
            f"{mark(rule)}: {leaves} {'leaf' if leaves == 1 else 'leaves'}, "
            f"{parameters:,} parameters"
            for rule, (leaves, parameters) in self.groups.items()
        ]
        lines.append(
            f"decays: {self.decaying:,} of {self.total:,} parameters ({share})"
        )
        return lines + [f"problem: {problem}" for problem in self.problems]


def _html_cell(column: str, text: str) -> str:
    side = "right" if column in _NUMBERS else "left"
    return f'<td style="text-align:{side}">{html.escape(text)}</td>'


def _code(text: str) -> str:
    """Return ``text`` as a code span that fits in a cell."""
    one_line = " ".join(text.split()).replace("|", "\\|")
    return f"`{one_line}`"


def _half_life(rate: Any, learning_rate: Any) -> float | None:
    if learning_rate is None or not isinstance(rate, (int, float)):
        return None
    shrink = float(learning_rate) * rate
    if shrink <= 0:
        return math.inf
    return math.log(2) / -math.log1p(-shrink) if shrink < 1 else 0.0


def _number(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if math.isinf(value):
        return "∞"
    return f"{value:.4g}"


def _rich_table(cells: list[tuple[str, ...]]) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in _COLUMNS:
        right = column in _NUMBERS
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    width = max(shutil.get_terminal_size((120, 24)).columns, 80)
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(table)
    text = file.getvalue()
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def _plain_table(cells: list[tuple[str, ...]]) -> str:
    lines = [_COLUMNS, *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
