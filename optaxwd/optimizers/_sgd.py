"""Stochastic gradient descent, with decoupled decay and with L2."""

from typing import Any, Literal

import optax

from optaxwd._checks import check_decay_factor
from optaxwd._typing import Coupling, Form, Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import assemble
from optaxwd.precision import Precision
from optaxwd.transforms import Penalty, in_one_pass, keep_dtypes


def sgdw(
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
    r"""SGD with decoupled weight decay.

    With :math:`b \leftarrow g + \mu b` the momentum (g itself without),

    .. math:: \theta \leftarrow \theta - \eta_t (b + \lambda \theta)

    so the decay does not enter the momentum. Without momentum this is :func:`sgd_l2`;
    with it, L2 at the same λ decays :math:`1/(1-\mu)` times as fast in the long run.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      momentum: :math:`\mu` in [0, 1); ``None``: no momentum and no state for it.
      nesterov: use Nesterov momentum.
      accumulator_dtype: dtype of the momentum; ``None``: that of the parameters.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule.
      mask: which parameters decay; see :func:`add_decayed_weights`.
      coupling, peak_learning_rate, cautious, penalty, form: as in
        :func:`with_weight_decay`.
      anchor, corrected_mask, weight_decay_mask: likewise.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`.

    Raises:
      ValueError: as :func:`with_weight_decay`.
      TypeError: likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.sgdw(0.1, momentum=0.9, weight_decay=0.5)
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.3]), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # -0.1 * (0.3 + 0.5 * 2)
      -0.13

    References:
      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019.
    """
    return assemble(
        momentum_stage(momentum, nesterov, accumulator_dtype, "sgdw"),
        learning_rate,
        weight_decay,
        owner="sgdw",
        coupling=coupling,
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


def sgd_l2(
    learning_rate: ScalarOrSchedule,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask = None,
    *,
    penalty: str | Penalty = "l2",
    anchor: Literal["init", "update"] | optax.Params | None = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""SGD on the loss plus :math:`\tfrac12\lambda\|\theta\|^2`.

    :math:`g \leftarrow g + \lambda\theta`, then
    :math:`b \leftarrow g + \mu b`, then :math:`\theta \leftarrow \theta - \eta_t b`:
    ``torch.optim.SGD(weight_decay=λ)`` with no dampening. A loss term
    :math:`\lambda\|\theta\|^2` without the half is this with 2λ.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      momentum: :math:`\mu` in [0, 1); ``None``: no momentum and no state for it.
      nesterov: use Nesterov momentum.
      accumulator_dtype: dtype of the momentum; ``None``: that of the parameters.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule.
      mask: which parameters are penalised; see :func:`add_decayed_weights`.
      penalty, anchor, weight_decay_mask: as in :func:`with_weight_decay`.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`.

    Raises:
      ValueError: as :func:`with_weight_decay`.
      TypeError: likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.sgd_l2(0.1, weight_decay=0.5)
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.4]), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # -0.1 * (0.4 + 0.5 * 2)
      -0.14

    References:
      Krogh and Hertz, `A Simple Weight Decay Can Improve Generalization
      <https://proceedings.neurips.cc/paper/1991/hash/8eefcfdf5990e441f0fb6f3fad709e21-Abstract.html>`_,
      1991.
    """
    return assemble(
        momentum_stage(momentum, nesterov, accumulator_dtype, "sgd_l2"),
        learning_rate,
        weight_decay,
        owner="sgd_l2",
        coupling="l2",
        mask=mask,
        penalty=penalty,
        anchor=anchor,
        weight_decay_mask=weight_decay_mask,
        precision=precision,
        max_grad_norm=max_grad_norm,
    )


def momentum_stage(
    momentum: Any, nesterov: bool, accumulator_dtype: Any, owner: str
) -> optax.GradientTransformation:
    """Return the momentum of ``owner``, which the messages name."""
    if momentum is None:
        if nesterov:
            raise ValueError(
                f"{owner}: nesterov=True needs a momentum, got momentum=None."
            )
        return optax.identity()
    check_decay_factor(momentum, "momentum", owner)
    return in_one_pass(keep_dtypes(optax.trace(momentum, nesterov, accumulator_dtype)))


def long_run(momentum: Any) -> Any:
    """Return what momentum multiplies a constant gradient by, in the long run."""
    return 1.0 if momentum is None else 1 / (1 - momentum)
