"""Decay over time by itself, and what each precision costs in training."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from examples.claims._statistics import paired
from examples.low_precision._decay_alone import truth
from examples.low_precision._report import norm_change
from examples.low_precision._train import Trained
from examples.low_precision._variants import REFERENCE, TRAINED

_MARKERS = "os^vD*PXd"
_COLORS = dict(zip(TRAINED, [*map("C{}".format, range(10)), "black"], strict=True))
_OTHERS = [name for name in TRAINED if name != REFERENCE][::-1]
_DIFFERENCES = {
    "test loss minus float32": lambda one, other: paired(one.test, other.test),
    "norm of weights, change in %": norm_change,
}
_LINEAR = (1e-3, 0.1)  # Closer to 0 than this, the axis of a difference is linear.


def draw(
    alone: dict[str, dict[str, Any]], steps: int, tasks: dict[str, dict[str, Trained]]
) -> Figure:
    """Draw the weights without gradient, and paired differences with intervals."""
    figure = Figure(figsize=(5 + 3 * len(tasks), 7), layout="constrained")
    grid = figure.add_gridspec(2, 1 + len(tasks), width_ratios=[1.7] + [1] * len(tasks))
    _draw_paths(figure.add_subplot(grid[:, 0]), alone, steps)
    for row, (label, difference) in enumerate(_DIFFERENCES.items()):
        cells = [figure.add_subplot(grid[row, 1 + i]) for i in range(len(tasks))]
        for axes, (title, found) in zip(cells, tasks.items(), strict=True):
            axes.sharex(cells[0])
            axes.set_xscale("symlog", linthresh=_LINEAR[row])
            _draw_differences(axes, found, difference)
            axes.tick_params(labelleft=axes is cells[0])
            axes.set(title=title if row == 0 else "", xlabel=label)
    return figure


def _draw_paths(axes, alone, steps):
    count = len(next(iter(alone.values()))["path"])
    at = np.linspace(0, steps, count)
    axes.plot(at, truth(at), color="0.75", linewidth=6, label="truth")
    for i, (name, one) in enumerate(alone.items()):
        axes.plot(
            at,
            one["path"],
            color=_COLORS.get(name, "black"),
            marker=_MARKERS[i % len(_MARKERS)],
            markevery=(2 * i + 1, count // 5),
            linewidth=0.8,
            label=f"{name}: {one['mean']:.4f}",
        )
    axes.set(
        title="decay alone, from 1 in bfloat16",
        xlabel="step",
        ylabel="mean weight",
        ylim=(0, 1.05),
    )
    axes.grid(alpha=0.3)
    axes.legend(
        fontsize="x-small",
        title="mean at the end",
        title_fontsize="x-small",
        loc="lower left",
    )


def _draw_differences(axes, found, difference):
    for i, name in enumerate(_OTHERS):
        if name in found:
            gap = difference(found[name], found[REFERENCE])
            half = gap.high - gap.mean
            axes.errorbar(
                gap.mean, i, xerr=half, fmt="o", capsize=3, color=_COLORS[name]
            )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(_OTHERS)), _OTHERS)
    axes.set_ylim(-0.6, len(_OTHERS) - 0.4)
    axes.tick_params(axis="x", labelrotation=60, labelsize="small")
    axes.grid(alpha=0.3)
