"""Stable weight decay: a rate that follows the root mean square gradient."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd._checks import (
    check_bool,
    check_decay_factor,
    check_params,
    check_scalar_or_schedule,
    check_transformation,
    is_static_number,
    one_mask,
)
from optaxwd._leave_out import DECAY, leaves_out
from optaxwd._typing import Mask, Scalar, ScalarOrSchedule
from optaxwd.rules import check_mask, resolve_decays
from optaxwd.transforms._dtypes import keep_dtypes, promote
from optaxwd.transforms._engine import add_decay_to_tree
from optaxwd.transforms._moments import bias_correction
from optaxwd.transforms._rates import current, rates_at, start, value_at
from optaxwd.transforms._second_moments import (
    corrects_bias,
    find_second_moments,
    mean_second_moment,
)
from optaxwd.tree import init_beside_params

_NAME = "with_stable_weight_decay"


class StableWeightDecayState(NamedTuple):
    """State of :func:`with_stable_weight_decay`.

    Attributes:
      decay_count: number of updates seen so far; shape ``()``, dtype int32.
      inner_state: the preconditioner's state, with its own shapes and dtypes.
      probe_state: the preconditioner's state for one number whose gradient is always
        1; shapes ``()``, dtype float32, or float64 if second moments are. ``None``
        where ``b2`` was given, or the preconditioner corrects no bias.
      current_weight_decay: λ of the last update, without those that rules give, and of
        the first before it; shape ``()``, dtype float32.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.with_stable_weight_decay(optax.scale_by_adam(), 0.1)
      >>> int(tx.init(jnp.ones(2)).decay_count)
      0

    References:
      As of :func:`with_stable_weight_decay`.
    """

    decay_count: jax.typing.ArrayLike
    inner_state: Any
    probe_state: Any = None
    current_weight_decay: jax.typing.ArrayLike = 0.0


def with_stable_weight_decay(
    preconditioner: optax.GradientTransformation,
    weight_decay: ScalarOrSchedule,
    mask: Mask = None,
    *,
    b2: Scalar | None = None,
    cautious: bool = False,
    after_learning_rate: bool = False,
    factor: ScalarOrSchedule = 1.0,
    weight_decay_mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Decay at a rate divided by the root mean square gradient of the whole model.

    Adam steps by :math:`\eta/\sqrt{\hat v}` times the mean gradient: its learning rate
    in effect grows while gradients shrink, and a decay of fixed rate does not grow
    along. This one does, by one number for all parameters. With :math:`u` what the
    preconditioner returns, :math:`\hat v` its second moments and N the number of all
    their entries,

    .. math::

        u \leftarrow u + \frac{f_t \lambda_t}{\sqrt{\bar v}} \, m \, \theta, \qquad
        \bar v = \frac1N \sum \hat v

    and after the learning rate likewise, subtracted. The mean is over everything that
    the preconditioner has moments of, also parameters that do not decay; what is
    frozen, or hidden by :func:`optax.masked`, is not there. The decay moves with the
    units of the loss: of a loss times 10 the rate is a tenth. Nothing bounds it: where
    gradients are small against λ, it passes 1 and decay overshoots zero.

    This follows the authors' code, except where

    1. :math:`\bar v = 0`, all gradients so far being zero or underflowing when squared:
       nothing decays, instead of becoming NaN.
    2. the preconditioner is AMSGrad: :math:`\hat v` is what Optax takes the root of,
       the largest corrected moment; theirs is the largest moment, corrected.

    No ε is added to the root, as some implementations do; one also divides the moments
    themselves by their correction, anew at every step.

    Optax keeps no :math:`\beta_2` in its states, but :math:`\hat v = v/(1 -
    \beta_2^t)`. So the preconditioner runs along on one number whose gradient is
    always 1, and whose second moment is :math:`1 - \beta_2^t`, whatever :math:`\beta_2`
    is. Inside of a chain that cannot be, and ``b2`` must be given.

    Args:
      preconditioner: :func:`scale_by_adam` or :func:`scale_by_nadam`, or Optax's
        ``scale_by_adam``, ``scale_by_amsgrad`` or ``scale_by_rms`` (whose moments it
        does not correct, without ``bias_correction``), or a chain, partition or other
        wrapper around just one of these.
      weight_decay: :math:`\lambda_t \ge 0`, a number, a scalar array (traced or not)
        or a schedule of the step count, which starts at 0. In units of the gradient:
        λ of AdamW times a typical root mean square gradient.
      mask: which parameters decay; see :func:`add_decayed_weights`.
      b2: :math:`\beta_2` in [0, 1) that the preconditioner was built with. Read only
        where moments are corrected; ``None``: measured, as said above.
      cautious: decay only where the update does not point away from zero.
      after_learning_rate: whether ``preconditioner`` already scales by −η, so that its
        updates are descent steps. It must be told: the numbers alone do not show it.
      factor: :math:`f_t \ge 0`, what every λ is multiplied by, also those of rules: a
        number, a scalar array or a schedule.
      weight_decay_mask: another name for ``mask``.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs` in place of the preconditioner.
      Updates keep the dtypes that it gives them. State: 8 bytes besides the
      preconditioner's, and where ``b2`` is measured one number for each of its fields
      (12 bytes for Adam).

    Raises:
      ValueError: if a rate is negative, NaN or not a scalar, ``b2`` is not in [0, 1),
        both names of the mask are given; in ``init`` if the state has no second
        moments or several, or needs a ``b2``; in ``update`` if ``params`` is ``None``.
      TypeError: if ``preconditioner`` is not a transformation.

    Examples:
      Gradients of 0.5 and so :math:`\sqrt{\bar v} = 0.5` double λ:

      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optax.chain(
      ...     optaxwd.with_stable_weight_decay(optax.scale_by_adam(), 0.05),
      ...     optax.scale_by_learning_rate(0.1),
      ... )
      >>> params = jnp.array([2.0, 0.0])
      >>> updates, _ = tx.update(jnp.array([0.5, 0.5]), tx.init(params), params)
      >>> [round(float(u), 4) for u in updates]  # -0.1 * (1 + 0.05 / 0.5 * θ)
      [-0.12, -0.1]

    References:
      Xie et al., `On the Overlooked Pitfalls of Weight Decay and How to Mitigate Them:
      A Gradient-Norm Perspective <https://arxiv.org/abs/2011.11152>`_, 2023, first
      called Stable Weight Decay Regularization.
    """
    stage = stable_decay_stage(
        preconditioner,
        weight_decay,
        mask=one_mask(mask, weight_decay_mask, _NAME),
        b2=b2,
        cautious=cautious,
        after_learning_rate=after_learning_rate,
        factor=factor,
        owner=_NAME,
    )
    return init_beside_params(stage)


