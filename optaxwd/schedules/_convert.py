"""One λ in another convention, exactly or not at all."""

from typing import Any

import jax.numpy as jnp
import optax

from optaxwd._checks import check_number, check_scalar_or_schedule
from optaxwd._typing import ScalarOrSchedule
from optaxwd.schedules._conventions import conversion, find_convention, scale_of
from optaxwd.schedules._convert_checks import (
    OWNER,
    check_divisor,
    check_penalties,
    check_rates,
    known,
    needed,
)


def convert_weight_decay(
    value: ScalarOrSchedule,
    *,
    source: str,
    target: str,
    learning_rate: ScalarOrSchedule | None = None,
    peak_learning_rate: float | None = None,
    steps: int | None = None,
    optimizer: str | None = None,
    batch_size: float | None = None,
    dataset_size: float | None = None,
    epochs: float | None = None,
) -> float | optax.Schedule:
    r"""The λ that does the same in another convention.

    A decay that is a rate has :math:`R_t = \lambda\,\eta_t^a\,\eta_\text{peak}^b`, so
    from a source with powers a, b to a target with :math:`a', b'`

    .. math:: \lambda'_t = \lambda_t \, \eta_t^{a - a'} \, \eta_\text{peak}^{b - b'} .

    That is a number where :math:`a = a'` or the learning rate is constant. Otherwise no
    number does the same in every step, and a schedule comes back, which does.

    ========================= =========================== ==============================
    name                      meaning                     also known as
    ========================= =========================== ==============================
    ``learning_rate``         :math:`R = \eta\lambda`     ``"adamw"``, ``"pytorch"``,
                                                          ``"optax"``, ``"keras"``,
                                                          ``"timm"``
    ``independent``           :math:`R =                  ``"algorithm_2"`` (paper's),
                              (\eta/\eta_\text{peak})     ``"mosaicml"``, ``"optimi"``,
                              \lambda`                    ``"big_vision"``
    ``constant``              :math:`R = \lambda`         ``"tfa"``,
                                                          ``"optax.adafactor"``
    ``corrected``             :math:`R = (\eta^2/         ``"adamc"``
                              \eta_\text{peak})\lambda`
    ``learning_rate_squared`` :math:`R = \eta^2\lambda`   ``"modded_nanogpt"``
    ``normalized``            as ``independent``, times   ``"adamwr"``
                              :math:`\sqrt{b/(BT)}`
    ``l2``                    loss                        ``"torch.optim.SGD"``,
                              :math:`+\tfrac12\lambda     ``"torch.optim.Adam"``
                              \|\theta\|^2`
    ``l2_full``               loss                        ``"2lambda"``,
                              :math:`+\lambda             ``"keras.regularizers.L2"``
                              \|\theta\|^2`
    ========================= =========================== ==============================

    Keras' ``weight_decay=`` multiplies by the learning rate; that of TensorFlow Addons
    does not.

    Args:
      value: :math:`\lambda \ge 0` in the source's convention, a number or a schedule.
      source: the convention that it comes from.
      target: the convention to express it in.
      learning_rate: :math:`\eta_t`, a number or a schedule of the step count; needed
        where source and target have different powers of it.
      peak_learning_rate: :math:`\eta_\text{peak}`, the α of Algorithm 2 if its schedule
        multiplier reaches 1. ``None``: a constant learning rate itself, or with
        ``steps`` the largest of the run.
      steps: length of the run, over which schedules are checked. Needed from
        ``"constant"`` to what multiplies by a scheduled learning rate: no λ there makes
        up for a step whose learning rate is 0.
      optimizer: ``"sgd"`` if it is plain SGD, without momentum: then a term of the loss
        is a decay, with :math:`R = \eta\lambda`. For no other optimizer.
      batch_size, dataset_size, epochs: as in :func:`normalized_weight_decay`, read for
        ``"normalized"``.

    Returns:
      A float, or a schedule of the step count if ``value`` is one or no number does;
      it is 0 in steps without learning rate.

    Raises:
      ValueError: on an unknown convention; where there is no exact equivalent (between
        a term of the loss and a decay, unless the optimizer is plain SGD; a decay in a
        step without learning rate), saying why; where an argument that is needed is
        missing; where decay would remove a whole weight per step.
      TypeError: if ``value`` is neither number nor schedule.

    Examples:
      >>> import optax
      >>> import optaxwd
      >>> value = optaxwd.convert_weight_decay(
      ...     0.1, source="pytorch", target="mosaicml", peak_learning_rate=3e-4
      ... )
      >>> round(value, 9)
      3e-05
      >>> schedule = optaxwd.convert_weight_decay(
      ...     0.1, source="optax", target="tfa",
      ...     learning_rate=optax.linear_schedule(3e-4, 0.0, 100),
      ... )
      >>> [round(float(schedule(count)), 9) for count in (0, 50)]
      [3e-05, 1.5e-05]

    References:
      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019.
    """
    check_scalar_or_schedule(value, "value", OWNER)
    before = find_convention(source, "source", OWNER)
    after = find_convention(target, "target", OWNER)
    if before == after:
        return _times(value, 1.0)
    check_penalties(before, after, optimizer)
    sizes = {"batch_size": batch_size, "dataset_size": dataset_size, "epochs": epochs}
    factor, power, peak_power = conversion(before, after, sizes, OWNER)
    if before.is_penalty and after.is_penalty:
        return _times(value, factor)
    run = known(value, learning_rate, peak_learning_rate, steps)
    check_rates(run, before, scale_of(before, sizes, OWNER))
    if peak_power:
        peak = needed(run.peak, "peak_learning_rate", before, after)
        factor *= peak**peak_power
    if power == 0:
        return _times(value, factor)
    eta: Any = needed(learning_rate, "learning_rate", before, after)
    if power < 0:
        check_divisor(run, before, after)
    if not callable(eta):
        return _times(value, factor * float(eta) ** power if eta else 0.0)
    return _followed(value, factor, eta, power)


def _times(value: Any, factor: float) -> Any:
    """Return ``factor`` times a number, as a float, or times a schedule."""
    if not callable(value):
        return check_number(value, "value", OWNER) * factor
    if factor == 1:
        return value
    given: Any = value
    return lambda count: factor * given(count)


def _followed(value: Any, factor: float, eta: Any, power: int) -> optax.Schedule:
    """Return λ_t · factor · η_t^power as a schedule, 0 where there is no η_t."""

    def schedule(count: Any) -> Any:
        given: Any = value(count) if callable(value) else value
        rate: Any = eta(count)
        safe = jnp.where(rate > 0, rate, 1.0)
        return jnp.where(rate > 0, given * factor * safe**power, 0.0)

    return schedule
