"""What λ is tied to: the rate over a schedule, and as the peak changes."""

import numpy as np
import optax

import optaxwd
from docs.figures._common import line, panels

STEPS = 1_000
PEAKS = 1e-3 * 2.0 ** np.arange(-3, 4)
# λ of each coupling that decays as AdamW's 0.1 does at a peak of 1e-3.
WEIGHT_DECAYS = {
    "learning_rate": 0.1,
    "independent": 1e-4,
    "constant": 1e-4,
    "corrected": 0.1,
}


def _rates(coupling: str, peak: float) -> np.ndarray:
    """Return the decay per step over the run."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, peak, 100, STEPS)
    weight_decay = WEIGHT_DECAYS[coupling]
    return optaxwd.describe(schedule, weight_decay, STEPS, coupling=coupling).rates.rate


def draw():
    """Draw the picture."""
    figure, (left, right) = panels()
    steps = np.arange(STEPS)
    for index, coupling in enumerate(WEIGHT_DECAYS):
        line(left, steps, 1e4 * _rates(coupling, 1e-3), index, coupling)
        highest = [1e4 * _rates(coupling, peak).max() for peak in PEAKS]
        line(right, 1e3 * PEAKS, highest, index, coupling)
    left.set_title("One run, warmup and cosine")
    left.set_xlabel("step")
    left.set_ylabel("decay per step, in 10⁻⁴ of the weight")
    left.set_ylim(0, 1.6)
    left.legend(loc="upper right", ncols=2, columnspacing=1)
    right.set_title("The same λ, another peak")
    right.set_xlabel("peak learning rate, in 10⁻³")
    right.set_xscale("log", base=2)
    right.set_yscale("log", base=2)
    eighths = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8], ["⅛", "¼", "½", "1", "2", "4", "8"]
    right.set_xticks(*eighths)
    right.set_yticks(*eighths)
    right.text(1.1, 3.4, "learning_rate,\ncorrected", ha="right")
    right.text(8, 0.8, "independent, constant", ha="right", va="top")
    return figure
