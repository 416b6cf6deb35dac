"""What decay leaves of a weight over a run, and what makes up for a late start."""

from typing import Any

import numpy as np
import optax

from optaxwd._checks import check_number, check_steps
from optaxwd._typing import Coupling, ScalarOrSchedule
from optaxwd.schedules._rates import factors, rates_over_steps
from optaxwd.schedules._schedules import delayed_schedule


def cumulative_decay(
    *,
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule,
    steps: int,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: float | None = None,
) -> float:
    r"""The logarithm of what decay leaves of a weight that no gradient moves.

    .. math:: \sum_{t=0}^{T-1} \log(1 - R_t), \qquad R_t = \eta_t\lambda_t

    exactly, so that ``exp`` of it is :math:`\theta_T/\theta_0`. The schedules are
    evaluated in one vectorised call with the rounding that training has, the sum is
    taken in float64.

    Args:
      learning_rate: :math:`\eta_t`, a number or a schedule of the step count, which
        starts at 0.
      weight_decay: :math:`\lambda_t`, likewise.
      steps: :math:`T \ge 1`.
      coupling: how λ is tied to the learning rate; see :func:`with_weight_decay`.
      peak_learning_rate: :math:`\eta_\text{peak}`, read by ``"independent"`` and
        ``"corrected"``. ``None``: the largest :math:`\eta_t` of the run.

    Returns:
      The sum, at most 0.

    Raises:
      ValueError: if some :math:`R_t` is 1 or more, a schedule returns a negative
        number, NaN or no scalar, or ``steps`` is not positive.
      TypeError: if an argument is neither number nor schedule.

    Examples:
      >>> import math
      >>> import optax
      >>> import optaxwd
      >>> schedule = optax.warmup_cosine_decay_schedule(0.0, 3e-4, 2_000, 100_000)
      >>> total = optaxwd.cumulative_decay(
      ...     learning_rate=schedule, weight_decay=0.1, steps=100_000
      ... )
      >>> round(total, 3), round(math.exp(total), 3)
      (-1.5, 0.223)

    References:
      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019.
    """
    run = rates_over_steps(
        learning_rate,
        weight_decay,
        steps,
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        owner="cumulative_decay",
    )
    return float(np.log1p(-run.rate).sum())


def warmup_compensated_weight_decay(
    weight_decay: float,
    *,
    learning_rate: ScalarOrSchedule,
    steps: int,
    start: int,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: float | None = None,
) -> float:
    r"""The λ that makes up for a late start.

    The :math:`\lambda'` for which a weight that no gradient moves ends at the same
    value whether :math:`\lambda` decays it throughout or :math:`\lambda'` from step
    :math:`t_0` on:

    .. math::

        \sum_{t=t_0}^{T-1} \log(1 - f_t\lambda') = \sum_{t=0}^{T-1} \log(1 - f_t\lambda)

    with :math:`f_t = \eta_t` for ``coupling="learning_rate"``, solved to rounding in
    float64.

    That is arithmetic about weights without gradient, not a recipe. Where gradients
    push, they undo early decay, and late decay weighs more. The experiment on claim C8
    (``python -m examples.claims run C8 --full``: handwritten digits, 40 paired seeds,
    95 % intervals) finds with λ = 0.5, for a test loss of 0.095 with decay throughout:
    a start after the warmup, a tenth of the run, changes the loss by −0.0004 ± 0.0023
    as it is and by −0.0000 ± 0.0025 made up for; a start at half the run by
    0.0046 ± 0.0040 as it is and by 0.0525 ± 0.0029 made up for, with a final norm 21 %
    below that of decay throughout. With λ = 0.1 the same start, made up for, changes it
    by −0.0072 ± 0.0031. So a warmup needs no making up, and a long delay of a large λ
    should not have it.

    Args:
      weight_decay: :math:`\lambda`, a number.
      learning_rate: :math:`\eta_t`, a number or a schedule of the step count.
      steps: :math:`T \ge 1`.
      start: :math:`0 \le t_0 < T`, the first step that decays, counted from 0.
      coupling: how λ is tied to the learning rate; see :func:`with_weight_decay`.
      peak_learning_rate: as in :func:`cumulative_decay`.

    Returns:
      :math:`\lambda' \ge \lambda`, for :func:`delayed_schedule`.

    Raises:
      ValueError: if nothing is left to decay from ``start`` on; otherwise as
        :func:`cumulative_decay`.
      TypeError: if ``weight_decay`` is not a number.

    Examples:
      A linear warmup over the first tenth does little of the decay, so that leaving it
      out takes little more λ:

      >>> import optax
      >>> import optaxwd
      >>> schedule = optax.warmup_constant_schedule(0.0, 3e-4, 1_000)
      >>> weight_decay = optaxwd.warmup_compensated_weight_decay(
      ...     0.1, learning_rate=schedule, steps=10_000, start=1_000
      ... )
      >>> round(weight_decay, 5)
      0.10555

    References:
      No paper is known for it; the experiment on claim C8 in ``docs/claims.md``
      measures what a late start does.
    """
    owner = "warmup_compensated_weight_decay"
    lam = check_number(weight_decay, "weight_decay", owner)
    start = check_steps(start, "start", owner, minimum=0)
    run = rates_over_steps(
        learning_rate,
        lam,
        steps,
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        owner=owner,
    )
    factor = factors(run.learning_rate, run.peak_learning_rate, coupling, owner)
    target = float(np.log1p(-run.rate).sum())
    late = factor[start:]
    if target == 0 or not factor[:start].any():
        return lam
    if not late.any():
        raise ValueError(
            f"{owner}: nothing decays from start={start!r} on, of steps={steps!r}: no "
            "λ makes up for that. Start earlier."
        )
    return _solve(late, target, lam, owner)


