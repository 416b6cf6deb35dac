"""Normalised weight decay: λ that fits runs of other lengths."""

import math

from optaxwd._checks import check_number


def normalized_weight_decay(
    weight_decay: float, *, batch_size: float, dataset_size: float, epochs: float
) -> float:
    r"""The λ of a run, from a normalised one.

    .. math:: \lambda = \lambda_\text{norm} \sqrt{\frac{b}{B\,T}}

    It is a rate per step at the peak of the schedule: use it with
    ``coupling="independent"``, as AdamWR does. With warm restarts T counts the epochs
    of the current period, so that each has a λ of its own.

    The square root makes λ fall with the square root of the number of steps. A constant
    timescale in epochs (:func:`weight_decay_from_timescale`) asks for another power:
    see :func:`compare_scaling_rules`.

    Args:
      weight_decay: :math:`\lambda_\text{norm} \ge 0`; the paper has 0.025 to 0.05 for
        CIFAR-10.
      batch_size: :math:`b > 0`, examples per step.
      dataset_size: :math:`B > 0`, examples in the training set.
      epochs: :math:`T > 0`, epochs of the run, or between two restarts.

    Returns:
      :math:`\lambda` for ``coupling="independent"``.

    Raises:
      ValueError: if a number is negative or not finite, or a size is 0.
      TypeError: if one is not a number.

    Examples:
      >>> import optaxwd
      >>> weight_decay = optaxwd.normalized_weight_decay(
      ...     0.025, batch_size=128, dataset_size=50_000, epochs=100
      ... )
      >>> round(weight_decay, 9)
      0.000126491

    References:
      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019.
    """
    owner = "normalized_weight_decay"
    normalized = check_number(weight_decay, "weight_decay", owner)
    given = {"batch_size": batch_size, "dataset_size": dataset_size, "epochs": epochs}
    batch, dataset, periods = (
        check_number(size, name, owner, positive=True) for name, size in given.items()
    )
    return normalized * math.sqrt(batch / (dataset * periods))
