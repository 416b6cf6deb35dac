"""AdamP and SGDP: no steps along the weights where the loss ignores their size."""

from collections.abc import Mapping
from typing import Any

import optax

from optaxwd._checks import one_mask
from optaxwd._typing import Coupling, Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import assemble_within
from optaxwd.optimizers._sgd import long_run, momentum_stage
from optaxwd.precision import Precision
from optaxwd.transforms import project_stage, scale_by_adam


def adamp(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-2,
    mask: Mask = None,
    *,
    nesterov: bool = False,
    delta: Scalar = 0.1,
    weight_decay_ratio: Scalar = 0.1,
    channel_axis: int | tuple[int, ...] | Mapping[Any, Any] = (-1,),
    stacked: Mapping[Any, int] | None = None,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    cautious: bool = False,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam with decoupled decay, projected off weights whose size the loss ignores.

    With u the direction of :func:`adamw` and :math:`\Pi_\theta` the projection on what
    is orthogonal to θ,

    .. math::

        \theta \leftarrow \theta - \eta_t \begin{cases}
            \Pi_\theta(u) + \rho \lambda \theta
                & \text{where } |\cos(g, \theta)| < \delta / \sqrt{n} \\
            u + \lambda \theta & \text{elsewhere}
        \end{cases}

    as in :func:`project_updates`, which says where and in which parts. Set
    ``channel_axis`` for your library. What is not as in the authors' code, further to
    the list there:

    1. Nesterov momentum is Optax's, whose bias correction looks one step ahead.
    2. λ is 1e-2, as their example has it, and not 0.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      b1, b2, eps, eps_root, mu_dtype: as in :func:`scale_by_adam`.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule.
      mask: which parameters decay and are projected; see :func:`project_updates`.
      nesterov: use Nesterov momentum, as in :func:`nadamw`.
      delta, weight_decay_ratio, channel_axis, stacked: as in :func:`project_updates`.
      coupling, peak_learning_rate, cautious, weight_decay_mask: as in
        :func:`with_weight_decay`; couplings all but ``"l2"``, which would take
        the decay for a gradient and project it away.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: that of :func:`adamw`,
      two numbers per parameter.

    Raises:
      ValueError: as :func:`with_weight_decay` and :func:`project_updates`; if
        ``coupling`` is ``"l2"``.
      TypeError: likewise.

    Examples:
      The gradient is orthogonal to the weight, Adam's direction (its sign) is not:

      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.adamp(0.1, weight_decay=0.5, channel_axis=0)
      >>> params = jnp.array([[3.0, 4.0]])
      >>> updates, _ = tx.update(jnp.array([[-4.0, 3.0]]), tx.init(params), params)
      >>> [round(float(u), 4) for u in updates[0]]  # -0.1 * ([-1.12, 0.84] + 0.05 θ)
      [0.097, -0.104]

    References:
      Heo et al., `AdamP: Slowing Down the Slowdown for Momentum Optimizers on
      Scale-invariant Weights <https://arxiv.org/abs/2006.08217>`_, 2021.
    """
    return assemble_within(
        project_stage,
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        learning_rate,
        weight_decay,
        owner="adamp",
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        cautious=cautious,
        mask=one_mask(mask, weight_decay_mask, "adamp"),
        delta=delta,
        weight_decay_ratio=weight_decay_ratio,
        channel_axis=channel_axis,
        stacked=stacked,
        precision=precision,
        max_grad_norm=max_grad_norm,
    )


def sgdp(
    learning_rate: ScalarOrSchedule,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-5,
    mask: Mask = None,
    *,
    delta: Scalar = 0.1,
    weight_decay_ratio: Scalar = 0.1,
    channel_axis: int | tuple[int, ...] | Mapping[Any, Any] = (-1,),
    stacked: Mapping[Any, int] | None = None,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    cautious: bool = False,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""SGD with decoupled decay, projected off weights whose size the loss ignores.

    With :math:`b \leftarrow g + \mu b` the momentum (g itself without) and
    :math:`\Pi_\theta` the projection on what is orthogonal to θ,

    .. math::

        \theta \leftarrow \theta - \eta_t \begin{cases}
            \Pi_\theta(b) + \rho \frac{\lambda}{1-\mu} \theta
                & \text{where } |\cos(g, \theta)| < \delta / \sqrt{n} \\
            b + \frac{\lambda}{1-\mu} \theta & \text{elsewhere}
        \end{cases}

    as in :func:`project_updates`, which says where and in which parts. Set
    ``channel_axis`` for your library. To be known of it:

    1. λ is divided by :math:`1-\mu` everywhere, also where nothing is projected, and
       also the λ of rules: it is the λ of L2 in :func:`sgd_l2`, which momentum
       multiplies by as much in the long run, and not that of :func:`sgdw`. With
       :math:`\mu = 0.9` decay is 10 times what it is there.
    2. Momentum keeps what the projection takes off the step. So it is in the authors'
       code with Nesterov momentum; without, the code (and timm's) projects the momentum
       itself, in place, and the next steps differ.
    3. There is no dampening: without Nesterov momentum it is no more than a smaller
       learning rate and a larger λ.
    4. λ is 1e-5, as the authors' example has it, and not 0.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      momentum: :math:`\mu` in [0, 1); ``None``: no momentum and no state for it.
      nesterov: use Nesterov momentum.
      accumulator_dtype: dtype of the momentum; ``None``: that of the parameters.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule.
      mask: which parameters decay and are projected; see :func:`project_updates`.
      delta, weight_decay_ratio, channel_axis, stacked: as in :func:`project_updates`.
      coupling, peak_learning_rate, cautious, weight_decay_mask: as in
        :func:`with_weight_decay`, with :math:`\lambda/(1-\mu)` for λ; couplings all but
        ``"l2"``, which would take the decay for a gradient and project it away.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: that of :func:`sgdw`,
      one number per parameter with momentum and none without.

    Raises:
      ValueError: as :func:`with_weight_decay` and :func:`project_updates`; if
        ``coupling`` is ``"l2"``; if ``nesterov`` without a momentum.
      TypeError: likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.sgdp(0.1, momentum=0.9, weight_decay=0.02)
      >>> params = jnp.array([2.0])  # a vector: never projected
      >>> updates, _ = tx.update(jnp.array([0.3]), tx.init(params), params)
      >>> round(float(updates[0]), 6)  # -0.1 * (0.3 + 0.02 / 0.1 * 2)
      -0.07

    References:
      Heo et al., `AdamP: Slowing Down the Slowdown for Momentum Optimizers on
      Scale-invariant Weights <https://arxiv.org/abs/2006.08217>`_, 2021.
    """
    return assemble_within(
        project_stage,
        momentum_stage(momentum, nesterov, accumulator_dtype, "sgdp"),
        learning_rate,
        weight_decay,
        owner="sgdp",
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        cautious=cautious,
        mask=one_mask(mask, weight_decay_mask, "sgdp"),
        delta=delta,
        weight_decay_ratio=weight_decay_ratio,
        channel_axis=channel_axis,
        stacked=stacked,
        stretch=long_run(momentum),
        precision=precision,
        max_grad_norm=max_grad_norm,
    )
