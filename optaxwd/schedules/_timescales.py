"""How long a weight remembers: timescale, half-life, and λ from a timescale."""

import math
from typing import Any, Literal

from optaxwd._checks import check_choice, check_number
from optaxwd._typing import Coupling
from optaxwd.schedules._couplings import POWERS
from optaxwd.schedules._rates import check_coupling

Unit = Literal["steps", "epochs", "tokens"]
_UNITS = ("steps", "epochs", "tokens")


def timescale(
    *,
    learning_rate: float,
    weight_decay: float,
    coupling: Coupling = "learning_rate",
    unit: Unit = "steps",
    batch_size: float | None = None,
    dataset_size: float | None = None,
) -> float:
    r"""How far back the weights average their updates: :math:`\tau = 1/R`.

    AdamW's weights are an exponential moving average of :math:`-u/\lambda` that moves
    by :math:`R = \eta\lambda` per step. With M steps per epoch,

    .. math::

        \tau_\text{steps} = \frac{1}{\eta\lambda}, \qquad
        \tau_\text{epochs} = \frac{\tau_\text{steps}}{M}
            = \frac{\tau_\text{steps}\,b}{N}, \qquad
        \tau_\text{tokens} = \tau_\text{steps}\,b .

    Wang and Aitchison advise a timescale between about one epoch and the number of
    epochs of the run.

    Args:
      learning_rate: :math:`\eta`, a number: the peak of a schedule.
      weight_decay: :math:`\lambda`, a number.
      coupling: how λ is tied to the learning rate; R is :math:`\eta\lambda` at the
        peak for ``"learning_rate"`` and ``"corrected"``, :math:`\lambda` for
        ``"independent"`` and ``"constant"``.
      unit: ``"steps"``, ``"epochs"`` or ``"tokens"``.
      batch_size: :math:`b`, examples per step, or tokens per step for ``"tokens"``.
      dataset_size: :math:`N`, examples per epoch; read for ``"epochs"``.

    Returns:
      τ in ``unit``; infinite if nothing decays.

    Raises:
      ValueError: if a number is negative or not finite, R is 1 or more, the unit or
        coupling is unknown, or a size that the unit needs is missing.
      TypeError: if one is not a number.

    Examples:
      >>> import optaxwd
      >>> round(optaxwd.timescale(learning_rate=3e-4, weight_decay=0.1), 1)
      33333.3
      >>> tau = optaxwd.timescale(
      ...     learning_rate=1e-3, weight_decay=0.05, unit="epochs",
      ...     batch_size=1024, dataset_size=1_281_167,
      ... )
      >>> round(tau, 2)
      15.99

    References:
      Wang and Aitchison, `How to set AdamW's weight decay as you scale model and
      dataset size <https://arxiv.org/abs/2405.13698>`_, 2025.
    """
    rate = _rate(learning_rate, weight_decay, coupling, "timescale")
    per_step = _per_step(unit, batch_size, dataset_size, "timescale")
    return per_step * timescale_of(rate)


def half_life(
    *,
    learning_rate: float,
    weight_decay: float,
    coupling: Coupling = "learning_rate",
    unit: Unit = "steps",
    batch_size: float | None = None,
    dataset_size: float | None = None,
) -> float:
    r"""After how long decay alone has halved a weight.

    .. math:: t_{1/2} = \frac{\ln 2}{-\ln(1 - R)}

    exactly, for a constant rate R; :math:`0.693\,\tau` where R is small. What a whole
    schedule leaves of a weight is :func:`cumulative_decay`.

    Args:
      learning_rate, weight_decay, coupling: as in :func:`timescale`.
      unit, batch_size, dataset_size: likewise.

    Returns:
      The half-life in ``unit``; infinite if nothing decays.

    Raises:
      ValueError: as :func:`timescale`.
      TypeError: likewise.

    Examples:
      >>> import optaxwd
      >>> round(optaxwd.half_life(learning_rate=3e-4, weight_decay=0.1), 1)
      23104.6
      >>> optaxwd.half_life(learning_rate=1.0, weight_decay=0.5)
      1.0

    References:
      Wang and Aitchison, `How to set AdamW's weight decay as you scale model and
      dataset size <https://arxiv.org/abs/2405.13698>`_, 2025, for the timescale.
    """
    rate = _rate(learning_rate, weight_decay, coupling, "half_life")
    per_step = _per_step(unit, batch_size, dataset_size, "half_life")
    return per_step * half_life_of(rate)


