"""Cautious decay leaves the minimum of the loss where it is."""

import jax
import jax.numpy as jnp
import numpy as np

import optaxwd
from docs.figures._common import line, panels, run

ETA, WEIGHT_DECAY = 0.02, 0.5


def _path(gradient, start, steps, **options):
    tx = optaxwd.sgdw(ETA, weight_decay=WEIGHT_DECAY, **options)
    return run(tx, jnp.array(start), gradient, steps)


def draw():
    """Draw the picture."""
    figure, (left, right) = panels(width_ratios=(1.15, 1))
    kinds = ((1, "decay", {}), (0, "cautious decay", {"cautious": True}))
    steps = np.arange(251)
    for index, name, options in kinds:
        for start in (0.0, 2.0):
            way = _path(lambda theta, key: theta - 1, start, 250, **options)
            line(left, steps, way, index, name if start else None)
    left.set_title("Loss ½(θ − 1)²")
    left.set_xlabel("step")
    left.set_ylabel("θ")
    left.legend(loc="upper right")
    left.annotate("the minimum", (250, 1), xytext=(0, 6), textcoords="offset points",
                  ha="right")  # fmt: skip
    left.annotate("1/(1 + λ)", (250, 2 / 3), xytext=(0, -14),
                  textcoords="offset points", ha="right")  # fmt: skip
    normal = jnp.array([1.0, 2.0])

    def noisy_valley(theta, key):
        noise = jax.random.normal(key, (len(theta), 1))
        return (theta @ normal - 2)[:, None] * normal + 0.3 * noise * normal

    x = np.array([0.0, 2.0])
    right.plot(x, (2 - x) / 2, color="0.4", linewidth=1)
    for index, _, options in kinds:
        tx = optaxwd.sgdw(ETA, weight_decay=1.0, **options)
        start = jnp.tile(jnp.array([1.8, 0.7]), (500, 1))
        way = run(tx, start, noisy_valley, 1_500, lambda theta: theta.mean(0))
        line(right, *way[::10].T, index)
        right.plot(*way[-1], "*", color="black", markersize=11, zorder=3)
    right.set_xlim(0, 2)
    right.set_ylim(0, 1.25)
    right.annotate("minima", (0.05, 0.975), (8, 6), textcoords="offset points")
    right.set_title("All minima on a line, with noise")
    right.set_xlabel("θ₁")
    right.set_ylabel("θ₂")
    return figure
