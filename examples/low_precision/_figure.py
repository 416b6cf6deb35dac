"""Decay over time by itself, and what each precision costs in training."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from examples.claims._statistics import paired
from examples.low_precision._decay_alone import truth
from examples.low_precision._train import Trained
from examples.low_precision._variants import REFERENCE, TRAINED

_MARKERS = "os^vD*PXd"
_COLORS = {name: f"C{i}" for i, name in enumerate(TRAINED)}
_LINEAR = 1e-3  # Differences in nats below this are drawn to scale.


def draw(
    alone: dict[str, dict[str, Any]], steps: int, tasks: dict[str, dict[str, Trained]]
) -> Figure:
    """Draw the weights without gradient, and paired differences with intervals."""
    figure = Figure(figsize=(5 + 3 * len(tasks), 4.6), layout="constrained")
    first, *panels = figure.subplots(
        1, 1 + len(tasks), width_ratios=[1.7] + [1] * len(tasks)
    )
    _draw_paths(first, alone, steps)
    for axes, (title, found) in zip(panels, tasks.items(), strict=True):
        _draw_differences(axes, title, found)
    for axes in panels[1:]:
        axes.tick_params(labelleft=False)
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
        title="decay alone, from 1 in bfloat16", xlabel="step", ylabel="mean weight"
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small", title="mean at the end", title_fontsize="x-small")


def _draw_differences(axes, title, found):
    names = [name for name in found if name != REFERENCE][::-1]
    for i, name in enumerate(names):
        gap = paired(found[name].test, found[REFERENCE].test)
        half = gap.high - gap.mean
        axes.errorbar(gap.mean, i, xerr=half, fmt="o", capsize=3, color=_COLORS[name])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xscale("symlog", linthresh=_LINEAR)
    axes.set_yticks(range(len(names)), names)
    axes.set(title=title, xlabel="test loss minus float32")
    axes.tick_params(axis="x", labelrotation=60, labelsize="small")
    axes.grid(alpha=0.3)
