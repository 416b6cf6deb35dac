"""Constrained parameter regularisation: a bound on each tensor instead of a rate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd._checks import (
    check_bool,
    check_params,
    check_scalar,
    check_scalar_or_schedule,
    one_mask,
)
from optaxwd._leave_out import DECAY, leaves_out
from optaxwd._typing import Mask, Scalar, ScalarOrSchedule
from optaxwd.numerics import widen
from optaxwd.rules import LeafDecay, check_mask, resolve_decays
from optaxwd.transforms._after_step import after_step, step_to
from optaxwd.transforms._bounds import UNSET, Bound, make_bound
from optaxwd.transforms._dtypes import cast_like
from optaxwd.transforms._measures import Measure, get_measure
from optaxwd.transforms._rates import rates_at
from optaxwd.tree import map_to_trees

_NAME = "constrain_norms"


class ConstrainNormsState(NamedTuple):
    """State of :func:`constrain_norms`.

    Trees have the structure of the parameters and hold one scalar per tensor, of shape
    ``()`` and dtype float32, or float64 for float64 parameters.

    Attributes:
      constraint_count: number of updates seen so far; shape ``()``, dtype int32.
      lagrange_multiplier: ν, 0 at first; a tree.
      kappa: the bounds κ, infinite until they are set and where the mask says no; a
        tree.
      measure_mean: mean of the samples of the measure, a tree; ``None``, which holds no
        memory, unless the method is ``"inflection_point"``.
      measure_slope: how much that mean rose at the last sample; likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> state = optaxwd.constrain_norms().init(jnp.ones((2, 2)))
      >>> state._fields[:3]
      ('constraint_count', 'lagrange_multiplier', 'kappa')

    References:
      As of :func:`constrain_norms`.
    """

    constraint_count: jax.typing.ArrayLike
    lagrange_multiplier: Any
    kappa: Any
    measure_mean: Any = None
    measure_slope: Any = None


def constrain_norms(
    kappa_init_method: str = "inflection_point",
    kappa_init_param: Scalar | None = None,
    mask: Mask = None,
    *,
    measure: str = "l2",
    kappa_update: Scalar = 1.0,
    kappa_adapt: bool = False,
    interval: Scalar = 200,
    ema_decay: Scalar = 0.9,
    factor: ScalarOrSchedule = 1.0,
    weight_decay_mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Hold a measure of every tensor below a bound of its own (CPR).

    An augmented Lagrangian: the excess over the bound κ adds up in a multiplier ν, and
    ν takes the place of the rate of decay. With :math:`\theta' = \theta + s` the
    parameters after the step, n the entries of the tensor (1 for ``"std"``), the factor
    :math:`f_t` and :math:`m` from the mask,

    .. math::

        \nu &\leftarrow \max\left(\nu + \tfrac{\mu}{n} (R(\theta') - \kappa),\, 0\right)
        \\
        \theta &\leftarrow \theta' - f_t \, m \, \nu \, \nabla R(\theta')

    It stands last in the chain: what comes in are descent steps, and whatever came
    after would not be measured. The pull has no learning rate in it unless ``factor``
    gives one. Before κ is set, and while ν is 0, updates pass bit for bit.

    Deviations from the paper and its authors' code:

    1. R is taken after the step, as in the code; the paper's Algorithm 1 writes
       :math:`\theta_t`, before it. So is μ divided by n.
    2. κ bounds the whole tensor, as in the paper's formula and the present code. The
       authors' first code multiplied κ by n.
    3. The inflection test is the paper's, :math:`\Delta_t \Delta_t R < 0`, on samples
       of R, whatever the measure, from the third one on. The code tests
       :math:`\sum \theta^2` always, and never keeps the average that it computes.
    4. The pull stops at the point where R is least: 0, for ``"std"`` the mean. Without
       that, :math:`2 \nu > 1` turns the signs of a tensor, and :math:`\nu > 1` makes it
       grow without end. To come near it means that κ is far too small for a tensor.
    5. A bound not set yet is infinite. The code's mark for it, 1000, is a bound that
       large tensors exceed.

    Other implementations: for lists of tensors, the authors' code pulls by θ where the
    L1 norm asks for sign θ, and cannot run ``"huber"`` and ``"std"``.

    Args:
      kappa_init_method: how κ is set. ``"uniform"``: the same for all tensors.
        ``"dependent"``: a multiple of each tensor's initial measure. ``"warm_start"``:
        the measure after so many steps, best about twice those of the learning rate's
        warmup. ``"inflection_point"``: the measure where its growth begins to slow
        down, made for Adam; where it never does, there is no bound.
      kappa_init_param: κ ≥ 0 in units of R, the factor ≥ 0, or the steps ≥ 1 for these
        in turn, read by ``init`` and during the warm start; ``"inflection_point"``
        takes none.
      mask: which parameters are held, as in :func:`add_decayed_weights`. The
        multipliers of rules scale the pull, not κ; a rule with a λ of its own is
        refused, since there is no λ.
      measure: R: ``"l2"`` :math:`\sum \theta^2`, without root or half; ``"l1"``
        :math:`\sum |\theta|`; ``"huber"``, the sum of :math:`\tfrac12 \theta^2` up to
        :math:`|\theta| = 1` and :math:`|\theta| - \tfrac12` beyond; ``"std"``, the
        standard deviation over n − 1, 0 for a tensor of one entry.
      kappa_update: μ ≥ 0, how fast ν follows the excess. The paper leaves it at 1.
      kappa_adapt: whether κ falls to the present measure each time that ν returns to 0,
        the paper's AdaCPR, which it found to be of no use.
      interval: steps ≥ 1 between two samples for ``"inflection_point"``. The paper
        takes a tenth of the learning rate's warmup.
      ema_decay: in [0, 1), how much the mean of those samples remembers; 0: no mean.
      factor: :math:`f_t \ge 0`, what every pull is multiplied by: a number, a scalar
        array or a schedule of the step count, such as the learning rate.
      weight_decay_mask: another name for ``mask``.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. Updates keep structure and
      shapes; narrower ones take the dtypes of the parameters.
      State: 8 bytes per tensor, 16 for ``"inflection_point"``.

    Raises:
      ValueError: if an argument is out of its range or unknown, if
        ``kappa_init_param`` does not fit the method, if a rule has a λ of its own, if
        both names of the mask are given; in ``update`` if ``params`` is ``None``.
      TypeError: if a number is not one, or a mask leaf is not a bool.

    Examples:
      The step ends at θ' = (0.9, −1.9), where R = 4.42 and ν = 0.02 / 2:

      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optax.chain(optax.sgd(0.1), optaxwd.constrain_norms("uniform", 4.4))
      >>> params = jnp.array([1.0, -2.0])
      >>> updates, state = tx.update(jnp.array([1.0, -1.0]), tx.init(params), params)
      >>> [round(float(x), 6) for x in params + updates]
      [0.882, -1.862]
      >>> round(float(state[1].lagrange_multiplier), 6)
      0.01

    References:
      Franke et al., `Improving Deep Learning Optimization through Constrained Parameter
      Regularization <https://arxiv.org/abs/2311.09058>`_, 2024.
    """
    return constraint_stage(
        kappa_init_method,
        kappa_init_param,
        mask=one_mask(mask, weight_decay_mask, _NAME),
        measure=measure,
        kappa_update=kappa_update,
        kappa_adapt=kappa_adapt,
        interval=interval,
        ema_decay=ema_decay,
        factor=factor,
        owner=_NAME,
    )


