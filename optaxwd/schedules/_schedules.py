"""Schedules of λ: functions of the step count, like Optax's, counted from 0."""

from typing import Any

import jax.numpy as jnp
import optax

from optaxwd._checks import (
    check_positive,
    check_scalar,
    check_scalar_or_schedule,
    check_steps,
)
from optaxwd._typing import Scalar, ScalarOrSchedule


def delayed_schedule(weight_decay: ScalarOrSchedule, start: int) -> optax.Schedule:
    r"""No decay before step ``start``, from then on :math:`\lambda_t`.

    .. math:: t \mapsto 0 \text{ if } t < t_0, \text{ else } \lambda_t

    A schedule is masked, not moved: it sees the same count as the learning rate, so its
    first value is that at ``start``. To move one use :func:`optax.join_schedules`.

    Args:
      weight_decay: :math:`\lambda_t \ge 0`, a number, a scalar array or a schedule.
      start: :math:`t_0 \ge 0`, the first step that decays, counted from 0.

    Returns:
      A schedule: step count to scalar.

    Raises:
      ValueError: if ``weight_decay`` or ``start`` is negative or not finite.
      TypeError: if one of them is not a number.

    Examples:
      >>> import optaxwd
      >>> schedule = optaxwd.delayed_schedule(0.1, start=2)
      >>> [round(float(schedule(count)), 6) for count in range(4)]
      [0.0, 0.0, 0.1, 0.1]

    References:
      No paper is known for it; the experiment on claim C8 in ``docs/claims.md``
      measures what a late start does.
    """
    check_scalar_or_schedule(weight_decay, "weight_decay", "delayed_schedule")
    first = check_steps(start, "start", "delayed_schedule", minimum=0)

    def schedule(count: Any) -> Any:
        value: Any = weight_decay(count) if callable(weight_decay) else weight_decay
        return jnp.where(count < first, 0.0, value)

    return schedule


def cosine_weight_decay_schedule(
    init_value: Scalar, end_value: Scalar, steps: int, start: int = 0
) -> optax.Schedule:
    r"""Half a cosine from one :math:`\lambda` to another, rising or falling.

    .. math::

        t \mapsto \lambda_\text{end} + \tfrac12 (\lambda_\text{init} -
            \lambda_\text{end}) \left(1 + \cos\frac{\pi (t - t_0)}{T}\right)

    and constant before :math:`t_0` and after :math:`t_0 + T`. DINO goes from 0.04 to
    0.4 over the whole run, while the learning rate, which it multiplies, falls.

    Args:
      init_value: :math:`\lambda_\text{init} \ge 0`.
      end_value: :math:`\lambda_\text{end} \ge 0`.
      steps: :math:`T \ge 1`, steps from the one to the other.
      start: :math:`t_0 \ge 0`, the step at which it sets out, counted from 0.

    Returns:
      A schedule: step count to scalar.

    Raises:
      ValueError: if an argument is negative or not finite, or ``steps`` is 0.
      TypeError: if one of them is not a number.

    Examples:
      >>> import optaxwd
      >>> schedule = optaxwd.cosine_weight_decay_schedule(0.04, 0.4, steps=100)
      >>> [round(float(schedule(count)), 6) for count in (0, 50, 100, 200)]
      [0.04, 0.22, 0.4, 0.4]

    References:
      Caron et al., `Emerging Properties in Self-Supervised Vision Transformers
      <https://arxiv.org/abs/2104.14294>`_, 2021.
    """
    steps, start = _check_shape(
        init_value, end_value, steps, start, "cosine_weight_decay_schedule"
    )

    return _between(
        init_value,
        end_value,
        lambda count: 0.5 * (1 - jnp.cos(jnp.pi * _done(count, steps, start))),
    )


