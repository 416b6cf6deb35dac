"""What decays, by the rule that says so."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from optaxwd._tables import number
from optaxwd.plots._bar_table import Column, bar_table
from optaxwd.plots._style import BLUE, check_is, counted, shorten, shorten_all
from optaxwd.rules import Explanation

# More groups than this: the smallest are one bar.
_GROUPS = 40
_LABEL = 48
_NOTE = 500


class _Group(NamedTuple):
    """The leaves that one rule won."""

    label: str
    rows: list[Any]

    @property
    def total(self) -> int:
        return sum(row.size for row in self.rows)

    @property
    def decaying(self) -> int:
        return sum(row.size for row in self.rows if row.decays)

    @property
    def leaves(self) -> str:
        return f"{sum(row.decays for row in self.rows):,} of {len(self.rows):,}"

    @property
    def parameters(self) -> str:
        return f"{self.decaying:,} of {self.total:,}"

    @property
    def note(self) -> str:
        """What the reasons say beside the rule: frozen, or an anchor."""
        said = (row.reason.partition(": ")[2] for row in self.rows)
        return shorten(", ".join(dict.fromkeys(filter(None, said))), _LABEL)


def plot_decaying(explanation: Explanation) -> Any:
    """Draw how many parameters decay and how many do not, by rule.

    One bar per rule that won a leaf, and one for the default: filled for parameters
    that decay, hatched for those that do not. Every bar has an edge, so that a small
    group is seen beside a large one. Of more than 40 groups the smallest are one bar.
    What is wrong with the rules stands beneath.

    Args:
      explanation: what :meth:`optaxwd.DecayRules.explain` returns.

    Returns:
      A ``matplotlib.figure.Figure``.

    Raises:
      TypeError: if ``explanation`` is something else.
      ImportError: if matplotlib is not installed.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> params = {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)}
      >>> rules = optaxwd.DecayRules([("bias", False)])
      >>> figure = optaxwd.plots.plot_decaying(rules.explain(params))
      >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
      ['bias', 'default']
      >>> figure.get_suptitle()
      'decays: 12 of 15 parameters (80 %), 1 of 2 leaves'

    References:
      As of :class:`optaxwd.DecayRules`.
    """
    source = "optaxwd.DecayRules.explain"
    check_is(explanation, Explanation, "explanation", "plot_decaying", source)
    groups = _groups(explanation)
    figure, axes = bar_table(
        shorten_all([group.label for group in groups], _LABEL),
        _columns(groups, explanation.total),
        title=_title(explanation),
        notes=_notes(explanation),
    )
    _draw_sizes(axes, groups)
    return figure


def _groups(explanation: Explanation) -> list[_Group]:
    """Return the groups, or the largest and one of all others."""
    groups = [
        _Group(rule, [row for row in _parameters(explanation) if row.rule == rule])
        for rule in explanation.groups
    ]
    if len(groups) <= _GROUPS:
        return groups
    by_size = sorted(groups, key=lambda group: -group.total)
    small = by_size[_GROUPS - 1 :]
    rest = [row for group in small for row in group.rows]
    kept = [group for group in groups if group not in small]
    return [*kept, _Group(f"the {len(small):,} smallest groups", rest)]


def _parameters(explanation: Explanation) -> list[Any]:
    return [row for row in explanation.rows if row.rule in explanation.groups]


def _columns(groups: Sequence[_Group], total: int) -> list[Column]:
    """Return the texts beside the bars."""
    columns = [
        Column("parameters that decay", [group.parameters for group in groups]),
        Column("leaves that decay", [group.leaves for group in groups]),
        Column("share of all", [_percent(group.total, total) for group in groups]),
        Column("multiplier", [_values(x.multiplier for x in g.rows) for g in groups]),
        Column("λ", [_values(x.weight_decay for x in g.rows) for g in groups]),
    ]
    notes = [group.note for group in groups]
    return [*columns, Column("note", notes)] if any(notes) else columns


def _values(values: Any) -> str:
    """Return the one value, or the lowest and the highest."""
    found = list(dict.fromkeys(values))
    if all(isinstance(value, (int, float)) for value in found):
        found = sorted({min(found), max(found)})
    return " to ".join(map(number, found))


def _percent(part: int, total: int) -> str:
    if not total:
        return "-"
    text = f"{100 * part / total:.3g} %"
    return "> 99.9 %" if text == "100 %" and part < total else text


def _title(explanation: Explanation) -> str:
    rows = _parameters(explanation)
    decaying, total = explanation.decaying, explanation.total
    leaves = sum(row.decays for row in rows)
    share = f" ({_percent(decaying, total)})" if total else ""
    return (
        f"decays: {decaying:,} of {counted(total, 'parameter', 'parameters')}{share}, "
        f"{leaves:,} of {counted(len(rows), 'leaf', 'leaves')}"
    )


def _notes(explanation: Explanation) -> list[str]:
    others = len(explanation.rows) - len(_parameters(explanation))
    lines = [f"problem: {shorten(text, _NOTE)}" for text in explanation.problems]
    if others:
        lines.append(
            f"not shown: {counted(others, 'leaf that is', 'leaves that are')} no "
            "parameter"
        )
    return lines


def _draw_sizes(axes: Any, groups: Sequence[_Group]) -> None:
    """Draw the parameters that decay, and beside them those that do not."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    at = range(len(groups))
    decaying = [group.decaying for group in groups]
    still = [group.total - group.decaying for group in groups]
    looks = (
        ("decay", decaying, [0] * len(groups), BLUE, ""),
        ("do not", still, decaying, "white", "////"),
    )
    for name, widths, left, color, hatch in looks:
        shown = [(y, w, x) for y, w, x in zip(at, widths, left, strict=True) if w]
        rows, sizes, starts = zip(*shown, strict=True) if shown else ((), (), ())
        axes.barh(
            rows,
            sizes,
            left=starts,
            height=0.7,
            color=color,
            edgecolor="black",
            hatch=hatch,
            label=name,
        )
    largest = max([1, *(group.total for group in groups)])
    axes.set_xlim(-0.02 * largest, 1.05 * largest)  # An edge at 0 must be seen.
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.set_xlabel("parameters (filled: decay, hatched: do not)", fontsize="small")
    if not groups:
        axes.text(0.5, 0.5, "no parameters", transform=axes.transAxes, ha="center")
