"""An audit as a picture."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from optaxwd._tables import number
from optaxwd.auditor import SEVERITIES, AuditReport, Finding, LeafReport
from optaxwd.plots._bar_table import Column, bar_table
from optaxwd.plots._style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    SKY,
    VERMILLION,
    check_is,
    counted,
    shorten,
    shorten_all,
)

# More rows than this are grouped.
_ROWS = 40
_LABEL = 48
_LAW = 72
_NOTE = 500

# By coupling: colour and hatch. The law stands beside each bar in words.
_BARS = {
    "l2": (ORANGE, "..."),
    "learning_rate": (BLUE, ""),
    "independent": (SKY, "///"),
    "constant": (VERMILLION, "xxx"),
    "corrected": (GREEN, "\\\\\\"),
    "momentum": (PINK, "---"),
    "trust_ratio": (PINK, "+++"),
    "proximal": (GREEN, "ooo"),
    "averaged": (SKY, "|||"),
}
_OTHER = (GREY, "")
_UNKNOWN = (GREY, "***")
# By severity, from info on; a darker vermillion, so that in grey an error is darkest.
_SEVERITIES = (
    {"color": GREY},
    {"fontweight": "bold", "color": GREY},
    {"fontweight": "bold", "color": "#8F2D00"},
)


class _Row(NamedTuple):
    """A leaf, or leaves of one kind: all decay alike, and have the same findings."""

    leaves: list[LeafReport]
    findings: tuple[tuple[str, str], ...]

    @property
    def first(self) -> LeafReport:
        return self.leaves[0]

    @property
    def label(self) -> str:
        if len(self.leaves) == 1:
            return self.first.path
        names = list(dict.fromkeys(_last(leaf) for leaf in self.leaves))
        name = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        return f"{len(self.leaves)} leaves: {name}"

    @property
    def rates(self) -> list[float]:
        """The rates that a bar can show, from the lowest."""
        known = [abs(leaf.rate) for leaf in self.leaves if math.isfinite(leaf.rate)]
        return sorted(rate for rate in known if rate > 0)


def plot_audit(report: AuditReport) -> Any:
    """Draw how much of each leaf decay removes per step, by which law; and findings.

    One row per leaf. A bar is the rate, its hatch the coupling; an open, dashed bar is
    decay that rounding takes away, a ring no decay, a question mark a leaf of which
    nothing could be told, and a bar that says "grows" decay of the wrong sign. Of more
    than 40 leaves those are one row that have the same last name, law, rate, dtype and
    findings; if that is not enough, rates, and then names, may differ within a row, and
    a line spans the rates. Beneath stand the findings and the notes, those of the same
    kind once.

    Args:
      report: what :func:`optaxwd.audit` returns.

    Returns:
      A ``matplotlib.figure.Figure``.

    Raises:
      TypeError: if ``report`` is something else.
      ImportError: if matplotlib is not installed.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> params = {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)}
      >>> report = optaxwd.audit(optaxwd.sgdw(0.1, weight_decay=0.1), params)
      >>> figure = optaxwd.plots.plot_audit(report)
      >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
      ['bias', 'kernel']

    References:
      As of :func:`optaxwd.audit`.
    """
    check_is(report, AuditReport, "report", "plot_audit", "optaxwd.audit")
    rows = _rows(report)
    figure, axes = bar_table(
        shorten_all([row.label for row in rows], _LABEL),
        _columns(rows),
        title=_title(report, len(rows)),
        notes=_notes(report),
    )
    label = "rate: fraction of θ that decay removes per step"
    if any(leaf.decays and leaf.penalty != "L2" for leaf in report.leaves.values()):
        label += "\n(of a penalty other than L2: what its pull is multiplied by)"
    axes.set_xlabel(label, fontsize="small")
    _draw_rates(axes, rows)
    return figure


def _rows(report: AuditReport) -> list[_Row]:
    """Return one row per leaf, or as few groups of leaves as it takes."""
    found: dict[str, dict[tuple[str, str], None]] = {}
    for finding in report.findings:
        kind = (finding.severity, finding.code)
        found.setdefault(finding.path, {})[kind] = None

    def kind_of(leaf: LeafReport) -> tuple[Any, ...]:
        sign = leaf.rate < 0
        return leaf.law, leaf.dtype, leaf.effective, sign, *found.get(leaf.path, ())

    keys: list[Callable[[LeafReport], Any]] = [
        lambda leaf: leaf.path,
        lambda leaf: (_last(leaf), kind_of(leaf), number(leaf.rate)),
        lambda leaf: (_last(leaf), kind_of(leaf)),
        kind_of,
    ]
    groups: dict[Any, list[LeafReport]] = {}
    for key in keys:
        groups = {}
        for leaf in report.leaves.values():
            groups.setdefault(key(leaf), []).append(leaf)
        if len(groups) <= _ROWS:
            break
    return [
        _Row(leaves, tuple(found.get(leaves[0].path, ()))) for leaves in groups.values()
    ]


def _last(leaf: LeafReport) -> str:
    return leaf.path.rsplit("/", 1)[-1]


def _title(report: AuditReport, rows: int) -> str:
    leaves = report.leaves.values()
    decaying = [leaf for leaf in leaves if leaf.decays]
    total, size = (sum(math.prod(x.shape) for x in some) for some in (leaves, decaying))
    title = (
        f"audit of {'an' if report.kind == 'optimizer' else 'a'} {report.kind}: "
        f"{len(decaying):,} of {counted(len(leaves), 'leaf decays', 'leaves decay')}, "
        f"{size:,} of {counted(total, 'parameter', 'parameters')}"
    )
    if rows < len(leaves):
        title += f"; {len(leaves):,} leaves in {counted(rows, 'row', 'rows')}"
    return title


def _columns(rows: Sequence[_Row]) -> list[Column]:
    """Return the texts beside the bars."""
    styles = [_SEVERITIES[max(map(_severity, row.findings), default=0)] for row in rows]
    found = [
        "; ".join(f"{severity}: {code}" for severity, code in row.findings)
        for row in rows
    ]
    return [
        Column("rate", [_range([x.rate for x in row.leaves], number) for row in rows]),
        Column(
            "half-life, steps",
            [_range([x.half_life for x in row.leaves], _steps) for row in rows],
        ),
        Column("law", [shorten(row.first.law, _LAW) for row in rows]),
        Column("survives rounding", [_survives(row.first) for row in rows]),
        Column("findings", found, styles),
    ]


def _severity(finding: tuple[str, str]) -> int:
    return SEVERITIES.index(finding[0])


def _range(values: Sequence[float], text: Callable[[float], str]) -> str:
    """Return the lowest and the highest number, or one if they read the same."""
    known = sorted(value for value in values if not math.isnan(value))
    if not known:
        return "not finite"
    low, high = text(known[0]), text(known[-1])
    return low if low == high else f"{low} to {high}"


def _steps(value: float) -> str:
    return f"{value:,.0f}" if 100 <= value < 1e9 else number(value)


def _survives(leaf: LeafReport) -> str:
    if not leaf.decays:
        return "-"
    return f"yes, {leaf.dtype}" if leaf.effective else f"NO, lost in {leaf.dtype}"


def _draw_rates(axes: Any, rows: Sequence[_Row]) -> None:
    """Draw a bar from the left edge to each rate, or a mark where there is none."""
    rates = [rate for row in rows for rate in row.rates]
    low = 10 ** (math.floor(math.log10(min(rates))) - 1) if rates else 1e-6
    high = 10 ** math.ceil(math.log10(max(rates)) + 1e-9) if rates else 1.0
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    if not rates:
        axes.set_xticks([])
        axes.minorticks_off()
    for at, row in enumerate(rows):
        if row.rates:
            _draw_bar(axes, at, row, low)
        else:
            _draw_mark(axes, at, row.first)
    if not rows:
        text = "no floating-point leaves"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center")


def _draw_bar(axes: Any, at: int, row: _Row, left: float) -> None:
    lowest, highest = row.rates[0], row.rates[-1]
    color, hatch = _look(row.first)
    solid = row.first.effective
    axes.barh(
        at,
        lowest - left,
        left=left,
        height=0.7,
        color=color if solid else "white",
        edgecolor="white" if solid else color,
        linestyle="-" if solid else "--",
        hatch=hatch,
    )
    if number(lowest) != number(highest):
        axes.plot([lowest, highest], [at, at], color="black", marker="|", linewidth=1)
    if row.first.rate < 0:
        axes.text(left, at, " grows", va="center", fontsize="small", color=VERMILLION)


def _look(leaf: LeafReport) -> tuple[str, str]:
    """Return the colour and the hatch of a bar."""
    if leaf.rate < 0:
        return VERMILLION, ""
    return _BARS.get(leaf.coupling, _OTHER if leaf.decoupled else _UNKNOWN)


def _draw_mark(axes: Any, at: int, leaf: LeafReport) -> None:
    beside = axes.get_yaxis_transform()
    if leaf.decays or leaf.cannot_tell:
        axes.text(0.012, at, "?", transform=beside, va="center", fontweight="bold")
    else:
        axes.plot(0.02, at, "o", transform=beside, color=GREY, fillstyle="none")


def _notes(report: AuditReport) -> list[str]:
    """Return findings and notes, those of one kind with the message of the first."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        kinds.setdefault((finding.severity, finding.code), []).append(finding)
    lines = [] if kinds else ["no findings"]
    for (severity, code), found in kinds.items():
        paths = [finding.path for finding in found if finding.path]
        place = f" ({_places(paths)})" if paths else ""
        more = len({finding.message for finding in found}) - 1
        rest = f" (and {counted(more, 'similar message', 'similar messages')})"
        message = shorten(found[0].message, _NOTE) + (rest if more else "")
        lines.append(f"{severity}: {code}{place}: {message}")
    seen: dict[str, list[str]] = {note: [] for note in report.notes}
    for leaf in report.leaves.values():
        for note in leaf.notes:
            seen.setdefault(note, []).append(leaf.path)
    for note, paths in seen.items():
        place = f" ({_places(paths)})" if paths else ""
        lines.append(f"note{place}: {shorten(note, _NOTE)}")
    return lines


def _places(paths: Sequence[str]) -> str:
    return shorten(paths[0], _LABEL) if len(paths) == 1 else f"{len(paths)} leaves"
