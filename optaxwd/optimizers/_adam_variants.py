"""Adam with the decays of later papers that are options of :func:`optaxwd.adamw`."""

from typing import Any, Literal

import optax

from optaxwd._checks import check_scalar_or_schedule
from optaxwd._typing import Coupling, Form, Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import assemble
from optaxwd.precision import Precision
from optaxwd.transforms import InitialNorm, Penalty, scale_by_adam


def adamc(
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
    r"""AdamC: Adam with corrected weight decay for layers that are normalised.

    .. math::

        \theta \leftarrow \theta - \eta_t u - \lambda\theta \begin{cases}
            \eta_t^2 / \eta_\text{peak} & \text{a normalisation follows the layer} \\
            \eta_t & \text{otherwise}
        \end{cases}

    A normalised layer settles at a norm of :math:`\sqrt{\eta_t / 2\lambda_t}` per
    coordinate. With a schedule of η and a fixed λ that norm falls, and gradients grow
    as the run ends; here :math:`\lambda_t \propto \eta_t` keeps it. This is
    :func:`adamw` with ``coupling="corrected"``. What other implementations get wrong:

    1. ``corrected_mask`` means the weights *before* a normalisation, in the paper all
       linear layers but the output head; not the scales of the normalisation itself.
    2. The peak is given: a learning rate at construction, or that of a parameter group
       with layer-wise decay, is not always the peak.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      b1, b2, eps, eps_root, mu_dtype: as in :func:`scale_by_adam`.
      weight_decay: :math:`\lambda`, a number, a scalar array or a schedule.
      mask: which parameters decay; see :func:`add_decayed_weights`.
      nesterov: use Nesterov momentum, as in :func:`nadamw`.
      peak_learning_rate: :math:`\eta_\text{peak} > 0`, the largest value that
        ``learning_rate`` takes; needed unless that is a number.
      cautious, penalty, form, anchor, weight_decay_mask: as in
        :func:`with_weight_decay`.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.
      corrected_mask: which parameters take the corrected rate, a mask or rules;
        ``None``: all that decay.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: that of
      :func:`adamw`.

    Raises:
      ValueError: as :func:`adamw`.
      TypeError: likewise.

    Examples:
      At half the peak, the body decays half as fast as the head:

      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.adamc(
      ...     0.1, peak_learning_rate=0.2, weight_decay=0.5,
      ...     corrected_mask={"body": True, "head": False},
      ... )
      >>> params = {"body": jnp.array([2.0]), "head": jnp.array([2.0])}
      >>> zeros = {"body": jnp.zeros(1), "head": jnp.zeros(1)}
      >>> updates, _ = tx.update(zeros, tx.init(params), params)
      >>> {name: round(float(u[0]), 6) for name, u in updates.items()}
      {'body': -0.05, 'head': -0.1}

    References:
      Defazio, `Why Gradients Rapidly Increase Near the End of Training
      <https://arxiv.org/abs/2506.02285>`_, 2025.
    """
    return assemble(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        learning_rate,
        weight_decay,
        owner="adamc",
        coupling="corrected",
        peak_learning_rate=peak_learning_rate,
        mask=mask,
        cautious=cautious,
        penalty=penalty,
        form=form,
        anchor=anchor,
        corrected_mask=corrected_mask,
        weight_decay_mask=weight_decay_mask,
        precision=precision,
        max_grad_norm=max_grad_norm,
    )


def adamwn(
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
    ratio: ScalarOrSchedule = 1.0,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    cautious: bool = False,
    corrected_mask: Mask = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""AdamWN: Adam with weight norm control.

    .. math::

        \theta \leftarrow \theta - \eta_t u
            - R_t \left(1 - r \frac{\|\theta_0\|}{\|\theta\|}\right) \theta

    with :math:`R_t` as the coupling says. ``ratio=0`` is :func:`adamw`. A
    reconstruction; see :func:`control_weight_norm`.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      b1, b2, eps, eps_root, mu_dtype: as in :func:`scale_by_adam`.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule. The
        default is that of :func:`adamw`.
      mask: which parameters are controlled; see :func:`add_decayed_weights`.
      nesterov: use Nesterov momentum, as in :func:`nadamw`.
      ratio: :math:`r \ge 0`, the target norm of each tensor as a share of its initial
        norm, a number, a scalar array or a schedule.
      coupling, peak_learning_rate, cautious, corrected_mask, weight_decay_mask: as in
        :func:`with_weight_decay`; ``coupling="l2"`` adds the gradient of
        :math:`\tfrac12\lambda(\|\theta\| - r\|\theta_0\|)^2` to the gradient.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: that of
      :func:`adamw`, and 4 bytes per tensor.

    Raises:
      ValueError: as :func:`with_weight_decay`, and if ``ratio`` is negative or NaN.
      TypeError: likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.adamwn(1.0, weight_decay=0.1, ratio=0.5)
      >>> params = jnp.array([3.0, 4.0])
      >>> updates, _ = tx.update(jnp.zeros(2), tx.init(params), params)
      >>> [round(float(x), 6) for x in params + updates]
      [2.85, 3.8]

    References:
      Loshchilov, `Weight Norm Control <https://arxiv.org/abs/2311.11446>`_, 2023.
    """
    check_scalar_or_schedule(ratio, "ratio", "adamwn")
    return assemble(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        learning_rate,
        weight_decay,
        owner="adamwn",
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        mask=mask,
        cautious=cautious,
        anchor=InitialNorm(ratio),
        corrected_mask=corrected_mask,
        weight_decay_mask=weight_decay_mask,
        precision=precision,
        max_grad_norm=max_grad_norm,
    )
