"""Lion with decoupled weight decay."""

from typing import Any, Literal

import optax

from optaxwd._checks import check_decay_factor
from optaxwd._typing import Coupling, Form, Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import assemble
from optaxwd.precision import Precision
from optaxwd.transforms import Penalty, in_one_pass, keep_dtypes


def lionw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-3,
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
    r"""Lion with decoupled weight decay; in place of :func:`optax.lion`.

    .. math::

        \theta &\leftarrow \theta - \eta_t \left(
            \mathrm{sign}(\beta_1 m + (1-\beta_1) g) + \lambda \theta \right) \\
        m &\leftarrow \beta_2 m + (1-\beta_2) g

    Lion's learning rate is 3 to 10 times smaller than AdamW's, and λ as much larger for
    the same decay per step.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      b1: :math:`\beta_1` in [0, 1), the weight of the momentum in the direction.
      b2: :math:`\beta_2` in [0, 1), rate of the momentum.
      mu_dtype: dtype of the momentum; ``None``: that of the parameters.
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
      >>> tx = optaxwd.lionw(0.1, weight_decay=0.5)
      >>> params = jnp.array([2.0])
      >>> updates, _ = tx.update(jnp.array([0.3]), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # -0.1 * (1 + 0.5 * 2)
      -0.2

    References:
      Chen et al., `Symbolic Discovery of Optimization Algorithms
      <https://arxiv.org/abs/2302.06675>`_, 2023.
    """
    for name, value in (("b1", b1), ("b2", b2)):
        check_decay_factor(value, name, "lionw")
    return assemble(
        in_one_pass(keep_dtypes(optax.scale_by_lion(b1, b2, mu_dtype))),
        learning_rate,
        weight_decay,
        owner="lionw",
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
