"""The table that says which leaves decay, how much, and why."""

import dataclasses
import html
import math
from collections.abc import Callable
from typing import Any

from optaxwd._checks import check_scalar
from optaxwd._tables import code, markdown_table, number, table
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
            number(self.weight_decay),
            number(self.half_life),
            self.reason,
        )


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What :meth:`DecayRules.explain` returns: printed, a table.

    Attributes:
      rows: one per leaf, in JAX's leaf order, with ``path``, ``shape``, ``size``,
        ``rule``, ``multiplier``, ``weight_decay``, ``half_life``, ``decays`` and
        ``reason``.
      groups: for each rule that won a leaf, and the default, its numbers of leaves and
        of parameters.
      problems: what ``strict`` would complain of, and arrays that stand at two paths.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> params = {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)}
      >>> found = optaxwd.rules.standard().explain(params, weight_decay=0.1)
      >>> [(row.path, row.multiplier) for row in found.rows]
      [('bias', 0.0), ('kernel', 1.0)]

    References:
      As of :class:`DecayRules`.
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
        return "\n".join([table(_COLUMNS, cells, _NUMBERS), *self._summary()])

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
        rows = []
        for row in self.rows:
            path, shape, rule, *rest = row.cells
            rows.append((code(path), shape, code(rule), *rest))
        notes = [f"- {line}" for line in self._summary(code)]
        return "\n".join([markdown_table(_COLUMNS, rows), "", *notes]) + "\n"

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


def _half_life(rate: Any, learning_rate: Any) -> float | None:
    if learning_rate is None or not isinstance(rate, (int, float)):
        return None
    shrink = float(learning_rate) * rate
    if shrink <= 0:
        return math.inf
    return math.log(2) / -math.log1p(-shrink) if shrink < 1 else 0.0
