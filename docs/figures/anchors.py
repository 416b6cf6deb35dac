"""Decay to zero and decay to the weights that were loaded."""

import jax.numpy as jnp
import numpy as np

import optaxwd
from docs.figures._common import line, no_gradient, panels, run

LOADED = (1.2, 0.9)


def draw():
    """Draw the picture."""
    figure, (left, right) = panels(width_ratios=(1, 1.1))
    normal = jnp.array([1.0, 2.0])

    def valley(theta, key):
        del key
        return (theta @ normal - 1.2) * normal

    x = np.array([-0.2, 1.6])
    left.plot(x, (1.2 - x) / 2, color="0.4", linewidth=1)
    left.annotate(
        "fits the new data", (0.05, 0.575), (8, 5), textcoords="offset points"
    )
    kinds = ((1, "decay to zero", {}), (0, 'anchor="init"', {"anchor": "init"}))
    for index, name, options in kinds:
        tx = optaxwd.sgdw(0.02, weight_decay=0.05, **options)
        way = run(tx, jnp.array(LOADED), valley, 8_000)
        line(left, *way[::20].T, index, label=name)
        left.plot(*way[-1], "*", color="black", markersize=11, zorder=3)
    left.annotate("loaded", LOADED, xytext=(4, 4), textcoords="offset points")
    left.set_xlim(0, 1.55)
    left.set_ylim(0, 1.2)
    left.set_title("Data that leaves a direction open")
    left.set_xlabel("θ₁")
    left.set_ylabel("θ₂")
    steps = np.arange(2_001)
    loaded = jnp.array([1.5, 0.5, -1.0])
    for index, name, options in kinds:
        tx = optaxwd.adamw(1e-2, weight_decay=0.1, **options)
        way = run(tx, loaded, no_gradient, 2_000)
        for column in range(3):
            line(right, steps, way[:, column], index, None if column else name)
    right.set_title("Loaded weights without gradient")
    right.set_xlabel("step")
    right.set_ylabel("θ")
    right.legend(loc="upper right")
    right.set_ylim(-1.2, 2.7)
    return figure
