"""Adafactor with decay that the learning rate reaches."""

from typing import Any, Literal

import jax.numpy as jnp
import optax

from optaxwd._checks import (
    LONGEST,
    check_decay_factor,
    check_positive,
    check_scalar,
    check_scalar_or_schedule,
)
from optaxwd._typing import Coupling, Form, Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import assemble_around
from optaxwd.precision import Precision
from optaxwd.transforms import Penalty, keep_dtypes, scale_by_learning_rate


def adafactorw(
    learning_rate: ScalarOrSchedule,
    min_dim_size_to_factor: int = 128,
    decay_rate: Scalar = 0.8,
    decay_offset: Scalar = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Scalar | None = 1.0,
    momentum: Scalar | None = None,
    dtype_momentum: Any = jnp.float32,
    weight_decay: ScalarOrSchedule = 1e-4,
    eps: Scalar = 1e-30,
    factored: bool = True,
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
    r"""Adafactor with weight decay: :func:`optax.adafactor` made to decay.

    With Adafactor's step :math:`s_t`, which holds the learning rate and the scale of
    the parameter,

    .. math:: \theta \leftarrow \theta + s_t - \eta_t \lambda \theta

    Optax's own ``weight_decay_rate`` is removed in every step whatever the learning
    rate; that is ``coupling="constant"``. The parameter's scale never multiplies λ.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      min_dim_size_to_factor: factor only arrays with two dimensions of this size.
      decay_rate: exponent of the schedule of the second moment's rate.
      decay_offset: step to start that schedule from, for fine-tuning.
      multiply_by_parameter_scale: multiply each step by the RMS of its parameter.
      clipping_threshold: largest RMS of a direction; ``None``: no clipping.
      momentum: rate of a mean over the steps; ``None``: none.
      dtype_momentum: dtype of that mean.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule.
      eps: added to the squared gradients.
      factored: keep row and column means instead of the whole second moment.
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
      >>> tx = optaxwd.adafactorw(0.1, weight_decay=0.5)
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.0]), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # -0.1 * 0.5 * 2
      -0.1

    References:
      Shazeer and Stern, `Adafactor: Adaptive Learning Rates with Sublinear Memory Cost
      <https://arxiv.org/abs/1804.04235>`_, 2018.
    """
    check_scalar_or_schedule(learning_rate, "learning_rate", "adafactorw")
    check_scalar(decay_rate, "decay_rate", "adafactorw")
    clip, scale, mean = optax.identity(), optax.identity(), optax.identity()
    if clipping_threshold is not None:
        check_positive(clipping_threshold, "clipping_threshold", "adafactorw")
        clip = optax.clip_by_block_rms(clipping_threshold)
    if multiply_by_parameter_scale:
        scale = optax.scale_by_param_block_rms()
    if momentum is not None:
        check_decay_factor(momentum, "momentum", "adafactorw")
        mean = optax.ema(momentum, debias=False, accumulator_dtype=dtype_momentum)
    chain = optax.chain(
        _saturating(
            optax.scale_by_factored_rms(
                factored, decay_rate, decay_offset, min_dim_size_to_factor, eps
            )
        ),
        clip,
        scale_by_learning_rate(learning_rate),
        scale,
        mean,
    )
    return assemble_around(
        keep_dtypes(chain),
        weight_decay,
        owner="adafactorw",
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


def _saturating(
    transform: optax.GradientTransformation,
) -> optax.GradientTransformation:
    """Let the count of steps stay below the largest int32: Optax adds 1 to it."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        count = jnp.minimum(state.count, LONGEST - 1)
        return transform.update(updates, state._replace(count=count), params)

    return optax.GradientTransformation(transform.init, update)
