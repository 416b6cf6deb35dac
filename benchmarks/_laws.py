"""What the candidates compute, as settings that all of them and the reference read."""

from collections.abc import Mapping
from typing import NamedTuple

LEARNING_RATE = 1e-3
PEAK_LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.1
B1, B2, EPS = 0.9, 0.999, 1e-8
MAX_NORM = 1.0
# Per kind of leaf: kernels decay in full, embeddings by half, biases not at all.
MULTIPLIERS = {"kernel": 1.0, "embedding": 0.5, "bias": 0.0}


class Law(NamedTuple):
    """AdamW with a constant learning rate η and what may be added to it.

    Attributes:
      rate: R, the fraction of θ that a step takes: η·λ unless the coupling changes it.
      max_norm: the norm that gradients are clipped to; ``None``: not clipped.
      multipliers: of R, by kind of leaf; kinds that are not named have 1.
      cautious: decay only where the step and θ do not disagree in sign.
      anchored: decay towards the first parameters, in place of 0.
    """

    rate: float = LEARNING_RATE * WEIGHT_DECAY
    max_norm: float | None = None
    multipliers: Mapping[str, float] = {}
    cautious: bool = False
    anchored: bool = False


class Tolerance(NamedTuple):
    """How far from the reference the parameters may be after a few steps.

    In units of the largest change that the reference's steps make.

    Attributes:
      largest: bound on the largest error of any parameter.
      rms: bound on the root of the mean square of the errors.
      why: what the bound comes from.
    """

    largest: float
    rms: float
    why: str


FLOAT32 = Tolerance(
    1e-3, 1e-3, "float32: 1 − b2^t loses 4 digits to cancellation in the first steps"
)
INT8 = Tolerance(
    0.2,
    0.03,
    "moments of 8 bits: entries that are small within their block of 256 lose most "
    "digits, so single steps may be far off; the mean square is bounded more tightly",
)
BFLOAT16_STATE = Tolerance(
    0.02, 0.005, "moments of 8 significant bits, rounded at random at every step"
)
BFLOAT16_PARAMETERS = Tolerance(
    1.5,
    0.5,
    "parameters rounded to 8 significant bits at every step: a step of 1e-3 is lost "
    "on weights above 0.5",
)
