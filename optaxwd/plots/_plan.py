"""A planned run as a picture."""

import math
from typing import Any

import numpy as np

from optaxwd.plots._style import draw_grid, new_figure
from optaxwd.schedules import Plan

# More points than a page has dots are thinned out.
_POINTS = 4000


def plot_plan(plan: Plan) -> Any:
    r"""Draw the learning rate, the decay per step and what it leaves of a weight.

    .. math:: \eta_t, \qquad R_t, \qquad \prod_{s<t} (1 - R_s)

    Args:
      plan: what :func:`optaxwd.describe` returns.

    Returns:
      A ``matplotlib.figure.Figure`` of three panels over the steps.

    Raises:
      ImportError: if matplotlib is not installed.

    Examples:
      >>> import optaxwd
      >>> plan = optaxwd.describe(3e-4, 0.1, 10_000, warmup_steps=1_000)
      >>> figure = optaxwd.plots.plot_plan(plan)
      >>> [axes.get_ylabel() for axes in figure.axes]
      ['learning rate η', 'decay per step R', 'left of a weight']

    References:
      Wang and Aitchison, `How to set AdamW's weight decay as you scale model and
      dataset size <https://arxiv.org/abs/2405.13698>`_, 2025.
    """
    rates = plan.rates
    shown = np.unique(np.linspace(0, plan.steps - 1, _POINTS).astype(int))
    left = np.exp(np.cumsum(np.log1p(-np.append(0.0, rates.rate))))
    figure = new_figure(7, 7)
    upper, middle, lower = figure.subplots(3, 1, sharex=True)
    marker = "o" if plan.steps == 1 else ""
    upper.plot(shown, rates.learning_rate[shown], color="black", marker=marker)
    upper.set_ylabel("learning rate η")
    middle.plot(shown, rates.rate[shown], color="black", marker=marker)
    middle.set_ylabel("decay per step R")
    _mark_rounding(middle, plan)
    _mark_weight_decay(middle, plan, shown)
    ends = np.append(shown, plan.steps)
    lower.plot(ends, left[ends], color="black")
    _mark_half_lives(lower, left)
    lower.set(ylim=(0, 1.05), ylabel="left of a weight", xlabel="step")
    half_life = f"{plan.half_life:,.0f}" if math.isfinite(plan.half_life) else "∞"
    upper.set_title(
        f"coupling {plan.coupling}, λ up to {rates.weight_decay.max():.4g}, half-life "
        f"{half_life} steps at the peak, {plan.remaining:.3g} left",
        fontsize="medium",
    )
    for axes in (upper, middle, lower):
        axes.set_ylim(bottom=0)
        draw_grid(axes)
    return figure


def _mark_rounding(axes: Any, plan: Plan) -> None:
    """Say, and show if it is in sight, below which rate rounding takes the decay."""
    if plan.lost_to_rounding == 0:
        return
    text = f"too small to move a {plan.dtype} weight by itself"
    if plan.lost_to_rounding < 1:
        text = f"dotted: below it, {text}"
        axes.axhline(plan.smallest_rate, color="0.4", linestyle=":")
    axes.set_title(text, fontsize="small", loc="right")


def _mark_weight_decay(axes: Any, plan: Plan, shown: np.ndarray) -> None:
    """Draw λ on an axis of its own where it changes."""
    if np.ptp(plan.rates.weight_decay) > 0:
        twin = axes.twinx()
        twin.plot(shown, plan.rates.weight_decay[shown], color="0.5", linestyle="--")
        twin.set_ylabel("λ (dashed)")
        twin.set_ylim(bottom=0)


def _mark_half_lives(axes: Any, left: np.ndarray) -> None:
    """Mark where a weight has halved once and twice, as far as it does."""
    for level in (0.5, 0.25):
        if left[-1] > level:
            return
        step = int(np.argmax(left <= level))
        axes.plot([step], [level], color="black", marker="o", markersize=4)
        late = step > 0.6 * len(left)
        axes.annotate(
            f"{level:.0%} after {step:,} steps",
            (step, level),
            xytext=(-5, -3) if late else (5, 3),
            textcoords="offset points",
            ha="right" if late else "left",
            va="top" if late else "bottom",
        )
