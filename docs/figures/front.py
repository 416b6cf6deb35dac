"""The library in one picture: what decay is asked for, and whether it arrives."""

from docs.figures._bfloat16 import draw_bfloat16
from docs.figures._common import panels
from docs.figures._effective_decay import draw_effective_decay


def draw():
    """Draw the picture."""
    figure, (left, right) = panels(width=7.5, height=3.0)
    draw_effective_decay(left)
    left.text(1e-4, 1.25e-5, "η·λ")
    left.legend(loc="upper right")
    draw_bfloat16(right)
    right.set_title("The same λ, and none arrives")
    right.set_ylabel("a weight without gradient")
    right.legend(loc="lower left")
    return figure
