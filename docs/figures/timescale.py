"""What decay leaves of a weight, and how much every past update still counts."""

import jax.numpy as jnp
import numpy as np
import optax

import optaxwd
from docs.figures._common import line, no_gradient, panels, run

PEAK, WEIGHT_DECAY, STEPS = 1e-2, 0.1, 4_000


def _left_of_updates(learning_rate) -> np.ndarray:
    """Return η_t times what later decay leaves of an update, over the largest η."""
    rates = optaxwd.describe(learning_rate, WEIGHT_DECAY, STEPS).rates
    left = np.log1p(-rates.rate)
    later = np.cumsum(left[::-1])[::-1] - left
    return rates.learning_rate / PEAK * np.exp(later)


def draw():
    """Draw the picture."""
    figure, (left, right) = panels()
    tx = optaxwd.adamw(PEAK, weight_decay=WEIGHT_DECAY)
    steps = np.arange(STEPS + 1)
    line(left, steps, run(tx, jnp.array(1.0), no_gradient, STEPS), 0)
    at = {"learning_rate": PEAK, "weight_decay": WEIGHT_DECAY}
    for text, step in (
        ("half-life, ln 2/R: ½ is left", optaxwd.half_life(**at)),
        ("timescale, 1/R: 37 %", optaxwd.timescale(**at)),
        ("three: 5 %", 3 * optaxwd.timescale(**at)),
    ):
        height = np.exp(-step * PEAK * WEIGHT_DECAY)
        left.plot([step, step], [0, height], color="0.4", linewidth=1)
        left.annotate(text, (step, height), (8, 7), textcoords="offset points")
    left.set_title("A weight without gradient, η·λ = 10⁻³")
    left.set_xlabel("step")
    left.set_ylim(0, 1.05)
    cosine = optax.warmup_cosine_decay_schedule(0.0, PEAK, 200, STEPS)
    line(right, steps[:-1], _left_of_updates(PEAK), 0, "constant learning rate")
    line(right, steps[:-1], _left_of_updates(cosine), 1, "warmup and cosine")
    right.set_title("What the end remembers")
    right.set_xlabel("step at which an update was made")
    right.set_ylabel("weight of that update")
    right.set_ylim(0, 1.05)
    right.legend(loc="upper left")
    return figure
