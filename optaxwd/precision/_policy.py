"""What is kept in which precision, in one value."""

import dataclasses
from typing import Any, Literal, TypeAlias, cast, get_args

from optaxwd._checks import check_bool, check_choice
from optaxwd.precision._keys import KeySource

RoundingName = Literal["nearest", "stochastic", "compensated", "split", "master"]
StateName = Literal["float32", "bfloat16", "int8", "int8_stochastic"]


@dataclasses.dataclass(frozen=True)
class Policy:
    r"""What is kept in which precision; everything is computed in float32.

    With :math:`Q_\theta` the rounding of parameters, :math:`Q_m` the storage of moments
    and :math:`s` the step in float32,

    .. math:: \theta \leftarrow Q_\theta(\theta + s), \qquad m \leftarrow Q_m(m)

    ================= =============================== =========== ==============
    ``rounding``      bfloat16 and float16 parameters beside them a small step
    ================= =============================== =========== ==============
    ``"nearest"``     rounded as Optax does           nothing     is lost
    ``"stochastic"``  rounded up or down at random    nothing     is unbiased
    ``"compensated"`` Kahan's sum                     2 bytes     lasts to 2⁻¹⁷
    ``"split"``       the upper half of a float32     2 bytes     is exact
    ``"master"``      a copy of a float32             4 bytes     is exact
    ================= =============================== =========== ==============

    Attributes:
      rounding: how parameters of 16 bits are rounded; see :func:`round_updates`.
        Parameters of 32 bits and more have nothing to round.
      state: how the moments are stored: ``"float32"``, or as in :func:`compress_state`.
      key: for what is random, an integer or a PRNG key; ``None``: 0.
      kernel: whether moments in 8 bits are updated in kernels, as in
        :func:`compress_state`; ``None``: on an NVIDIA GPU, if it is the only one.

    Raises:
      ValueError: if one of the names is unknown, or the key is none.
      TypeError: if ``kernel`` is neither a bool nor ``None``.

    Examples:
      >>> import optaxwd
      >>> policy = optaxwd.Policy(rounding="stochastic", state="int8", key=0)
      >>> tx = optaxwd.adamw(1e-3, weight_decay=0.1, precision=policy)

    References:
      Zamirai et al., `Revisiting BFloat16 Training
      <https://arxiv.org/abs/2010.06192>`_, 2020, for the roundings.

      Dettmers et al., `8-bit Optimizers via Block-wise Quantization
      <https://arxiv.org/abs/2110.02861>`_, 2021, for
      the moments.
    """

    rounding: RoundingName = "split"
    state: StateName = "float32"
    key: Any = None
    kernel: bool | None = None

    def __post_init__(self) -> None:
        """Check the names, the key and the choice of kernels."""
        check_choice(self.rounding, get_args(RoundingName), "rounding", "Policy")
        check_choice(self.state, get_args(StateName), "state", "Policy")
        KeySource.build(self.key, "Policy")
        if self.kernel is not None:
            check_bool(self.kernel, "kernel", "Policy")


Precision: TypeAlias = Policy | RoundingName


def as_policy(precision: Any, owner: str) -> Policy:
    """Return ``precision``, a policy or the name of a rounding, as a policy."""
    if isinstance(precision, str):
        check_choice(precision, get_args(RoundingName), "precision", owner)
        return Policy(rounding=cast(RoundingName, precision))
    if not isinstance(precision, Policy):
        raise TypeError(
            f"{owner}: precision must be a Policy or the name of a rounding, got "
            f"{precision!r}. Pass optaxwd.Policy(rounding='split')."
        )
    return precision
