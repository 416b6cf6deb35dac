"""What the pictures share: panels, lines that differ in grey too, and short runs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax

from optaxwd.plots._style import draw_grid, look, new_figure

# Lines are told apart by colour, and in grey by marker and dashes.
_DASHES = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1.2)), (0, (8, 2)))
_SIZE = 9.5


def panels(count: int = 2, height: float = 3.2, width: float = 7.0, **kwargs: Any):
    """Return a figure of this size in inches and its axes, side by side."""
    matplotlib.rcParams.update(
        {
            "font.size": _SIZE,
            "axes.titlesize": _SIZE,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.labelsize": _SIZE,
            "legend.fontsize": _SIZE - 0.5,
            "legend.frameon": False,
            "legend.handlelength": 2.4,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
        }
    )
    figure = new_figure(width, height)
    axes = figure.subplots(1, count, **kwargs)
    for one in np.atleast_1d(axes):
        draw_grid(one)
    return figure, axes


def line(axes: Any, x: Any, y: Any, index: int, label: str | None = None, marks=7):
    """Draw a line with the look of this index and a few markers."""
    style = look(index)
    every = max(len(x) // marks, 1)
    return axes.plot(
        x,
        y,
        color=style.color,
        linestyle=_DASHES[index % len(_DASHES)],
        marker=style.marker,
        markevery=(every // 2, every),
        label=label,
    )[0]


def say(axes: Any, text: str, at: tuple[float, float], **kwargs: Any) -> None:
    """Write a text into the axes, at a place in fractions of them."""
    axes.text(*at, text, transform=axes.transAxes, fontsize=_SIZE - 0.5, **kwargs)


def run(
    optimizer: optax.GradientTransformation,
    params: Any,
    gradient: Callable[[Any, jax.Array], Any],
    steps: int,
    measure: Callable[[Any], Any] = lambda params: params,
    seed: int = 0,
) -> np.ndarray:
    """Return ``measure(params)`` before the first step and after each."""

    def step(carry, key):
        params, state = carry
        updates, state = optimizer.update(gradient(params, key), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), measure(params)

    @jax.jit
    def whole(params):
        keys = jax.random.split(jax.random.key(seed), steps)
        _, seen = jax.lax.scan(step, (params, optimizer.init(params)), keys)
        return jnp.concatenate([jnp.asarray(measure(params))[None], seen])

    return np.asarray(whole(params))


def no_gradient(params: Any, key: jax.Array) -> Any:
    """Return gradients of zero."""
    del key
    return jax.tree.map(jnp.zeros_like, params)
