"""Adam with selective projection decay."""

from collections.abc import Mapping
from typing import Any, Literal

import optax

from optaxwd._checks import check_scalar_or_schedule, one_mask
from optaxwd._typing import Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import complete
from optaxwd.precision import Precision
from optaxwd.transforms import scale_by_adam, scale_by_learning_rate, selective_stage


def adamspd(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1.0,
    mask: Mask = None,
    *,
    nesterov: bool = False,
    anchor: Literal["init", "update"] | optax.Params | None = "init",
    stacked: Mapping[Any, int] | None = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam with selective projection decay, for fine-tuning.

    With :math:`\tilde\theta = \theta - \eta_t u` Adam's step and a the anchor, per
    layer

    .. math::

        \theta \leftarrow \tilde\theta - \lambda_t
            \max\left(0, 1 - \frac{\|\theta - a\|}{\|\tilde\theta - a\|}\right)
            (\tilde\theta - a)
            \quad \text{if } \langle g, \theta - a \rangle > 0

    and :math:`\theta \leftarrow \tilde\theta` otherwise: layers that Adam carries away
    from where they started, although their gradient points back, are held. λ is of the
    order of 1, not of the λ of :func:`adamw`, and the learning rate does not multiply
    it: the fraction is of the order of the step already, so there is no ``coupling``.
    The numbered deviations of :func:`with_selective_projection_decay` are those here.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      b1, b2, eps, eps_root, mu_dtype: as in :func:`scale_by_adam`.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule; 1, the
        default, is full projection.
      mask: which parameters decay; see :func:`add_decayed_weights`.
      nesterov: use Nesterov momentum, as in :func:`nadamw`.
      anchor, stacked, weight_decay_mask: as in
        :func:`with_selective_projection_decay`.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: Adam's, 8 bytes, and
      with ``anchor="init"`` one value per parameter that decays.

    Raises:
      ValueError: as :func:`with_selective_projection_decay` and :func:`scale_by_adam`.
      TypeError: likewise.

    Examples:
      At the second step momentum still leads up, the gradient down: the parameter stays
      at the distance that it had.

      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.adamspd(0.1)
      >>> params = jnp.array([2.0])
      >>> state = tx.init(params)
      >>> for grads in (jnp.array([-1.0]), jnp.array([0.1])):
      ...     updates, state = tx.update(grads, state, params)
      ...     params = optax.apply_updates(params, updates)
      ...     print(round(float(params[0]), 4))
      2.1
      2.1

    References:
      Tian, Huang and Kira, `Rethinking Weight Decay for Robust Fine-Tuning of
      Foundation Models <https://arxiv.org/abs/2411.01713>`_, 2024.
    """
    check_scalar_or_schedule(learning_rate, "learning_rate", "adamspd")
    mask = one_mask(mask, weight_decay_mask, "adamspd")
    adam = optax.chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_learning_rate(learning_rate),
    )
    spd = selective_stage(
        adam,
        weight_decay,
        mask=mask,
        anchor=anchor,
        stacked=stacked,
        owner="adamspd",
    )
    return complete((spd,), mask, "adamspd", precision, max_grad_norm)
