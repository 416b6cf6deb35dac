"""Stable decay: Adam and SGD whose decay keeps up with the size of their steps."""

from typing import Any, Literal

import optax

from optaxwd._checks import check_bool, one_mask
from optaxwd._typing import Coupling, Form, Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import assemble, assemble_within
from optaxwd.optimizers._sgd import long_run, momentum_stage
from optaxwd.precision import Precision
from optaxwd.transforms import (
    Penalty,
    keep_dtypes,
    scale_by_adam,
    stable_decay_stage,
)


def adams(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask = None,
    *,
    nesterov: bool = False,
    amsgrad: bool = False,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    cautious: bool = False,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam whose decay is divided by the root mean square gradient of the whole model.

    With :math:`\bar v` the mean of :math:`\hat v` over all parameters,

    .. math::

        \theta \leftarrow \theta - \eta_t \left(
            \frac{\hat m}{\sqrt{\hat v} + \epsilon}
            + \frac{\lambda}{\sqrt{\bar v}} \, \theta \right)

    See :func:`with_stable_weight_decay` for what is counted, and for what differs from
    the authors' code. λ is not that of :func:`adamw`, but that times
    :math:`\sqrt{\bar v}`, the root mean square gradient.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      b1, b2, eps, eps_root, mu_dtype: as in :func:`scale_by_adam`.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule, in units
        of the gradient.
      mask: which parameters decay; see :func:`add_decayed_weights`. All count in the
        mean, but for frozen ones.
      nesterov: use Nesterov momentum, as in :func:`nadamw`.
      amsgrad: divide by the largest :math:`\hat v` so far, here too, as in
        :func:`optax.amsgrad`.
      coupling: ``"learning_rate"``, ``"independent"``, ``"constant"`` or
        ``"corrected"``, as in :func:`with_weight_decay`.
      peak_learning_rate, cautious, weight_decay_mask: as in :func:`with_weight_decay`.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: Adam's, and 8 bytes.

    Raises:
      ValueError: as :func:`with_weight_decay` and :func:`scale_by_adam`; if
        ``coupling`` is ``"l2"``; if both ``nesterov`` and ``amsgrad`` are asked for.
      TypeError: likewise.

    Examples:
      Gradients of 0.5, by which λ is divided:

      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.adams(0.1, weight_decay=0.25)
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.5]), tx.init(params), params)
      >>> round(float(updates[0]), 4)  # -0.1 * (1 + 0.25 / 0.5 * 2)
      -0.2

    References:
      Xie et al., `On the Overlooked Pitfalls of Weight Decay and How to Mitigate Them:
      A Gradient-Norm Perspective <https://arxiv.org/abs/2011.11152>`_, 2023.

      Reddi et al., `On the Convergence of Adam and Beyond
      <https://arxiv.org/abs/1904.09237>`_, 2018, for ``amsgrad``.
    """
    return assemble_within(
        stable_decay_stage,
        _adam(b1, b2, eps, eps_root, mu_dtype, nesterov, amsgrad),
        learning_rate,
        weight_decay,
        owner="adams",
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        cautious=cautious,
        mask=one_mask(mask, weight_decay_mask, "adams"),
        b2=b2,
        precision=precision,
        max_grad_norm=max_grad_norm,
    )


def sgds(
    learning_rate: ScalarOrSchedule,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask = None,
    *,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    cautious: bool = False,
    penalty: str | Penalty = "l2",
    form: Form = "additive",
    anchor: Literal["init", "update"] | optax.Params | None = None,
    corrected_mask: Mask = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""SGD with decoupled decay that momentum makes as much faster as the steps.

    With :math:`b \leftarrow g + \mu b` the momentum (g itself without),

    .. math::

        \theta \leftarrow \theta - \eta_t
            \left( b + \frac{\lambda}{1 - \mu} \, \theta \right)

    Of a constant gradient, momentum makes :math:`1/(1-\mu)` times the step; so the
    decay grows alike, and λ means what it means without momentum. In the long run
    parameters decay as fast as under :func:`sgd_l2` with the same λ, but from the first
    step on and outside of the momentum; :func:`sgdw` is slower by :math:`1 - \mu`.

    The authors' code has a dampening d besides, in which the factor is
    :math:`(1-d)/(1-\mu)`. Momentum here is Optax's, which has none: d is 0.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      momentum: :math:`\mu` in [0, 1), a number or a scalar array; ``None``: no
        momentum, no state for it, and this is :func:`sgdw`.
      nesterov: use Nesterov momentum; the decay is the same.
      accumulator_dtype: dtype of the momentum; ``None``: that of the parameters.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule.
      mask: which parameters decay; see :func:`add_decayed_weights`.
      coupling: ``"learning_rate"``, ``"independent"``, ``"constant"`` or
        ``"corrected"``, as in :func:`with_weight_decay`.
      peak_learning_rate, cautious, penalty, form: as in
        :func:`with_weight_decay`.
      anchor, corrected_mask, weight_decay_mask: likewise.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`, with the state of :func:`sgdw`:
      the momentum, and 8 bytes.

    Raises:
      ValueError: as :func:`with_weight_decay`; if ``coupling`` is ``"l2"``.
      TypeError: likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.sgds(0.1, momentum=0.9, weight_decay=0.05)
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.3]), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # -0.1 * (0.3 + 0.05 / 0.1 * 2)
      -0.13

    References:
      Xie et al., `On the Overlooked Pitfalls of Weight Decay and How to Mitigate Them:
      A Gradient-Norm Perspective <https://arxiv.org/abs/2011.11152>`_, 2023, first
      called Stable Weight Decay Regularization.
    """
    if coupling == "l2":
        raise ValueError(
            "sgds: coupling='l2' puts decay into the momentum, which already makes it "
            "1/(1 - momentum) times as fast. Use sgd_l2, or another coupling."
        )
    return assemble(
        momentum_stage(momentum, nesterov, accumulator_dtype, "sgds"),
        learning_rate,
        weight_decay,
        owner="sgds",
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        mask=mask,
        cautious=cautious,
        penalty=penalty,
        form=form,
        anchor=anchor,
        corrected_mask=corrected_mask,
        weight_decay_mask=weight_decay_mask,
        stretch=long_run(momentum),
        precision=precision,
        max_grad_norm=max_grad_norm,
    )


def _adam(
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
    mu_dtype: Any,
    nesterov: bool,
    amsgrad: bool,
) -> optax.GradientTransformation:
    check_bool(amsgrad, "amsgrad", "adams")
    # Built in any case, for its checks of what both take.
    adam = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    if not amsgrad:
        return adam
    if nesterov:
        raise ValueError(
            "adams: nesterov=True is not defined with amsgrad=True. Choose one."
        )
    return keep_dtypes(optax.scale_by_amsgrad(b1, b2, eps, eps_root, mu_dtype))
