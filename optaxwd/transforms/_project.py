"""Updates without the part along the weights, where the loss ignores their size."""

import math
from collections.abc import Mapping
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
    check_transformation,
    is_static_number,
    one_mask,
)
from optaxwd._leave_out import DECAY, leaves_out
from optaxwd._typing import Mask, Scalar, ScalarOrSchedule
from optaxwd.numerics import widen
from optaxwd.rules import LeafDecay, check_mask, resolve_decays
from optaxwd.transforms._channels import Views, entries, views_of
from optaxwd.transforms._dtypes import promote
from optaxwd.transforms._engine import add_decay
from optaxwd.transforms._norms import dot, nonzero, norm, square_norm
from optaxwd.transforms._rates import current, rates_at, start, value_at

_NAME = "project_updates"


class ProjectUpdatesState(NamedTuple):
    """State of :func:`project_updates`.

    The structure is the same for a number, an array and a schedule, with and without
    a mask.

    Attributes:
      decay_count: number of updates seen so far; shape ``()``, dtype int32.
      inner_state: the preconditioner's state, with its own shapes and dtypes.
      current_weight_decay: λ of the last update, without those that rules give, and of
        the first before it; shape ``()``, dtype float32.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> state = optaxwd.project_updates(optax.sgd(0.1)).init(jnp.ones((2, 2)))
      >>> int(state.decay_count)
      0

    References:
      As of :func:`project_updates`.
    """

    decay_count: jax.typing.ArrayLike
    inner_state: Any
    current_weight_decay: jax.typing.ArrayLike = 0.0


