"""One λ in another convention, exactly or not at all."""

from typing import Any

import numpy as np
import optax

from optaxwd._checks import check_positive, check_scalar_or_schedule, check_steps
from optaxwd._typing import ScalarOrSchedule
from optaxwd.schedules._conventions import Convention, find_convention
from optaxwd.schedules._evaluate import over_steps
from optaxwd.schedules._normalized import normalized_weight_decay
from optaxwd.schedules._rates import peak_of

_OWNER = "convert_weight_decay"


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
      steps: length of the run. Needed where a schedule is divided by, so that it can be
        checked not to be 0 in any step.
      optimizer: ``"sgd"`` if it is plain SGD, without momentum: then a term of the loss
        is a decay, with :math:`R = \eta\lambda`. For no other optimizer.
      batch_size, dataset_size, epochs: as in :func:`normalized_weight_decay`, read for
        ``"normalized"``.

    Returns:
      A float, or a schedule of the step count if ``value`` is one or no number does.

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
    check_scalar_or_schedule(value, "value", _OWNER)
    before = find_convention(source, "source", _OWNER)
    after = find_convention(target, "target", _OWNER)
    if before == after:
        return _scaled(value, 1.0)
    _check_penalties(before, after, optimizer)
    peak = _peak(learning_rate, peak_learning_rate, steps)
    sizes = {"batch_size": batch_size, "dataset_size": dataset_size, "epochs": epochs}
    scale = _scale(before, sizes)
    _check_rate(value, scale, before, peak)
    factor = scale / _scale(after, sizes)
    peak_power = before.powers.peak - after.powers.peak
    if peak_power:
        eta_peak = _needed(peak, "peak_learning_rate", before, after)
        factor *= float(eta_peak) ** peak_power
    power = before.powers.learning_rate - after.powers.learning_rate
    if power == 0:
        return _scaled(value, factor)
    eta: Any = _needed(learning_rate, "learning_rate", before, after)
    if power < 0:
        _check_divisor(eta, steps, before, after)
    if not callable(eta):
        return _scaled(value, factor * float(eta) ** power)

    def schedule(count: Any) -> Any:
        given: Any = value(count) if callable(value) else value
        rate: Any = eta(count)
        return given * factor * rate**power

    return schedule


def _scaled(value: Any, factor: float) -> Any:
    """Return ``factor`` times a number, as a float, or times a schedule."""
    if not callable(value):
        return float(value) * factor
    if factor == 1:
        return value
    given: Any = value
    return lambda count: factor * given(count)


def _peak(learning_rate: Any, peak: Any, steps: Any) -> float | None:
    """Return η_peak as far as it can be known."""
    if learning_rate is None:
        if peak is not None:
            check_positive(peak, "peak_learning_rate", _OWNER)
        return peak
    check_scalar_or_schedule(learning_rate, "learning_rate", _OWNER)
    if callable(learning_rate) and steps is None:
        return _peak(None, peak, None)
    count = 1 if steps is None else check_steps(steps, "steps", _OWNER)
    eta = over_steps(learning_rate, count, "learning_rate", _OWNER)
    return peak_of(eta, peak, _OWNER)


def _check_penalties(before: Convention, after: Convention, optimizer: Any) -> None:
    """Raise where only one is a term of the loss, unless the optimizer is plain SGD."""
    plain = str(optimizer).lower() in ("sgd", "optax.sgd", "torch.optim.sgd")
    if before.is_penalty == after.is_penalty or plain:
        return
    raise ValueError(
        f"{_OWNER}: from {before.name!r} to {after.name!r} there is no exact "
        f"equivalent, got optimizer={optimizer!r}. A term of the loss goes through the "
        "optimizer: an adaptive one (Adam, RMSprop, Lion) divides it by a scale of its "
        "own for every weight, which no λ undoes, and momentum spreads it over later "
        "steps. Only for plain SGD the two are the same: pass optimizer='sgd'. What an "
        "optimizer makes of a penalty is measured by `optaxwd.audit`."
    )


def _check_rate(
    value: Any, scale: float, convention: Convention, peak: float | None
) -> None:
    """Raise if decay at the peak, as far as it is known, takes a whole weight."""
    power = sum(convention.powers)
    if callable(value) or (power and not peak):
        return
    rate = float(value) * scale * (peak or 1.0) ** power
    if rate >= 1:
        raise ValueError(
            f"{_OWNER}: {convention.name!r} means {convention.meaning}, so "
            f"{value!r} removes {100 * rate:.4g} % of every weight per step at the "
            "peak; the rate must be below 1. Check `source`, and the learning rate."
        )


def _scale(convention: Convention, sizes: dict[str, Any]) -> float:
    """Return what λ is multiplied by beside the learning rate."""
    if not convention.per_period:
        return convention.factor
    missing = [name for name, size in sizes.items() if size is None]
    if missing:
        raise ValueError(
            f"{_OWNER}: {convention.name!r} needs {', '.join(missing)}, got None. Pass "
            "batch_size=, dataset_size= and epochs=."
        )
    return convention.factor * normalized_weight_decay(1.0, **sizes)


def _needed(value: Any, name: str, before: Convention, after: Convention) -> Any:
    if value is None or (name == "peak_learning_rate" and value == 0):
        raise ValueError(
            f"{_OWNER}: from {before.meaning} ({before.name!r}) to {after.meaning} "
            f"({after.name!r}) takes {name}=, got {value!r}."
        )
    return value


def _check_divisor(eta: Any, steps: Any, before: Convention, after: Convention) -> None:
    """Raise unless the learning rate, which λ is divided by, is never 0."""
    if callable(eta) and steps is None:
        raise ValueError(
            f"{_OWNER}: from {before.meaning} ({before.name!r}) to {after.meaning} "
            f"({after.name!r}) divides by the learning rate in every step. Pass steps=,"
            " so that it can be checked not to be 0."
        )
    values = over_steps(eta, steps or 1, "learning_rate", _OWNER)
    if not values.all():
        step = int(np.argmin(values != 0))
        where = f"is 0 at step {step}" if callable(eta) else "is 0"
        raise ValueError(
            f"{_OWNER}: from {before.meaning} ({before.name!r}) to {after.meaning} "
            f"({after.name!r}) there is no exact equivalent: the learning rate {where},"
            " where the source decays and the target cannot."
        )
