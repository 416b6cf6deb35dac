"""From a preconditioner, or from a finished optimizer, to one that decays."""

from typing import Any, Literal

import optax

from optaxwd._typing import Coupling, Form, Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import assemble, assemble_around
from optaxwd.precision import Precision
from optaxwd.transforms import Penalty


def with_weight_decay(
    preconditioner: optax.GradientTransformation,
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule,
    *,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    mask: Mask = None,
    cautious: bool = False,
    penalty: str | Penalty = "l2",
    form: Form = "additive",
    anchor: Literal["init", "update"] | optax.Params | None = None,
    corrected_mask: Mask = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Make a complete optimizer from any ``scale_by_*``.

    With :math:`u` the preconditioned direction, :math:`\eta_t` the learning rate and
    :math:`R_t` the rate that the coupling sets,

    .. math::

        \theta \leftarrow \theta - \eta_t u
            - R_t \, m \, g(u) \, \mathrm{pull}(\theta - a)

    ================= =============================================
    coupling          :math:`R_t`
    ================= =============================================
    ``l2``            0, and :math:`g + \lambda\,m\,\mathrm{pull}` is
                      what the preconditioner gets
    ``learning_rate`` :math:`\eta_t\lambda`
    ``independent``   :math:`(\eta_t/\eta_\text{peak})\lambda`
    ``constant``      :math:`\lambda`
    ``corrected``     :math:`(\eta_t^2/\eta_\text{peak})\lambda`
    ================= =============================================

    Args:
      preconditioner: what turns gradients into directions, such as
        :func:`optax.scale_by_adam`; ``optax.identity()`` for SGD.
      learning_rate: :math:`\eta_t \ge 0`, a number, a scalar array or a schedule of
        the step count, which starts at 0.
      weight_decay: :math:`\lambda_t \ge 0`, likewise; per step for ``independent`` and
        ``constant``, per step and unit of learning rate for the others.
      coupling: where decay enters and what it is tied to; see the table.
      peak_learning_rate: :math:`\eta_\text{peak} > 0`, read by ``independent`` and
        ``corrected`` and by no other coupling. Needed where ``learning_rate`` is a
        schedule or an array; a number is its own peak.
      mask: which parameters decay; see :func:`add_decayed_weights`.
      cautious: decay only where the step does not point away from the anchor.
      penalty: what decay pulls on; see :func:`add_decayed_weights`.
      form: ``"additive"`` as above, or ``"multiplicative"`` or ``"proximal"``, which
        act on the parameters after the step; see :func:`add_decayed_weights`.
      anchor: what parameters decay to; see :func:`add_decayed_weights`.
      corrected_mask: with ``coupling="corrected"``, the parameters that take the
        corrected rate: those of layers that a normalisation follows. The others that
        decay take :math:`\eta_t\lambda`. A mask or rules; ``None``: all.
      weight_decay_mask: another name for ``mask``.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`, a chain of three stages. Its
      state has the same structure for numbers, arrays and schedules.

    Raises:
      ValueError: on an unknown coupling, a negative or NaN rate, a peak that is zero
        or cannot be known, ``cautious`` or another form than ``"additive"`` with
        ``l2``, ``corrected_mask`` with another coupling, a mask of another structure.
      TypeError: if ``preconditioner`` is not a transformation.

    Examples:
      Adam with decay tied to the shape of the schedule and not to its height:

      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> schedule = optax.linear_schedule(0.2, 0.0, 100)
      >>> tx = optaxwd.with_weight_decay(
      ...     optax.scale_by_adam(), schedule, 0.05,
      ...     coupling="independent", peak_learning_rate=0.2,
      ... )
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.0]), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # 0.2/0.2 * 0.05 * 2 in the first step
      -0.1

    References:
      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019.

      Defazio, `Why Gradients Rapidly Increase Near the End of Training
      <https://arxiv.org/abs/2506.02285>`_, 2025, for ``corrected``.
    """
    return assemble(
        preconditioner,
        learning_rate,
        weight_decay,
        owner="with_weight_decay",
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


def decouple(
    optimizer: optax.GradientTransformation,
    weight_decay: ScalarOrSchedule,
    *,
    learning_rate: ScalarOrSchedule | None = None,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    mask: Mask = None,
    cautious: bool = False,
    penalty: str | Penalty = "l2",
    form: Form = "additive",
    anchor: Literal["init", "update"] | optax.Params | None = None,
    corrected_mask: Mask = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Add weight decay to any finished optimizer.

    The optimizer's step :math:`s` is taken as it is, and the decay of the parameters
    before the step is subtracted from it:

    .. math::

        \theta \leftarrow \theta + s - R_t \, m \, g(-s) \, \mathrm{pull}(\theta - a)

    with the :math:`R_t` of :func:`with_weight_decay`. ``coupling="l2"`` adds
    :math:`\lambda\,\mathrm{pull}(\theta - a)` to the gradient that the optimizer gets.
    Decay comes with every update: put ``optax.MultiSteps`` and other wrappers that skip
    steps around the result, not inside.

    Args:
      optimizer: a complete optimizer without decay of its own, such as
        ``optax.adabelief(1e-3)``.
      weight_decay: :math:`\lambda_t \ge 0`, a number, a scalar array or a schedule of
        the step count, which starts at 0.
      learning_rate: the learning rate that ``optimizer`` was built with, number or
        schedule. It cannot be read from the optimizer; all couplings but ``constant``
        and ``l2`` need it.
      coupling: what the decay is tied to; see :func:`with_weight_decay`.
      peak_learning_rate: see :func:`with_weight_decay`.
      mask: which parameters decay; see :func:`add_decayed_weights`.
      cautious: decay only where the step does not point away from the anchor. A step
        of 0 counts as agreeing, also if the learning rate or an underflow made it 0.
      penalty: what decay pulls on; see :func:`add_decayed_weights`.
      form: how the penalty acts; see :func:`add_decayed_weights`.
      anchor: what parameters decay to; see :func:`add_decayed_weights`.
      corrected_mask: see :func:`with_weight_decay`.
      weight_decay_mask: another name for ``mask``.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`, a chain of two stages.

    Raises:
      ValueError: if the coupling needs a learning rate and none is given; otherwise as
        :func:`with_weight_decay`.
      TypeError: if ``optimizer`` is not a transformation.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.decouple(optax.adabelief(0.1), 0.5, learning_rate=0.1)
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.0]), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # -0.1 * 0.5 * 2
      -0.1

    References:
      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019.
    """
    return assemble_around(
        optimizer,
        weight_decay,
        owner="decouple",
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
