"""Adam with constrained parameter regularisation."""

from typing import Any

import optax

from optaxwd._checks import check_scalar_or_schedule, one_mask
from optaxwd._typing import Coupling, Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import complete
from optaxwd.optimizers._couplings import check_coupling, rate_factor
from optaxwd.precision import Precision
from optaxwd.transforms import constraint_stage, scale_by_adam, scale_by_learning_rate

_NAME = "adamcpr"

_REFUSED = {
    "l2": "puts decay into the gradient, but the bound is on the parameters after the "
    "step",
    "corrected": "keeps the equilibrium norm where the learning rate changes, but here "
    "the bound sets the norm",
}


def adamcpr(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    kappa_init_method: str = "inflection_point",
    kappa_init_param: Scalar | None = None,
    mask: Mask = None,
    *,
    nesterov: bool = False,
    measure: str = "l2",
    kappa_update: Scalar = 1.0,
    kappa_adapt: bool = False,
    interval: Scalar = 200,
    ema_decay: Scalar = 0.9,
    coupling: Coupling = "constant",
    peak_learning_rate: Any = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam with a bound on every tensor in place of a rate of decay.

    .. math::

        \theta' &= \theta - \eta_t \frac{\hat m}{\sqrt{\hat v} + \epsilon}, \qquad
        \nu \leftarrow \max\left(\nu + \tfrac{\mu}{n} (R(\theta') - \kappa),\, 0\right)
        \\
        \theta &\leftarrow \theta' - f_t \, \nu \, \nabla R(\theta')

    :func:`constrain_norms` says where this is not as in the paper. The defaults are
    those of the paper's code: its bounds are found by themselves, and no learning rate
    scales the pull, :math:`f_t = 1`.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      b1, b2, eps, eps_root, mu_dtype: as in :func:`scale_by_adam`.
      kappa_init_method, kappa_init_param, mask: as in :func:`constrain_norms`. The
        paper holds all parameters but biases and the scales of normalisations.
      nesterov: use Nesterov momentum, as in :func:`nadamw`.
      measure, kappa_update, kappa_adapt, interval, ema_decay, weight_decay_mask: as in
        :func:`constrain_norms`.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.
      coupling: what scales the pull: ``"constant"``: nothing; ``"learning_rate"``:
        :math:`f_t = \eta_t`, the code's ``reg_by_lr``; ``"independent"``:
        :math:`f_t = \eta_t / \eta_\text{peak}`.
      peak_learning_rate: :math:`\eta_\text{peak}`, needed with ``"independent"``
        where ``learning_rate`` is a schedule or an array.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: Adam's, and 8 bytes per
      tensor, 16 for ``"inflection_point"``.

    Raises:
      ValueError: as :func:`constrain_norms` and :func:`scale_by_adam`; if ``coupling``
        is ``"l2"`` or ``"corrected"``.
      TypeError: likewise.

    Examples:
      The bound is what the tensor measured at first, so a step that shrinks it passes,
      and one that stretches it is pulled back, here by 2 (0.21² - 0.2²) 0.21:

      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.adamcpr(0.01, kappa_init_method="dependent", kappa_init_param=1)
      >>> params = {"shrunk": jnp.array([0.2]), "stretched": jnp.array([0.2])}
      >>> grads = {"shrunk": jnp.array([1.0]), "stretched": jnp.array([-1.0])}
      >>> updates, _ = tx.update(grads, tx.init(params), params)
      >>> [round(float(updates[name][0]), 6) for name in ("shrunk", "stretched")]
      [-0.01, 0.008278]

    References:
      Franke et al., `Improving Deep Learning Optimization through Constrained Parameter
      Regularization <https://arxiv.org/abs/2311.09058>`_, 2024.
    """
    check_scalar_or_schedule(learning_rate, "learning_rate", _NAME)
    check_coupling(coupling, owner=_NAME)
    if coupling in _REFUSED:
        raise ValueError(
            f"{_NAME}: coupling={coupling!r} {_REFUSED[coupling]}. Use 'constant', "
            "'learning_rate' or 'independent'."
        )
    mask = one_mask(mask, weight_decay_mask, _NAME)
    constraint = constraint_stage(
        kappa_init_method,
        kappa_init_param,
        mask=mask,
        measure=measure,
        kappa_update=kappa_update,
        kappa_adapt=kappa_adapt,
        interval=interval,
        ema_decay=ema_decay,
        factor=rate_factor(
            learning_rate,
            peak_learning_rate,
            coupling=coupling,
            scaled_later=False,
            owner=_NAME,
        ),
        owner=_NAME,
    )
    adam = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return complete(
        (adam, scale_by_learning_rate(learning_rate), constraint),
        mask,
        _NAME,
        precision,
        max_grad_norm,
    )