def weight_decay_from_timescale(
    timescale: float,
    *,
    learning_rate: float,
    coupling: Coupling = "learning_rate",
    unit: Unit = "steps",
    batch_size: float | None = None,
    dataset_size: float | None = None,
) -> float:
    r"""The λ that has a given timescale: the inverse of :func:`timescale`.

    .. math::

        \lambda = \frac{1}{\eta\,\tau_\text{steps}}
            = \frac{b}{\eta\,\tau_\text{epochs} N}
            = \frac{b}{\eta\,\tau_\text{tokens}}

    Args:
      timescale: :math:`\tau` in ``unit``, more than one step.
      learning_rate: :math:`\eta > 0`, a number: the peak of a schedule.
      coupling: the one that λ is for; see :func:`timescale`.
      unit: what ``timescale`` is counted in: ``"steps"``, ``"epochs"``, ``"tokens"``.
      batch_size: :math:`b`, examples per step, or tokens per step for ``"tokens"``.
      dataset_size: :math:`N`, examples per epoch; read for ``"epochs"``.

    Returns:
      :math:`\lambda`.

    Raises:
      ValueError: if a number is not positive, the timescale is one step or less, the
        unit or coupling is unknown, or a size that the unit needs is missing.
      TypeError: if one is not a number.

    Examples:
      A memory of the last 10 billion tokens, with half a million tokens per step:

      >>> import optaxwd
      >>> weight_decay = optaxwd.weight_decay_from_timescale(
      ...     10e9, learning_rate=3e-4, unit="tokens", batch_size=2**19
      ... )
      >>> round(weight_decay, 4)
      0.1748

    References:
      Wang and Aitchison, `How to set AdamW's weight decay as you scale model and
      dataset size <https://arxiv.org/abs/2405.13698>`_, 2025.
    """
    owner = "weight_decay_from_timescale"
    tau = check_number(timescale, "timescale", owner, positive=True)
    eta = check_number(learning_rate, "learning_rate", owner, positive=True)
    check_coupling(coupling, owner)
    steps = tau / _per_step(unit, batch_size, dataset_size, owner)
    if steps <= 1:
        raise ValueError(
            f"{owner}: timescale must be longer than one step, got {timescale!r} "
            f"{unit}, which is {steps:.4g} steps. Check the unit and the sizes."
        )
    return 1 / (steps * eta ** sum(POWERS[coupling]))


def timescale_of(rate: float) -> float:
    """Return the timescale of a constant rate, in steps."""
    return 1 / rate if rate else math.inf


def half_life_of(rate: float) -> float:
    """Return the half-life at a constant rate, in steps."""
    return math.log(2) / -math.log1p(-rate) if rate else math.inf


def _rate(learning_rate: Any, weight_decay: Any, coupling: Any, owner: str) -> float:
    """Return R at the peak learning rate."""
    for name, value in (
        ("learning_rate", learning_rate),
        ("weight_decay", weight_decay),
    ):
        if callable(value):
            raise TypeError(
                f"{owner}: {name} must be a number, got the schedule {value!r}. Pass "
                "its peak, or use `cumulative_decay` or `describe` for the whole run."
            )
    eta = check_number(learning_rate, "learning_rate", owner)
    lam = check_number(weight_decay, "weight_decay", owner)
    check_coupling(coupling, owner)
    rate = lam * eta ** sum(POWERS[coupling])
    if rate >= 1:
        raise ValueError(
            f"{owner}: decay would remove {100 * rate:.4g} % of every weight per step,"
            f" got learning_rate={learning_rate!r}, weight_decay={weight_decay!r}. "
            "Their product must be below 1."
        )
    return rate


def _per_step(unit: Any, batch_size: Any, dataset_size: Any, owner: str) -> float:
    """Return how many ``unit`` one step is."""
    check_choice(unit, _UNITS, "unit", owner)
    needed = {"steps": (), "epochs": ("batch_size", "dataset_size")}
    sizes = {"batch_size": batch_size, "dataset_size": dataset_size}
    checked = [1.0, 1.0]
    for at, name in enumerate(needed.get(unit, ("batch_size",))):
        if sizes[name] is None:
            raise ValueError(
                f"{owner}: unit={unit!r} needs {name}=, got None. One step is "
                "batch_size examples (or tokens) of dataset_size."
            )
        checked[at] = check_number(sizes[name], name, owner, positive=True)
    return checked[0] / checked[1]
