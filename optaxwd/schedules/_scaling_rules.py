"""What each source says of how λ scales, as exponents."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ScalingRule:
    """One source's rule for λ under AdamW (R = η·λ).

    λ changes by batch^a · data^b · width^c · learning_rate^d, each the new value over
    the old one. ``None`` is a change that the source says nothing of.

    Attributes:
      name: what :func:`scale_weight_decay` calls it.
      batch, data, width, learning_rate: the exponents a, b, c, d.
      mup: whether it presumes muP: the learning rate of matrices falls as 1/width.
      source: authors, year and link.
      statement: in words.
    """

    name: str
    batch: float | None
    data: float | None
    width: float | None
    learning_rate: float
    mup: bool
    source: str
    statement: str


# Exponent of the optimal timescale, as a share of the run, in tokens per parameter.
_POWER_LINES = 0.527

SCALING_RULES = {
    rule.name: rule
    for rule in (
        ScalingRule(
            "timescale",
            batch=1.0,
            data=-1.0,
            width=0.0,
            learning_rate=-1.0,
            mup=False,
            source="Wang and Aitchison, 2025, https://arxiv.org/abs/2405.13698",
            statement="the timescale in epochs stays: λ ∝ batch / (η·data); under muP, "
            "where η ∝ 1/width, λ ∝ width",
        ),
        ScalingRule(
            "power_lines",
            batch=1.0,
            data=_POWER_LINES - 1,
            width=-2 * _POWER_LINES,
            learning_rate=-1.0,
            mup=False,
            source="Bergsma et al., 2025, https://arxiv.org/abs/2505.13738",
            statement="the timescale as a share of the run falls with tokens per "
            "parameter to the power 0.527; parameters ∝ width²",
        ),
        ScalingRule(
            "sqrt_width",
            batch=None,
            data=None,
            width=0.5,
            learning_rate=0.0,
            mup=True,
            source="Fan et al., 2025, https://arxiv.org/abs/2510.15262",
            statement="under muP λ of matrices ∝ √width keeps the gain of each "
            "sublayer; vectors do not decay",
        ),
        ScalingRule(
            "independent",
            batch=None,
            data=None,
            width=0.0,
            learning_rate=-1.0,
            mup=False,
            source="Kosson et al., 2025, https://arxiv.org/abs/2510.19093",
            statement="η·λ stays, so under muP λ ∝ width: the learning rate transfers "
            "only with independent decay",
        ),
        ScalingRule(
            "normalized",
            batch=0.5,
            data=-0.5,
            width=None,
            learning_rate=-1.0,
            mup=False,
            source="Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101",
            statement="η·λ ∝ √(batch / data): λ falls with the root of the number of "
            "steps, at the same number of epochs",
        ),
    )
}