def warmup_compensated_schedule(
    weight_decay: float,
    *,
    learning_rate: ScalarOrSchedule,
    steps: int,
    start: int,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: float | None = None,
) -> optax.Schedule:
    r"""No decay before step ``start``, then as much more as makes up for it.

    .. math:: t \mapsto 0 \text{ if } t < t_0, \text{ else } \lambda'

    :func:`delayed_schedule` with the λ of :func:`warmup_compensated_weight_decay`.

    Args:
      weight_decay: :math:`\lambda`, a number: what decay throughout would have.
      learning_rate, steps, start: as in :func:`warmup_compensated_weight_decay`.
      coupling, peak_learning_rate: likewise.

    Returns:
      A schedule: step count to scalar.

    Raises:
      ValueError: as :func:`warmup_compensated_weight_decay`.
      TypeError: likewise.

    Examples:
      >>> import optaxwd
      >>> schedule = optaxwd.warmup_compensated_schedule(
      ...     0.1, learning_rate=0.01, steps=100, start=50
      ... )
      >>> [round(float(schedule(count)), 4) for count in (0, 49, 50, 99)]
      [0.0, 0.0, 0.1999, 0.1999]

    References:
      No paper is known for it; the experiment on claim C8 in ``docs/claims.md``
      measures what a late start does.
    """
    value = warmup_compensated_weight_decay(
        weight_decay,
        learning_rate=learning_rate,
        steps=steps,
        start=start,
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
    )
    return delayed_schedule(value, start)


def _solve(factor: np.ndarray, target: float, lowest: float, owner: str) -> float:
    """Return the root λ' >= ``lowest`` of Σ log(1 − f_t·λ') = ``target``."""
    from scipy.optimize import brentq

    def excess(value: float) -> float:
        return float(np.log1p(-factor * value).sum()) - target

    highest = (1 - 2.0**-52) / float(factor.max())
    if excess(highest) > 0:
        raise ValueError(
            f"{owner}: decay from start on cannot remove as much as decay throughout "
            f"(a factor of {np.exp(target):.3g}) with less than the whole weight per "
            "step. Start earlier, or lower weight_decay."
        )
    tightest: Any = 4 * np.finfo(float).eps
    root: Any = brentq(excess, lowest, highest, xtol=1e-300, rtol=tightest)
    return float(root)
