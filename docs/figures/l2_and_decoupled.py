"""L2 inside Adam decays by the size of gradients; decoupled decay by λ."""

import jax
import jax.numpy as jnp
import numpy as np

import optaxwd
from docs.figures._common import line, panels, run
from docs.figures._effective_decay import draw_effective_decay

STEPS = 20_000


def _mean_weight(factory, size: float) -> np.ndarray:
    optimizer = factory(1e-3, weight_decay=0.01)

    def gradient(params, key):
        return size * jax.random.normal(key, params.shape)

    return run(optimizer, jnp.ones(500), gradient, STEPS, jnp.mean)[::100]


def draw():
    """Draw the picture."""
    figure, (left, right) = panels()
    draw_effective_decay(left)
    left.legend(loc="upper right")
    left.text(1e-4, 1.25e-5, "η·λ")
    steps = np.arange(0, STEPS + 1, 100)
    for index, size in ((1, 1.0), (2, 0.1), (3, 0.01)):
        found = _mean_weight(optaxwd.adam_l2, size)
        line(right, steps, found, index, f"Adam + L2, gradients of {size:g}")
    for size in (1.0, 0.1, 0.01):
        found = _mean_weight(optaxwd.adamw, size)
        line(right, steps, found, 0, "AdamW, all three" if size == 1 else None)
    right.set_xlabel("step")
    right.set_title("A weight of 1 under random gradients")
    right.set_ylim(-0.05, 1.42)
    right.set_yticks([0, 0.5, 1])
    right.legend(loc="upper right", labelspacing=0.2)
    return figure
