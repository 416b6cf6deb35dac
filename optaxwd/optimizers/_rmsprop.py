"""RMSProp, with decoupled decay and with L2."""

from typing import Any, Literal

import optax

from optaxwd._checks import (
    check_decay_factor,
    check_scalar,
    check_scalar_or_schedule,
)
from optaxwd._typing import Coupling, Form, Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import assemble_around
from optaxwd.precision import Precision
from optaxwd.transforms import Penalty, in_one_pass, keep_dtypes, scale_by_learning_rate


def rmspropw(
    learning_rate: ScalarOrSchedule,
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
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
    r"""RMSProp with decoupled weight decay: :func:`optax.rmsprop` made to decay.

    With :math:`v \leftarrow \beta v + (1-\beta) g^2`,

    .. math::

        \theta \leftarrow \theta
            - \eta_t \left( \frac{g}{\sqrt{v + \epsilon}} + \lambda \theta \right)

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      decay: rate in [0, 1) of the mean of squared gradients.
      eps: added to the denominator.
      initial_scale: first value of the mean of squares.
      eps_in_sqrt: whether ``eps`` stands inside the root; PyTorch has it outside.
      centered: divide by the standard deviation instead of the root mean square.
      momentum: momentum in [0, 1) over the steps, after the learning rate as in
        :func:`optax.rmsprop`; ``None``: none.
      nesterov: use Nesterov momentum.
      bias_correction: correct the mean of squares for its start.
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
      >>> tx = optaxwd.rmspropw(0.1, weight_decay=0.5)
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.0]), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # -0.1 * 0.5 * 2
      -0.1

    References:
      Tieleman and Hinton, `Lecture 6.5: RMSProp
      <https://www.cs.toronto.edu/~hinton/coursera/lecture6/lec6.pdf>`_, 2012.

      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019.
    """
    optimizer = _rmsprop(
        learning_rate,
        decay,
        eps,
        initial_scale,
        eps_in_sqrt,
        centered,
        momentum,
        nesterov,
        bias_correction,
        owner="rmspropw",
    )
    return assemble_around(
        optimizer,
        weight_decay,
        owner="rmspropw",
        learning_rate=learning_rate,
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


def rmsprop_l2(
    learning_rate: ScalarOrSchedule,
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask = None,
    *,
    penalty: str | Penalty = "l2",
    anchor: Literal["init", "update"] | optax.Params | None = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""RMSProp on the loss plus :math:`\tfrac12\lambda\|\theta\|^2`.

    :math:`g \leftarrow g + \lambda\theta`, then RMSProp:
    ``torch.optim.RMSprop(weight_decay=λ)``. The penalty is divided by the root mean
    square of the gradient like everything else: this is not weight decay.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      decay: rate in [0, 1) of the mean of squared gradients.
      eps: added to the denominator.
      initial_scale: first value of the mean of squares.
      eps_in_sqrt: whether ``eps`` stands inside the root; PyTorch has it outside.
      centered: divide by the standard deviation instead of the root mean square.
      momentum: momentum in [0, 1) over the steps, after the learning rate as in
        :func:`optax.rmsprop`; ``None``: none.
      nesterov: use Nesterov momentum.
      bias_correction: correct the mean of squares for its start.
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
      >>> tx = optaxwd.rmsprop_l2(0.1, decay=0.75, weight_decay=0.5)
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.0]), tx.init(params), params)
      >>> round(float(updates[0]), 4)  # -0.1 * 1 / sqrt(0.25 * 1²)
      -0.2

    References:
      Tieleman and Hinton, `Lecture 6.5: RMSProp
      <https://www.cs.toronto.edu/~hinton/coursera/lecture6/lec6.pdf>`_, 2012.
    """
    optimizer = _rmsprop(
        learning_rate,
        decay,
        eps,
        initial_scale,
        eps_in_sqrt,
        centered,
        momentum,
        nesterov,
        bias_correction,
        owner="rmsprop_l2",
    )
    return assemble_around(
        optimizer,
        weight_decay,
        owner="rmsprop_l2",
        learning_rate=learning_rate,
        coupling="l2",
        mask=mask,
        penalty=penalty,
        anchor=anchor,
        weight_decay_mask=weight_decay_mask,
        precision=precision,
        max_grad_norm=max_grad_norm,
    )


def _rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: Any,
    eps: Any,
    initial_scale: Any,
    eps_in_sqrt: bool,
    centered: bool,
    momentum: Any,
    nesterov: bool,
    bias_correction: bool,
    *,
    owner: str,
) -> optax.GradientTransformation:
    """Chain :func:`optax.rmsprop`'s stages over a state of fixed structure."""
    check_scalar_or_schedule(learning_rate, "learning_rate", owner)
    check_decay_factor(decay, "decay", owner)
    check_scalar(eps, "eps", owner)
    if momentum is not None:
        check_decay_factor(momentum, "momentum", owner)
    scale_by = optax.scale_by_stddev if centered else optax.scale_by_rms
    chain = optax.chain(
        scale_by(
            decay=decay,
            eps=eps,
            initial_scale=initial_scale,
            eps_in_sqrt=eps_in_sqrt,
            bias_correction=bias_correction,
        ),
        scale_by_learning_rate(learning_rate),
        optax.identity() if momentum is None else optax.trace(momentum, nesterov),
    )
    return in_one_pass(keep_dtypes(chain))