def linear_weight_decay_schedule(
    init_value: Scalar, end_value: Scalar, steps: int, start: int = 0
) -> optax.Schedule:
    r"""A straight line from one :math:`\lambda` to another.

    .. math::

        t \mapsto \lambda_\text{init} + (\lambda_\text{end} - \lambda_\text{init})
            \frac{t - t_0}{T}

    and constant before :math:`t_0` and after :math:`t_0 + T`. Other than
    :func:`optax.linear_schedule`, which ends some 1e-9 beside its last value under jit,
    it is never negative and ends at :math:`\lambda_\text{end}` itself.

    Args:
      init_value: :math:`\lambda_\text{init} \ge 0`.
      end_value: :math:`\lambda_\text{end} \ge 0`.
      steps: :math:`T \ge 1`, steps from the one to the other.
      start: :math:`t_0 \ge 0`, the step at which it sets out, counted from 0.

    Returns:
      A schedule: step count to scalar.

    Raises:
      ValueError: if an argument is negative or not finite, or ``steps`` is 0.
      TypeError: if one of them is not a number.

    Examples:
      >>> import optaxwd
      >>> schedule = optaxwd.linear_weight_decay_schedule(0.0, 0.1, steps=4, start=1)
      >>> [round(float(schedule(count)), 6) for count in range(7)]
      [0.0, 0.0, 0.025, 0.05, 0.075, 0.1, 0.1]

    References:
      No paper is known for it; :func:`cosine_weight_decay_schedule` is the one that
      Caron et al., `Emerging Properties in Self-Supervised Vision Transformers
      <https://arxiv.org/abs/2104.14294>`_, 2021, raise λ by.
    """
    steps, start = _check_shape(
        init_value, end_value, steps, start, "linear_weight_decay_schedule"
    )
    return _between(init_value, end_value, lambda count: _done(count, steps, start))


def tied_weight_decay_schedule(
    weight_decay: Scalar,
    learning_rate: optax.Schedule,
    *,
    peak_learning_rate: Scalar,
    power: Scalar = 1.0,
) -> optax.Schedule:
    r"""A :math:`\lambda` that follows the shape of the learning rate.

    .. math:: t \mapsto \lambda \left(\frac{\eta_t}{\eta_\text{peak}}\right)^p

    With ``power=1`` it makes ``coupling="corrected"`` of ``"learning_rate"``, and
    ``"independent"`` of ``"constant"``: for optimizers that have no ``coupling=``.

    Args:
      weight_decay: :math:`\lambda \ge 0`, its value at the peak.
      learning_rate: :math:`\eta_t`, the schedule that the optimizer has.
      peak_learning_rate: :math:`\eta_\text{peak} > 0`.
      power: :math:`p \ge 0`.

    Returns:
      A schedule: step count to scalar.

    Raises:
      ValueError: if a number is negative or not finite, or the peak is 0.
      TypeError: if ``learning_rate`` is not a schedule.

    Examples:
      >>> import optax
      >>> import optaxwd
      >>> learning_rate = optax.linear_schedule(0.2, 0.0, 10)
      >>> schedule = optaxwd.tied_weight_decay_schedule(
      ...     0.1, learning_rate, peak_learning_rate=0.2
      ... )
      >>> [round(float(schedule(count)), 6) for count in (0, 5, 10)]
      [0.1, 0.05, 0.0]

    References:
      Defazio, `Why Gradients Rapidly Increase Near the End of Training
      <https://arxiv.org/abs/2506.02285>`_, 2025, for ``power=1`` under AdamW.
    """
    owner = "tied_weight_decay_schedule"
    check_scalar(weight_decay, "weight_decay", owner)
    check_scalar(power, "power", owner)
    check_positive(peak_learning_rate, "peak_learning_rate", owner)
    if not callable(learning_rate):
        raise TypeError(
            f"{owner}: learning_rate must be a schedule (a function of the step count)"
            f", got {learning_rate!r}. With a constant one λ is constant too."
        )

    def schedule(count: Any) -> Any:
        # Optax's linear schedule ends just below 0 under jit, which has no root.
        rate = jnp.maximum(learning_rate(count), 0.0)
        return weight_decay * (rate / peak_learning_rate) ** power

    return schedule


def _done(count: Any, steps: int, start: int) -> Any:
    """Return the share of the way that is done, from 0 to 1."""
    return jnp.clip((count - start) / steps, 0.0, 1.0)


def _between(init_value: Any, end_value: Any, share: optax.Schedule) -> optax.Schedule:
    """Return the schedule that is ``share`` of the way; exact at both ends."""

    def schedule(count: Any) -> Any:
        weight = share(count)
        return (1 - weight) * init_value + weight * end_value

    return schedule


def _check_shape(
    init_value: Any, end_value: Any, steps: Any, start: Any, owner: str
) -> tuple[int, int]:
    check_scalar(init_value, "init_value", owner)
    check_scalar(end_value, "end_value", owner)
    return check_steps(steps, "steps", owner), check_steps(
        start, "start", owner, minimum=0
    )
