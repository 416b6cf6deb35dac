"""Rotational variants: neurons turn as they would where decay balances updates."""

from collections.abc import Mapping
from typing import Any

import optax

from optaxwd._checks import check_decay_factor, one_mask
from optaxwd._typing import Coupling, Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._rotation import assemble_rotation, refuse_l2
from optaxwd.optimizers._sgd import momentum_stage
from optaxwd.precision import Precision
from optaxwd.schedules import rotation_per_root_rate
from optaxwd.transforms import keep_dtypes, scale_by_adam


def rotational_adamw(
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
    channel_axis: int | tuple[int, ...] | Mapping[Any, Any] = (-1,),
    stacked: Mapping[Any, int] | None = None,
    center: bool = True,
    norm_decay: Scalar = 0.9,
    norm_eps: Scalar = 1e-8,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""AdamW at its rotational equilibrium from the first step on (RV-AdamW).

    Under AdamW with decay rate :math:`R_t`, which is :math:`\eta_t\lambda_t` unless the
    coupling says otherwise, the neurons of a normalised network come to turn at

    .. math:: \eta_{r,t} = \sqrt{2 R_t \frac{1 - \beta_1}{1 + \beta_1}}

    per step, at a constant norm. Here they turn so at every step, all at one rate, and
    keep the norm that they started with; see :func:`rotate_neurons`. Nothing decays
    where neurons turn, but without λ nothing would turn: λ = 0 is Adam. Leaves that
    decay and do not turn, such as biases that the mask does not leave out, and neurons
    without a direction, decay by :math:`R_t` as under :func:`adamw`.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      b1, b2, eps, eps_root, mu_dtype: as in :func:`scale_by_adam`.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule. 0.01 is
        the default of the paper's code.
      mask: which parameters turn or else decay; see :func:`add_decayed_weights`. A
        multiplier m is one of λ, so it turns a neuron :math:`\sqrt m` times as far.
      nesterov: use Nesterov momentum, as in :func:`nadamw`, for which the paper has no
        rotation: the one without it is set.
      channel_axis, stacked, center, norm_decay: as in :func:`rotate_neurons`.
      norm_eps: its ε.
      coupling, peak_learning_rate: what :math:`R_t` is, as in
        :func:`with_weight_decay`; not ``"l2"``.
      weight_decay_mask: another name for ``mask``.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: that of
      :func:`scale_by_adam` and 8 bytes per neuron.

    Raises:
      ValueError: as :func:`with_weight_decay` and :func:`rotate_neurons`, and for
        ``coupling="l2"``.
      TypeError: likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.rotational_adamw(0.01, weight_decay=0.05, center=False)
      >>> params = jnp.array([[3.0], [4.0]])
      >>> updates, _ = tx.update(jnp.array([[1.0], [0.0]]), tx.init(params), params)
      >>> rotation = optaxwd.equilibrium_rotation(
      ...     "adamw", learning_rate=0.01, weight_decay=0.05
      ... )
      >>> new = params + updates
      >>> cosine = (params * new).sum() / 25
      >>> round(rotation, 5), round(float(jnp.tan(jnp.arccos(cosine))), 4)
      (0.00725, 0.0073)

    References:
      Kosson et al., `Rotational Equilibrium: How Weight Decay Balances Learning Across
      Neural Networks <https://arxiv.org/abs/2305.17212>`_, 2024.
    """
    owner = "rotational_adamw"
    refuse_l2(coupling, "of Adam", owner)
    return assemble_rotation(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        learning_rate,
        weight_decay,
        rotation_per_root_rate("adamw", owner, b1=b1),
        owner=owner,
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        mask=one_mask(mask, weight_decay_mask, owner),
        channel_axis=channel_axis,
        stacked=stacked,
        center=center,
        norm_decay=norm_decay,
        norm_eps=norm_eps,
        precision=precision,
        max_grad_norm=max_grad_norm,
    )


def rotational_sgd(
    learning_rate: ScalarOrSchedule,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask = None,
    *,
    channel_axis: int | tuple[int, ...] | Mapping[Any, Any] = (-1,),
    stacked: Mapping[Any, int] | None = None,
    center: bool = True,
    norm_decay: Scalar = 0.9,
    norm_eps: Scalar = 1e-8,
    coupling: Coupling = "l2",
    peak_learning_rate: Any = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""SGD at its rotational equilibrium from the first step on (RV-SGDM).

    As :func:`rotational_adamw`, with the rotation of SGD with momentum μ,

    .. math::

        \eta_{r,t} = \sqrt{\frac{2 \eta_t \lambda_t}{1 + \mu}}
        \quad\text{for L2,} \qquad
        \eta_{r,t} = \sqrt{2 R_t \frac{1 - \mu}{1 + \mu}}
        \quad\text{for decoupled decay.}

    The first is the paper's and stands for ``torch.optim.SGD(weight_decay=λ)``; the
    second is a reconstruction by the same argument. With ``coupling="l2"`` leaves that
    decay and do not turn have λθ in their gradient, and neurons without a direction do
    not decay.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      momentum: :math:`\mu` in [0, 1); ``None``: no momentum and no state for it.
      nesterov: use Nesterov momentum; the rotation is the same, as in the paper's code.
      accumulator_dtype: dtype of the momentum; ``None``: that of the parameters.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule; 0: SGD.
      mask: as in :func:`rotational_adamw`.
      channel_axis, stacked, center, norm_decay: as in :func:`rotate_neurons`.
      norm_eps: its ε, in units of the gradient.
      coupling: one of all five; by default ``"l2"``, as in the paper.
      peak_learning_rate: as in :func:`with_weight_decay`.
      weight_decay_mask: another name for ``mask``.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: the momentum and 8 bytes
      per neuron.

    Raises:
      ValueError: as :func:`with_weight_decay` and :func:`rotate_neurons`.
      TypeError: likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.rotational_sgd(0.5, weight_decay=0.01, center=False)
      >>> params = jnp.array([[3.0], [4.0]])
      >>> updates, _ = tx.update(jnp.array([[2.0], [0.0]]), tx.init(params), params)
      >>> [round(float(w), 4) for w in (params + updates)[:, 0]]  # turned by 0.1
      [2.5871, 4.2787]

    References:
      Kosson et al., `Rotational Equilibrium: How Weight Decay Balances Learning Across
      Neural Networks <https://arxiv.org/abs/2305.17212>`_, 2024.
    """
    owner = "rotational_sgd"
    walk = "sgd_l2" if coupling == "l2" else "sgdw"
    return assemble_rotation(
        momentum_stage(momentum, nesterov, accumulator_dtype, owner),
        learning_rate,
        weight_decay,
        rotation_per_root_rate(walk, owner, momentum=momentum),
        owner=owner,
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        mask=one_mask(mask, weight_decay_mask, owner),
        channel_axis=channel_axis,
        stacked=stacked,
        center=center,
        norm_decay=norm_decay,
        norm_eps=norm_eps,
        precision=precision,
        max_grad_norm=max_grad_norm,
    )


def rotational_lion(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1.0,
    mask: Mask = None,
    *,
    channel_axis: int | tuple[int, ...] | Mapping[Any, Any] = (-1,),
    stacked: Mapping[Any, int] | None = None,
    center: bool = True,
    norm_decay: Scalar = 0.9,
    norm_eps: Scalar = 1e-8,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Lion at its rotational equilibrium from the first step on (RV-Lion).

    As :func:`rotational_adamw`, with the rotation of Lion,

    .. math::

        \eta_{r,t} = \sqrt{\pi R_t}\,\rho, \qquad
        \rho^2 = (1-\beta_1)^2 + \beta_1^2 \frac{1-\beta_2}{1+\beta_2}

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      b1: :math:`\beta_1` in [0, 1), the weight of the momentum in the direction.
      b2: :math:`\beta_2` in [0, 1), rate of the momentum.
      mu_dtype: dtype of the momentum; ``None``: that of the parameters.
      weight_decay: :math:`\lambda_t`, a number, a scalar array or a schedule; 0: Lion.
        1 is the default of the paper's code.
      mask: as in :func:`rotational_adamw`.
      channel_axis, stacked, center, norm_decay: as in :func:`rotate_neurons`.
      norm_eps: its ε.
      coupling, peak_learning_rate: as in :func:`rotational_adamw`; not ``"l2"``.
      weight_decay_mask: another name for ``mask``.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: the momentum and 8 bytes
      per neuron.

    Raises:
      ValueError: as :func:`rotational_adamw`.
      TypeError: likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.rotational_lion(1e-3, weight_decay=1.0, center=False)
      >>> params = jnp.array([[3.0], [4.0]])
      >>> updates, _ = tx.update(jnp.array([[2.0], [0.0]]), tx.init(params), params)
      >>> [round(float(w), 4) for w in (params + updates)[:, 0]]
      [2.9733, 4.0199]

    References:
      Kosson et al., `Rotational Equilibrium: How Weight Decay Balances Learning Across
      Neural Networks <https://arxiv.org/abs/2305.17212>`_, 2024.

      Chen et al., `Symbolic Discovery of Optimization Algorithms
      <https://arxiv.org/abs/2302.06675>`_, 2023.
    """
    owner = "rotational_lion"
    for name, value in (("b1", b1), ("b2", b2)):
        check_decay_factor(value, name, owner)
    refuse_l2(coupling, "of Lion", owner)
    return assemble_rotation(
        keep_dtypes(optax.scale_by_lion(b1, b2, mu_dtype)),
        learning_rate,
        weight_decay,
        rotation_per_root_rate("lionw", owner, b1=b1, b2=b2),
        owner=owner,
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        mask=one_mask(mask, weight_decay_mask, owner),
        channel_axis=channel_axis,
        stacked=stacked,
        center=center,
        norm_decay=norm_decay,
        norm_eps=norm_eps,
        precision=precision,
        max_grad_norm=max_grad_norm,
    )
