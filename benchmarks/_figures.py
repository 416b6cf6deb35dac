"""Figures of a run, readable without colour: markers, line styles, labels on lines."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks._cases import ADAMW, CASES, CLIP, ONE_PASS, ONE_PASS_CLIP, TIE
from benchmarks._report import leaf_costs
from benchmarks._results import Cost, Results
from benchmarks._steps import LIMIT
from optaxwd.plots._style import BLUE, GREEN, PINK, VERMILLION, name_lines


class Look(NamedTuple):
    """How a candidate is drawn: colours of Okabe and Ito, and no two alike in grey."""

    color: str
    marker: str
    line: str


_LOOKS = {
    "optaxwd": Look(BLUE, "o", "-"),
    "optax": Look(VERMILLION, "s", "--"),
    "torch fused": Look(GREEN, "^", "-."),
    "torch foreach": Look(PINK, "v", ":"),
    LIMIT: Look("0.35", "", (0, (1, 1))),  # type: ignore[arg-type]
}
_TICKS = [digit * 10.0**power for power in (-2, -1, 0, 1, 2) for digit in (1, 2, 5)]
_HEIGHT = 3.0  # Of a panel, in inches, somewhat less than its axes come to have.
_FLOORED = (ADAMW, CLIP, ONE_PASS, ONE_PASS_CLIP)
_TITLES = {
    ONE_PASS.name: "adamw, compiled with the flag",
    ONE_PASS_CLIP.name: "clip + adamw, compiled with the flag",
}


def draw_steps(results: Results) -> Figure:
    """Draw time per parameter over parameters, with the bandwidth's floor."""
    sizes = results.values("steps", "size")
    counts = [results.of("steps", size=size)[0]["count"] for size in sizes]
    measured = {name for _, name, _ in results.cases()}
    cases = [case for case in _FLOORED if case.name in measured]
    rows = len(cases) // 2
    figure = Figure(figsize=(11, 4 * rows), layout="constrained")
    grid = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    for axes, case in zip(grid.flat, cases, strict=True):
        lines = {}
        for name in [one.name for one in case.candidates]:
            found = [
                results.seconds("steps", case.name, Cost(name), size=size)
                for size in sizes
            ]
            lines[name] = _scaled(found, counts)
        # The limit is measured beside plain AdamW, with the flag or without it.
        beside = ONE_PASS if case in (ONE_PASS, ONE_PASS_CLIP) else ADAMW
        limit = [
            results.seconds("steps", beside.name, Cost(LIMIT), size=size)
            for size in sizes
        ]
        floor = (case.bytes or 28) / 28
        lines[LIMIT] = [floor * value for value in _scaled(limit, counts)]
        _draw_lines(axes, counts, lines)
        axes.set_title(_TITLES.get(case.name, case.name))
    for axes, case in zip(grid.flat, cases, strict=True):
        _name_lines(axes, {LIMIT: f"floor, {case.bytes:g} bytes"})
    _label(grid, "parameters", "time per step, ns per parameter")
    return figure


def draw_leaves(results: Results) -> Figure:
    """Draw time per step over leaves: alone, without calling, and in training."""
    numbers = results.values("leaves", "leaves")
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    panels = leaf_costs()
    grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)
    for axes, (label, costs) in zip(grid.flat, panels.items(), strict=True):
        lines = {
            name: [
                1e3 * (results.seconds("leaves", "adamw", cost, leaves=n) or np.nan)
                for n in numbers
            ]
            for name, cost in costs.items()
        }
        _draw_lines(axes, numbers, lines)
        axes.set_title(label)
    for axes in grid.flat:
        _name_lines(axes, {})
    _label(grid, "leaves, of a million parameters in all", "time per step, ms")
    return figure