def constraint_stage(
    kappa_init_method: str,
    kappa_init_param: Scalar | None,
    *,
    mask: Mask,
    measure: str,
    kappa_update: Scalar,
    kappa_adapt: bool,
    interval: Scalar,
    ema_decay: Scalar,
    factor: ScalarOrSchedule,
    owner: str,
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`constrain_norms` for ``owner``, which its messages name."""
    bound = make_bound(kappa_init_method, kappa_init_param, interval, ema_decay, owner)
    known_measure = get_measure(measure, owner)
    check_scalar(kappa_update, "kappa_update", owner)
    check_bool(kappa_adapt, "kappa_adapt", owner)
    check_scalar_or_schedule(factor, "factor", owner)
    check_mask(mask, owner, anchors=False)
    scalars = 2 + bound.trackers

    def init(params: optax.Params) -> ConstrainNormsState:
        decays = params
        if jax.tree.leaves(params):
            decays = resolve_decays(mask, params, owner=owner)
            _check_rules(decays, owner)
        kept = map_to_trees(
            lambda param, decay: _initial(param, decay, known_measure, bound),
            scalars,
            params,
            decays,
        )
        return ConstrainNormsState(jnp.zeros([], jnp.int32), *kept)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        theta = check_params(params, owner)
        decays = resolve_decays(mask, theta, owner=owner, check=False)
        _check_rules(decays, owner)
        rate_of = rates_at(1.0, factor, state.constraint_count, owner)
        count = jnp.asarray(optax.safe_increment(state.constraint_count))

        def leaf(update: Any, param: Any, decay: LeafDecay, *kept: Any) -> Any:
            if update is None or not (tree.is_inexact(param) and decay.decays):
                return update, *kept
            return _constrain(
                update,
                param,
                kept,
                step=count,
                strength=rate_of(decay) * decay.multiplier,
                measure=known_measure,
                bound=bound,
                kappa_update=kappa_update,
                kappa_adapt=kappa_adapt,
            )

        new_updates, *kept = map_to_trees(
            leaf,
            1 + scalars,
            updates,
            theta,
            decays,
            *state[1 : 1 + scalars],
            is_leaf=lambda x: x is None,
        )
        if leaves_out(extra_args, DECAY):
            new_updates = updates
        return new_updates, ConstrainNormsState(count, *kept)

    return optax.GradientTransformationExtraArgs(init, update)


def _constrain(
    update: Any,
    param: Any,
    kept: tuple[Any, ...],
    *,
    step: jax.Array,
    strength: Any,
    measure: Measure,
    bound: Bound,
    kappa_update: Any,
    kappa_adapt: bool,
) -> tuple[Any, ...]:
    """Return the update of one tensor and its scalars: ν, κ and those of the bound."""
    nu, kappa, *trackers = kept
    target = after_step(update, param)
    value = measure.value(target)
    new_kappa, *trackers = bound.follow(kappa, value, step, *trackers)
    # No infinity enters a product: a μ of 0 would make NaN of it.
    excess = jnp.where(jnp.isinf(new_kappa), 0, value - new_kappa)
    entries = max(target.size, 1) if measure.is_sum else 1
    new_nu = jnp.maximum(nu + kappa_update / entries * excess, 0)
    if kappa_adapt:
        new_kappa = jnp.where((nu > 0) & (new_nu == 0), value, new_kappa)
    pull = strength * new_nu * measure.gradient(target)
    furthest = target - measure.center(target)
    # In this order also where ν is infinite and the gradient 0.
    pull = jnp.where(jnp.abs(pull) <= jnp.abs(furthest), pull, furthest)
    # A bound that NaN has lost must show, and not pass for one that is kept.
    is_lost = (jnp.isnan(new_nu) & (strength != 0)) | jnp.isnan(strength)
    pulled = jnp.where(is_lost, jnp.nan, target - pull)
    new_update = jnp.where(
        (strength * new_nu > 0) | is_lost, step_to(pulled, update, param), update
    )
    return new_update, *cast_like((new_nu, new_kappa, *trackers), kept)


def _initial(
    param: Any, decay: LeafDecay, measure: Measure, bound: Bound
) -> tuple[jax.Array, ...]:
    """Return ν, κ and the scalars of the bound before the first step."""
    held = tree.is_inexact(param) and decay.decays
    value = measure.value(widen(param)) if tree.is_inexact(param) else jnp.zeros([])
    kappa = jnp.asarray(bound.initial(value) if held else UNSET, value.dtype)
    trackers = (jnp.zeros_like(value) for _ in range(bound.trackers))
    return jnp.zeros_like(value), kappa, *trackers


def _check_rules(decays: Any, owner: str) -> None:
    for decay in jax.tree.leaves(decays):
        if decay.weight_decay is not None and decay.decays:
            raise ValueError(
                f"{owner}: a rule gives a λ of its own, {decay.weight_decay!r}, but "
                "this law has none: it holds a bound. Use a multiplier of the pull."
            )