def project_updates(
    preconditioner: optax.GradientTransformation,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask = None,
    *,
    delta: Scalar = 0.1,
    weight_decay_ratio: Scalar = 0.1,
    channel_axis: int | tuple[int, ...] | Mapping[Any, Any] = (-1,),
    stacked: Mapping[Any, int] | None = None,
    cautious: bool = False,
    after_learning_rate: bool = False,
    factor: ScalarOrSchedule = 1.0,
    weight_decay_mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Project updates off the weights whose size the loss ignores; AdamP and SGDP.

    Before a normalisation layer only the direction of a weight matters. Its gradient is
    then orthogonal to it, and momentum can only make it grow, so that later steps turn
    it less. With g the gradient, u the preconditioned direction and n the number of
    entries of θ,

    .. math::

        \text{where } \frac{|\langle g, \theta \rangle|}{\|g\| \|\theta\|}
            < \frac{\delta}{\sqrt{n}}: \quad
        & u \leftarrow u - \frac{\langle \theta, u \rangle}{\|\theta\|^2} \theta
            + f_t \lambda_t \, m \, \rho \, \theta \\
        \text{elsewhere}: \quad & u \leftarrow u + f_t \lambda_t \, m \, \theta

    with :math:`m` from the mask, a factor :math:`f_t` that is 1 unless given and
    :math:`\rho` the ratio of decays. A weight is first seen as one vector per output
    channel, and projected channel by channel if the test holds for all of them; else as
    one vector; else not at all. What has fewer than two axes is never projected. The
    test reads the gradients that come in, the projection what ``preconditioner`` makes
    of them: hence the wrapping. Clipping by a norm may stand before it, momentum not.
    After the learning rate projection is the same and decay subtracts.

    What is not as in the authors' code, from which this law is taken:

    1. Output channels are the last axis, as in Flax and Haiku. In PyTorch and Equinox
       they are the first: ``channel_axis=0``. Embeddings are rows of the first axis
       everywhere.
    2. Nothing is added to the norms; there ``eps`` is, so that gradients smaller than
       1e-8 count as orthogonal to anything. Here only a norm of 0 does, by underflow
       too. Thus a weight without gradient decays at the rate :math:`\rho\lambda`, as
       it does there.
    3. Leaves that the mask excludes are not projected either: stacked scales and biases
       have two axes and are no weights. To project without decay, give them a rule
       with ``rules.weight_decay(0.0)``.
    4. A complex entry is two real ones, in products as in n.

    The switch is one per weight and step, so the decay of a whole weight may change by
    a factor of :math:`\rho` from one step to the next.

    Args:
      preconditioner: any transformation of gradients, such as :func:`scale_by_adam`.
      weight_decay: :math:`\lambda_t \ge 0`, a number, a scalar array (traced or not)
        or a schedule of the step count, which starts at 0. With 0 this only projects.
      mask: which parameters the law is for, and how much they decay; see
        :func:`add_decayed_weights`. ``None``: all of them.
      delta: :math:`\delta \ge 0`, in units of the cosine of random vectors, which is
        :math:`1/\sqrt{n}`. 0 projects nothing.
      weight_decay_ratio: :math:`\rho \ge 0`, what λ is multiplied by where a weight was
        projected: ``wd_ratio`` of the authors' code.
      channel_axis: the axis, or axes, that number the output channels, in the shape
        without stacked axes; or these by pattern of the path, the first match winning,
        such as ``{".*embedding": 0, ".*query/kernel": (-2, -1), ".*": -1}``. What
        nothing matches has its channels last. ``()``: a whole weight is one vector.
      stacked: number of leading axes that only stack layers, by pattern, such as
        ``{"blocks/.*": 1}``. Each layer is tested and projected by itself.
      cautious: decay only where the update, projected or not, does not point away from
        zero.
      after_learning_rate: whether ``preconditioner`` already scales by −η, as complete
        optimizers do. It must be told: the numbers alone do not show it.
      factor: :math:`f_t \ge 0`, what every λ is multiplied by, also those of rules: a
        number, a scalar array or a schedule.
      weight_decay_mask: another name for ``mask``.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. Updates keep structure and
      shapes; narrower ones take the dtypes of the parameters. State: 8 bytes and that
      of ``preconditioner``, nothing per parameter.

    Raises:
      ValueError: if a number is negative, NaN or not a scalar; if the mask has another
        structure than the parameters; if both names of the mask are given; in ``init``
        if a weight has no such channel axis, or fewer axes than stack, or a pattern of
        these matches nothing; in ``update`` if ``params`` is ``None``.
      TypeError: if ``preconditioner`` is not a transformation, a rate not a number, an
        axis not an int, or a mask leaf not a bool.

    Examples:
      A gradient orthogonal to the weight, and momentum that no longer is:

      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.project_updates(optax.trace(0.5), channel_axis=0)
      >>> params = jnp.array([[3.0, 4.0]])
      >>> state = tx.init(params)
      >>> _, state = tx.update(jnp.array([[2.0, 0.0]]), state, params)
      >>> updates, _ = tx.update(jnp.array([[-4.0, 3.0]]), state, params)
      >>> updates.round(4).tolist()  # [-3, 3], less 0.12 times [3, 4]
      [[-3.359999895095825, 2.5199999809265137]]

    References:
      Heo et al., `AdamP: Slowing Down the Slowdown for Momentum Optimizers on
      Scale-invariant Weights <https://arxiv.org/abs/2006.08217>`_, 2021.
    """
    stage = project_stage(
        preconditioner,
        weight_decay,
        mask=one_mask(mask, weight_decay_mask, _NAME),
        delta=delta,
        weight_decay_ratio=weight_decay_ratio,
        channel_axis=channel_axis,
        stacked=stacked,
        cautious=cautious,
        after_learning_rate=after_learning_rate,
        factor=factor,
        owner=_NAME,
    )
    return tree.init_beside_params(stage)


def project_stage(
    preconditioner: optax.GradientTransformation,
    weight_decay: ScalarOrSchedule,
    *,
    mask: Mask,
    delta: Scalar,
    weight_decay_ratio: Scalar,
    channel_axis: Any,
    stacked: Any,
    cautious: bool,
    after_learning_rate: bool,
    factor: ScalarOrSchedule,
    owner: str,
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`project_updates` for ``owner``, which its messages name."""
    check_transformation(preconditioner, "preconditioner", owner)
    check_scalar_or_schedule(weight_decay, "weight_decay", owner)
    check_scalar_or_schedule(factor, "factor", owner)
    check_scalar(delta, "delta", owner)
    check_scalar(weight_decay_ratio, "weight_decay_ratio", owner)
    check_bool(cautious, "cautious", owner)
    check_bool(after_learning_rate, "after_learning_rate", owner)
    check_mask(mask, owner, anchors=False)
    views_by_leaf = views_of(channel_axis, stacked, owner)
    inner = optax.with_extra_args_support(preconditioner)

    def init(params: optax.Params) -> ProjectUpdatesState:
        if jax.tree.leaves(params):
            views_by_leaf(params, resolve_decays(mask, params, owner=owner))
        count, now = start(weight_decay, "weight_decay", owner)
        return ProjectUpdatesState(count, inner.init(params), now)

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
        lam = value_at(weight_decay, state.decay_count, "weight_decay", owner)
        rate_of = rates_at(lam, factor, state.decay_count, owner)
        decaying = not leaves_out(extra_args, DECAY)
        decays = resolve_decays(mask, theta, owner=owner, check=False)

        def leaf(
            direction: Any, grad: Any, param: Any, decay: LeafDecay, views: Views | None
        ) -> Any:
            passes = direction is None or decay.multiplier == 0
            if passes or not tree.is_inexact(param):
                return direction
            new, ratio = widen(direction), 1.0
            if views is not None:
                new, projected = _project(new, widen(grad), widen(param), views, delta)
                ratio = jnp.where(projected, weight_decay_ratio, 1.0)
            rate = rate_of(decay) if decaying else 0.0
            new = add_decay(
                new,
                widen(param),
                # A rate that is known to be 0 stays so, and nothing is computed.
                rate=rate if is_static_number(rate) and rate == 0 else rate * ratio,
                multiplier=decay.multiplier,
                cautious=cautious,
                after_learning_rate=after_learning_rate,
            )
            return promote(new, direction, param)

        directions = jax.tree.map(
            leaf,
            directions,
            updates,
            theta,
            decays,
            views_by_leaf(theta, decays, check=False),
            is_leaf=lambda x: x is None,
        )
        now = current(lam, state.decay_count)
        count = optax.safe_increment(state.decay_count)
        return directions, ProjectUpdatesState(count, inner_state, now)

    return optax.GradientTransformationExtraArgs(init, update)


def _project(
    direction: jax.Array, grad: jax.Array, param: jax.Array, views: Views, delta: Scalar
) -> tuple[jax.Array, jax.Array]:
    """Return the direction, projected where the test says so, and whether it does.

    Both ways are computed and selected from: which one holds is known only on the
    device, once per stacked layer. An update that is not projected keeps its bits.
    """
    by_channel = _is_orthogonal(grad, param, views.channel, views.whole, delta)
    as_one = _is_orthogonal(grad, param, views.whole, views.whole, delta)
    projected = jnp.where(
        by_channel,
        _without_radial(direction, param, views.channel),
        jnp.where(as_one, _without_radial(direction, param, views.whole), direction),
    )
    return projected, by_channel | as_one


def _is_orthogonal(
    grad: jax.Array,
    param: jax.Array,
    axes: tuple[int, ...],
    whole: tuple[int, ...],
    delta: Scalar,
) -> jax.Array:
    """Return whether the vectors along ``axes`` pass the test, all of a weight's."""
    norms = norm(grad, axes) * norm(param, axes)
    # A NaN stays one, and no comparison with it holds.
    cosines = jnp.abs(dot(grad, param, axes)) / nonzero(norms)
    largest = jnp.max(cosines, axis=whole, keepdims=True, initial=0.0)
    size = entries(param, axes) * (2 if jnp.iscomplexobj(param) else 1)
    return largest < delta / math.sqrt(max(size, 1))


def _without_radial(
    direction: jax.Array, param: jax.Array, axes: tuple[int, ...]
) -> jax.Array:
    radial = dot(param, direction, axes) / nonzero(square_norm(param, axes))
    return direction - radial * param