def draw_bytes(results: Results) -> Figure:
    """Draw the bytes that XLA counts, for the middle number of leaves."""
    numbers = results.values("compiled", "leaves")
    leaves = numbers[len(numbers) // 2]
    facts: dict[str, Any] = {}
    for one in results.of("compiled", leaves=leaves):
        facts |= one["facts"]
    rows = [
        (f"{case}: {name}", name, found["bytes accessed"])
        for case, candidates in facts.items()
        for name, found in candidates.items()
    ][::-1]
    figure = Figure(figsize=(9, 0.8 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    at = np.arange(len(rows))
    bars = axes.barh(
        at,
        [value for _, _, value in rows],
        color=[_look(name).color for _, name, _ in rows],
        hatch=["//" if name == "optax" else "" for _, name, _ in rows],
        edgecolor="white",
    )
    axes.bar_label(bars, [f"{value:.1f}" for _, _, value in rows], padding=3)
    axes.set_yticks(at, [label for label, _, _ in rows])
    axes.axvline(28, color="black", linestyle=":", linewidth=1)
    axes.set(
        xlabel="bytes per parameter and step, by XLA's estimate; dotted: 28",
        title=f"memory accessed, {leaves} leaves",
    )
    axes.margins(x=0.1)
    return figure


def draw_ratios(results: Results) -> Figure:
    """Draw our times over each peer's, for the largest size, with their ranges."""
    size = results.values("steps", "size")[-1]
    rows = []
    for case in CASES.values():
        for peer in case.peers or [case.reference]:
            for name in case.ours:
                costs = Cost(name), Cost(peer)
                ratio = results.ratio("steps", case.name, *costs, size=size)
                if ratio is not None and name != peer:
                    label = f"{case.name}: {name} / {peer}"
                    rows.append((label, peer if case.peers else "optaxwd", ratio))
    rows.reverse()
    figure = Figure(figsize=(9, 1 + 0.28 * max(len(rows), 3)), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(1 - TIE, 1 + TIE, color="0.9")
    axes.axvline(1, color="black", linewidth=0.8)
    for at, (_, peer, ratio) in enumerate(rows):
        look = _look(peer)
        axes.plot([ratio.low, ratio.high], [at, at], color=look.color, linewidth=2)
        axes.plot(ratio.median, at, color=look.color, marker=look.marker)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    axes.set_xscale("log")
    ticks = [t for t in _TICKS if _covers(rows, t)]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="x", alpha=0.3)
    axes.set(
        xlabel="ratio of times, median and range over processes\n"
        "left of 1: optaxwd is faster; grey: a tie",
        title=f"{size:,} parameters",
    )
    return figure


def _covers(rows: Sequence[Any], tick: float) -> bool:
    """Return whether a tick is near what is drawn, so that it does not widen it."""
    if tick == 1 or not rows:
        return tick == 1
    low = min(ratio.low for _, _, ratio in rows)
    high = max(ratio.high for _, _, ratio in rows)
    return low / 1.5 <= tick <= high * 1.5


def _look(name: str) -> Look:
    """Return how a candidate is drawn: variants of ours like ours."""
    return _LOOKS.get(name) or _LOOKS[name.split()[0]]


def _scaled(seconds: list[float | None], counts: list[int]) -> list[float]:
    """Return nanoseconds per parameter, NaN where nothing was measured."""
    return [
        np.nan if one is None else 1e9 * one / count
        for one, count in zip(seconds, counts, strict=True)
    ]


def _draw_lines(axes: Any, x: Sequence[int], lines: dict[str, list[float]]) -> None:
    """Draw lines on logarithmic axes."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    for name, found in lines.items():
        # A difference of two times may be lost in the noise.
        y = np.where(np.asarray(found) > 0, found, np.nan)
        if np.isfinite(y).any():
            color, marker, line = _look(name)
            axes.plot(x, y, color=color, marker=marker, linestyle=line, label=name)
    axes.grid(alpha=0.3)
    axes.margins(x=0.08)


def _name_lines(axes: Any, names: dict[str, str]) -> None:
    """Write the names of lines beside them, those in ``names`` under another name."""
    axes.autoscale_view()
    lines = axes.get_lines()
    labels = [str(line.get_label()) for line in lines]
    name_lines(axes, lines, [names.get(name, name) for name in labels], _HEIGHT)


def _label(grid: Any, x: str, y: str) -> None:
    """Label the outer axes of a grid of panels."""
    for axes in grid[-1]:
        axes.set_xlabel(x)
    for axes in grid[:, 0]:
        axes.set_ylabel(y)


# By file: the section, what its lines run over, if it has any, and how it is drawn.
DRAWINGS = {
    "steps.png": ("steps", "size", draw_steps),
    "leaves.png": ("leaves", "leaves", draw_leaves),
    "bytes.png": ("compiled", None, draw_bytes),
    "ratios.png": ("steps", None, draw_ratios),
}
