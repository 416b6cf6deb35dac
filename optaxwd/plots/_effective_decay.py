"""How much of each weight Adam removes, coupled and decoupled."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from optaxwd._checks import check_number, is_known
from optaxwd._tables import number
from optaxwd.plots._style import (
    BLUE,
    GREY,
    LINE_HEIGHT,
    SMALL,
    VERMILLION,
    counted,
    draw_grid,
    name_lines,
    new_figure,
    shorten_all,
    width_of,
)

_OWNER = "plot_effective_decay"
_X = r"$\sqrt{\hat{v}}$"
_BINS = 40
# Of more leaves, in the order of their medians, only the first and the last are named.
_NAMED = 40
_LABEL = 48
# Inches.
_CURVES = 2.8
_HISTOGRAM = 1.6
_STRIPS = 3.0
_WIDTH = 6.5


class _Leaf(NamedTuple):
    """The coordinates of one leaf whose √v̂ is above 0, and how many there are."""

    name: str
    positive: np.ndarray
    size: int

    @property
    def zeros(self) -> int:
        return self.size - len(self.positive)

    @property
    def label(self) -> str:
        if not self.size:
            return f"{self.name} (no entries)"
        if not self.zeros:
            return self.name
        share = "all" if self.zeros == self.size else f"{self.zeros:,} of {self.size:,}"
        return f"{self.name} ({share} at 0)"


class _Rates(NamedTuple):
    """η·λ, the decoupled decay per step, and ε."""

    decoupled: float
    eps: float

    def coupled(self, sqrt_nu: np.ndarray) -> np.ndarray:
        return self.decoupled * self.ratio(sqrt_nu)

    def ratio(self, sqrt_nu: np.ndarray) -> np.ndarray:
        return 1 / (sqrt_nu + self.eps)


def plot_effective_decay(
    sqrt_nu: Any, *, learning_rate: float, weight_decay: float, eps: float = 1e-8
) -> Any:
    r"""Draw the decay per step over √v̂: of an L2 penalty through Adam, and of AdamW.

    Adam divides the gradient, and an L2 penalty's with it, by its denominator, so that
    a coordinate decays at

    .. math:: \frac{\eta\lambda}{\sqrt{\hat v} + \epsilon}
        \quad\text{coupled, and}\quad \eta\lambda \quad\text{decoupled.}

    They are equal where :math:`\sqrt{\hat v} + \epsilon = 1`. Beneath the two curves
    stands the histogram of √v̂, and for several leaves a strip of each: from the least
    to the largest thin, from 5 to 95 % thick, with a dot at the median. Coordinates
    with √v̂ = 0, which never had a gradient, are counted in the title; the ratio's
    median is over all others.

    Args:
      sqrt_nu: √v̂, the root of Adam's second moment with its bias corrected, in units
        of the gradient: an array of any shape, or a mapping of names to arrays.
      learning_rate: :math:`\eta > 0`.
      weight_decay: :math:`\lambda > 0`, the same number in both.
      eps: :math:`\epsilon \ge 0`, added to √v̂.

    Returns:
      A ``matplotlib.figure.Figure``.

    Raises:
      TypeError: if ``sqrt_nu`` holds something else than real numbers that are known,
        or another argument is not a number.
      ValueError: if a number is negative or not finite, none is above 0, or η or λ
        is 0.
      ImportError: if matplotlib is not installed.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> figure = optaxwd.plots.plot_effective_decay(
      ...     jnp.array([0.01, 0.1]), learning_rate=1e-3, weight_decay=0.1
      ... )
      >>> [axes.get_ylabel() for axes in figure.axes]
      ['decay per step', 'coordinates, %']

    References:
      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019.
    """
    eta = check_number(learning_rate, "learning_rate", _OWNER, positive=True)
    lam = check_number(weight_decay, "weight_decay", _OWNER, positive=True)
    rates = _Rates(eta * lam, check_number(eps, "eps", _OWNER))
    leaves = _leaves(sqrt_nu)
    every = np.concatenate([leaf.positive for leaf in leaves])
    is_named = 1 < len(leaves) <= _NAMED
    strips = 0.4 + len(leaves) * LINE_HEIGHT / 72 if is_named else _STRIPS
    heights = [_CURVES, _HISTOGRAM] + ([strips] if len(leaves) > 1 else [])
    labels = shorten_all([leaf.label for leaf in leaves], _LABEL)
    left = max(map(width_of, labels)) if len(leaves) > 1 else 0
    figure = new_figure(_WIDTH + left, sum(heights) + 1.2)
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    title = f"η = {number(eta)}, λ = {number(lam)}, ε = {number(rates.eps)}"
    figure.suptitle(f"{title}\n{_summary(leaves, every, rates)}", fontsize="small")
    low, high = every.min(), every.max()
    if low == high:
        low, high = low / 2, high * 2
    _draw_curves(panels[0], low, high, rates)
    _draw_histogram(panels[1], every, low, high)
    if len(leaves) > 1:
        _draw_strips(panels[2], leaves, labels)
    panels[-1].set_xlabel(f"{_X}, in units of the gradient", fontsize="small")
    return figure


def _leaves(sqrt_nu: Any) -> list[_Leaf]:
    """Return the leaves, or raise if they cannot be drawn."""
    named = sqrt_nu if isinstance(sqrt_nu, Mapping) else {"": sqrt_nu}
    found = []
    for name, value in named.items():
        where = f"sqrt_nu[{name!r}]" if named is sqrt_nu else "sqrt_nu"
        values = _values(value, where)
        found.append(_Leaf(str(name), values[values > 0], len(values)))
    if not any(leaf.size for leaf in found):
        raise ValueError(
            f"{_OWNER}: sqrt_nu must have entries, got {sqrt_nu!r}. Pass √v̂ of the "
            "optimizer's state."
        )
    if not any(len(leaf.positive) for leaf in found):
        count = sum(leaf.size for leaf in found)
        raise ValueError(
            f"{_OWNER}: sqrt_nu must be > 0 somewhere, got 0 for all "
            f"{counted(count, 'coordinate', 'coordinates')}. Take it from a state that "
            "has seen gradients."
        )
    return found


def _values(value: Any, where: str) -> np.ndarray:
    """Return the entries in float64."""
    if not is_known(value):
        raise TypeError(
            f"{_OWNER}: {where} must be known, got the traced {value!r}. Call it "
            "outside of `jax.jit`."
        )
    try:
        array = np.asarray(value)
    except ValueError:  # Rows of different lengths.
        array = np.asarray(None)
    if not jnp.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise TypeError(
            f"{_OWNER}: {where} must be an array of real numbers, got {value!r} of "
            f"type {type(value).__name__}. For several leaves pass a mapping of names "
            "to arrays."
        )
    values = array.astype(np.float64).ravel()
    wrong = values[~(np.isfinite(values) & (values >= 0))]
    if len(wrong):
        raise ValueError(
            f"{_OWNER}: {where} must be finite and >= 0, got {wrong[0]} among "
            f"{len(wrong):,} such of {counted(len(values), 'entry', 'entries')}. Pass "
            "the root of Adam's second moment."
        )
    return values


def _summary(leaves: Sequence[_Leaf], every: np.ndarray, rates: _Rates) -> str:
    """Return the ratio of the two decays, and what is not drawn, in words."""
    low, middle, high = np.quantile(rates.ratio(every), (0.05, 0.5, 0.95))
    total, zeros = (sum(getattr(x, name) for x in leaves) for name in ("size", "zeros"))
    text = f"coupled over decoupled decay: median {number(middle)}, 5 to 95 %: "
    text += f"{number(low)} to {number(high)}"
    if zeros:
        text += (
            f"\nnot drawn, not in the median: {zeros:,} of "
            f"{counted(total, 'coordinate', 'coordinates')} with {_X} = 0, "
            "which never had a gradient"
        )
    return text


def _draw_curves(axes: Any, low: float, high: float, rates: _Rates) -> None:
    """Draw both decays, and where they are equal."""
    x = np.geomspace(low, high, 300)
    axes.set(xscale="log", yscale="log")
    axes.set_ylabel("decay per step", fontsize="small")
    (coupled,) = axes.plot(x, rates.coupled(x), color=VERMILLION)
    flat = np.full(2, rates.decoupled)
    (decoupled,) = axes.plot([low, high], flat, color=BLUE, linestyle="--")
    if low <= 1 - rates.eps <= high:
        # Above the curves to the right of where they cross, or below to the left.
        side = 1 if (1 - rates.eps) ** 2 < low * high else -1
        axes.plot(1 - rates.eps, rates.decoupled, color="black", marker="o")
        axes.annotate(
            rf"equal: {_X} + ε = 1",
            (1 - rates.eps, rates.decoupled),
            xytext=(6 * side, 6 * side),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="bottom" if side > 0 else "top",
            fontsize=SMALL,
        )
    draw_grid(axes)
    axes.margins(x=0.01, y=0.15)
    axes.autoscale_view()
    text = f"solid: coupled, ηλ / ({_X} + ε); dashed: decoupled, ηλ"
    axes.set_title(text, loc="left", fontsize="small")
    names = ("coupled (L2 in Adam)", "decoupled (AdamW)")
    name_lines(axes, (coupled, decoupled), names, _CURVES)


def _draw_histogram(axes: Any, every: np.ndarray, low: float, high: float) -> None:
    edges = np.geomspace(low, high, _BINS + 1)
    edges[0], edges[-1] = low, high
    counts, _ = np.histogram(every, edges)
    axes.stairs(100 * counts / len(every), edges, fill=True, color=GREY)
    axes.set_ylabel("coordinates, %", fontsize="small")
    axes.set_ylim(bottom=0)
    draw_grid(axes)


def _draw_strips(axes: Any, leaves: Sequence[_Leaf], labels: Sequence[str]) -> None:
    """Draw the range of each leaf as a strip, many of them in order of the medians."""
    order = list(range(len(leaves)))
    thick, dot = 3.0, 3.0
    if len(leaves) > _NAMED:
        medians = [np.median(x.positive) if len(x.positive) else 0.0 for x in leaves]
        order.sort(key=lambda at: medians[at])
        thick, dot = 72 * _STRIPS / len(leaves), 1.0
        axes.set_ylabel(f"{len(leaves):,} leaves, by median", fontsize="small")
    rows = [row for row, at in enumerate(order) if len(leaves[at].positive)]
    low, lower, middle, upper, high = np.transpose(
        [
            np.quantile(leaves[order[row]].positive, (0, 0.05, 0.5, 0.95, 1))
            for row in rows
        ]
    )
    axes.hlines(rows, low, high, color=GREY, linewidth=0.25 * thick)
    axes.hlines(rows, lower, upper, color=BLUE, linewidth=thick)
    axes.plot(middle, rows, "o", color="black", markersize=dot)
    axes.set_ylim(len(leaves) - 0.5, -0.5)
    text = "thin: least to largest, thick: 5 to 95 %, dot: median"
    axes.set_title(text, loc="left", fontsize="small")
    draw_grid(axes, "x")
    named = range(len(leaves)) if len(leaves) <= _NAMED else (0, len(leaves) - 1)
    names = [labels[order[row]] for row in named]
    axes.set_yticks(named, names, fontsize=SMALL, parse_math=False)