def stable_decay_stage(
    preconditioner: optax.GradientTransformation,
    weight_decay: ScalarOrSchedule,
    *,
    mask: Mask,
    b2: Scalar | None,
    cautious: bool,
    after_learning_rate: bool,
    factor: ScalarOrSchedule,
    owner: str,
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`with_stable_weight_decay` for ``owner``, which its messages name."""
    check_transformation(preconditioner, "preconditioner", owner)
    check_scalar_or_schedule(weight_decay, "weight_decay", owner)
    check_scalar_or_schedule(factor, "factor", owner)
    check_bool(cautious, "cautious", owner)
    check_bool(after_learning_rate, "after_learning_rate", owner)
    check_mask(mask, owner, anchors=False)
    if b2 is not None:
        check_decay_factor(b2, "b2", owner)
    inner = keep_dtypes(preconditioner)

    def init(params: optax.Params) -> StableWeightDecayState:
        if jax.tree.leaves(params):
            resolve_decays(mask, params, owner=owner)
        state = inner.init(params)
        moments = find_second_moments(state, owner)
        probe_state = None
        if b2 is None and corrects_bias(moments):
            _check_outermost(moments, state, owner)
            probe_state = inner.init(jnp.zeros_like(mean_second_moment(moments)))
        count, now = start(weight_decay, "weight_decay", owner)
        return StableWeightDecayState(count, state, probe_state, now)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        theta = check_params(params, owner)
        directions, inner_state = inner.update(
            updates, state.inner_state, params, **extra_args
        )
        moments = find_second_moments(inner_state, owner)
        mean, probe_state = mean_second_moment(moments), state.probe_state
        if probe_state is not None:
            probe_state = _with_unit_gradient(inner, probe_state)
            mean = mean / probe_state.nu
        elif b2 is not None and corrects_bias(moments):
            mean = mean / bias_correction(b2, moments.count)
        lam = value_at(weight_decay, state.decay_count, "weight_decay", owner)
        now = current(lam, state.decay_count)
        count = optax.safe_increment(state.decay_count)
        after = StableWeightDecayState(count, inner_state, probe_state, now)
        if leaves_out(extra_args, DECAY):
            return directions, after
        rate_of = rates_at(lam, factor, state.decay_count, owner)
        decays = resolve_decays(mask, theta, owner=owner, check=False)
        decayed = add_decay_to_tree(
            directions,
            theta,
            decays,
            jax.tree.map(lambda decay: _over_root(rate_of(decay), mean), decays),
            cautious=cautious,
            after_learning_rate=after_learning_rate,
        )
        # The rate is an array of float32, which would widen narrow updates.
        decayed = jax.tree.map(
            lambda new, old, param: new if new is old else promote(new, old, param),
            decayed,
            directions,
            theta,
            is_leaf=lambda x: x is None,
        )
        return decayed, after

    return optax.GradientTransformationExtraArgs(init, update)


def _with_unit_gradient(
    inner: optax.GradientTransformationExtraArgs, probe_state: Any
) -> Any:
    one = jnp.ones_like(probe_state.nu)
    return inner.update(one, probe_state, one)[1]


def _over_root(rate: Any, mean: jax.Array) -> Any:
    """Return rate/√mean, and 0 where either is 0; NaN of the mean stays NaN."""
    if is_static_number(rate) and rate == 0:
        return rate
    # Subnormal numbers are 0 on some devices and not on others; here on all.
    nothing = mean < jnp.finfo(mean.dtype).tiny
    root = jnp.sqrt(jnp.where(nothing, 1, mean))
    return jnp.where(nothing | (rate == 0), 0, rate / root)


def _check_outermost(moments: Any, state: Any, owner: str) -> None:
    if moments is not state:
        raise ValueError(
            f"{owner}: the second moments lie inside of a {type(state).__name__}, "
            "where the b2 that corrects their bias can be neither read nor measured, "
            "got b2=None. Pass the b2 that the preconditioner was built with."
        )
