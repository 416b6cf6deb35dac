"""λ over time, and what becomes of it when the learning rate multiplies it."""

import numpy as np
import optax

import optaxwd
from docs.figures._common import line, panels

STEPS, PEAK, WEIGHT_DECAY = 4_000, 1e-2, 0.1


def draw():
    """Draw the picture."""
    figure, (left, right) = panels()
    learning_rate = optax.warmup_cosine_decay_schedule(0.0, PEAK, 400, STEPS)
    schedules = {
        "a number": WEIGHT_DECAY,
        "cosine, 0.04 to 0.4": optaxwd.cosine_weight_decay_schedule(0.04, 0.4, STEPS),
        "compensated start": optaxwd.warmup_compensated_schedule(
            WEIGHT_DECAY, learning_rate=learning_rate, steps=STEPS, start=STEPS // 4
        ),
        "tied": optaxwd.tied_weight_decay_schedule(
            WEIGHT_DECAY, learning_rate, peak_learning_rate=PEAK
        ),
    }
    steps = np.arange(STEPS)
    for index, (name, weight_decay) in enumerate(schedules.items()):
        plan = optaxwd.describe(learning_rate, weight_decay, STEPS)
        line(left, steps, plan.rates.weight_decay, index)
        label = f"{name}: {100 * plan.remaining:.0f} % left"
        line(right, steps, 1e3 * plan.rates.rate, index, label)
    left.set_title("λ")
    left.set_xlabel("step")
    right.set_title("Decay per step, η·λ, in 10⁻³")
    right.set_xlabel("step")
    right.set_ylim(0, 3.4)
    right.legend(loc="upper right", labelspacing=0.25)
    return figure
