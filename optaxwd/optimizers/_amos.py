"""Amos, with its optional momentum."""

from typing import Any

import optax

from optaxwd._checks import check_decay_factor, one_mask
from optaxwd._typing import Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import complete
from optaxwd.precision import Precision
from optaxwd.transforms import amos_stage, keep_dtypes


def amos(
    learning_rate: ScalarOrSchedule,
    expected_scale: Any,
    b2: Scalar = 0.999,
    eps: Scalar = 2.0**-125,
    momentum: Scalar | None = None,
    accumulator_dtype: Any = None,
    extra_l2: ScalarOrSchedule = 0.0,
    mask: Mask = None,
    *,
    c_coef: Scalar = 0.25,
    d_coef: Scalar = 0.25,
    reduced_axes: Any = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Amos: decay and learning rate that adapt to an expected scale of the weights.

    :func:`scale_by_amos`, where the formulas are, and after it the running mean

    .. math:: s \leftarrow \mu s_{\text{before}} + (1 - \mu) s

    of the finished steps, if there is a momentum: decay goes through it like the rest.
    There is no weight decay to choose and no coupling: decay sets in at
    :math:`\tfrac12\xi^2` per step and fades with the learning rate.

    The paper's code also clips gradients; put ``optax.clip(...)`` before this for that.

    Args:
      learning_rate: :math:`\xi_t`, a number, a scalar array or a schedule; for N
        independent batches of training data about :math:`1/\sqrt N`.
      expected_scale: :math:`\tilde\eta`, the size of the entries of the trained
        weights: a number, a tree of numbers, or a function of path and shape.
      b2, eps, extra_l2: as in :func:`scale_by_amos`.
      momentum: μ in [0, 1); ``None``: no momentum and no state for it.
      accumulator_dtype: dtype of the momentum; ``None``: that of the parameters.
      mask: which parameters decay; where they do not, the learning rate still fades.
      c_coef, d_coef, reduced_axes: as in :func:`scale_by_amos`.
      weight_decay_mask: another name for ``mask``.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: 8 bytes per leaf, and the
      momentum, if there is one.

    Raises:
      ValueError: as :func:`scale_by_amos`, or if ``momentum`` is not in [0, 1).
      TypeError: likewise.

    Examples:
      A kernel with n inputs of unit size has entries of about :math:`1/\sqrt n`:

      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> def scale(path, shape):
      ...     return shape[-2] ** -0.5 if len(shape) > 1 else 0.5
      >>> tx = optaxwd.amos(0.01, scale)
      >>> params = {"kernel": jnp.ones((4, 1)), "bias": jnp.zeros(1)}
      >>> grads = {"kernel": jnp.ones((4, 1)), "bias": jnp.ones(1)}
      >>> updates, _ = tx.update(grads, tx.init(params), params)
      >>> round(float(updates["kernel"][0, 0]), 6)  # -(0.01 * 0.5 * 1 + 0.01²/2 * 1)
      -0.00505

    References:
      Tian and Parikh, `Amos: An Adam-style Optimizer with Adaptive Weight Decay towards
      Model-Oriented Scale <https://arxiv.org/abs/2210.11693>`_, 2022.
    """
    mask = one_mask(mask, weight_decay_mask, "amos")
    stages: tuple[optax.GradientTransformation, ...] = (
        amos_stage(
            learning_rate,
            expected_scale,
            b2=b2,
            eps=eps,
            extra_l2=extra_l2,
            mask=mask,
            c_coef=c_coef,
            d_coef=d_coef,
            reduced_axes=reduced_axes,
            owner="amos",
        ),
    )
    if momentum is not None:
        check_decay_factor(momentum, "momentum", "amos")
        mean = optax.ema(momentum, debias=False, accumulator_dtype=accumulator_dtype)
        stages += (keep_dtypes(mean, keep_updates=True),)
    return complete(stages, mask, "amos", precision, max_grad_norm)
