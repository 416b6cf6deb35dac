"""What each coupling makes of λ: powers of the learning rate and of its peak."""

from typing import NamedTuple


class Powers(NamedTuple):
    """The rate is R_t = λ_t · η_t^learning_rate · η_peak^peak.

    Attributes:
      learning_rate: power of η_t.
      peak: power of η_peak.
    """

    learning_rate: int
    peak: int


# Coupled L2 is not here: its rate depends on the preconditioner.
POWERS = {
    "learning_rate": Powers(1, 0),
    "independent": Powers(1, -1),
    "constant": Powers(0, 0),
    "corrected": Powers(2, -1),
}
