"""Amos: decay and learning rate that adapt to an expected scale of the weights."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd._checks import (
    check_decay_factor,
    check_params,
    check_positive,
    check_scalar,
    check_scalar_or_schedule,
    one_mask,
)
from optaxwd._leave_out import DECAY, leaves_out
from optaxwd._typing import Mask, Scalar, ScalarOrSchedule
from optaxwd.numerics import widen
from optaxwd.rules import check_mask, resolve_decays
from optaxwd.transforms._axes import LeafAxes, check_axes, existing_axes
from optaxwd.transforms._dtypes import cast_like, promote
from optaxwd.transforms._moments import bias_correction, running_mean
from optaxwd.transforms._norms import square_norm
from optaxwd.transforms._rates import current, rates_at, start, value_at
from optaxwd.transforms._scales import ExpectedScale, check_scales, scales_of
from optaxwd.tree import init_beside_params, map_to_trees

_NAME = "scale_by_amos"


class ScaleByAmosState(NamedTuple):
    """State of :func:`scale_by_amos`.

    Leaves that are not floating-point have an ``optax.MaskedNode`` in both trees.

    Attributes:
      amos_count: number of updates seen so far; shape ``()``, dtype int32.
      amos_v: running mean of the mean squared gradient; shape ``()``, or that of the
        leaf with 1 for the reduced axes; dtype float32 or wider.
      amos_b: how far learning rate and decay have come down; shape and dtype likewise.
      current_learning_rate: η of the last update, and of the first before it; shape
        ``()``, dtype float32.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> state = optaxwd.scale_by_amos(0.1, 0.5).init(jnp.ones(2))
      >>> int(state.amos_count)
      0

    References:
      As of :func:`scale_by_amos`.
    """

    amos_count: jax.typing.ArrayLike
    amos_v: Any
    amos_b: Any
    current_learning_rate: jax.typing.ArrayLike = 0.0


def scale_by_amos(
    learning_rate: ScalarOrSchedule,
    expected_scale: ExpectedScale,
    b2: Scalar = 0.999,
    eps: Scalar = 2.0**-125,
    extra_l2: ScalarOrSchedule = 0.0,
    mask: Mask = None,
    *,
    c_coef: Scalar = 0.25,
    d_coef: Scalar = 0.25,
    reduced_axes: LeafAxes = None,
    weight_decay_mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Steps of Amos: decay that leads the weights to an expected scale, then fades.

    With :math:`\xi_t` the learning rate, :math:`\tilde\eta` the expected scale of the
    entries of a leaf, and :math:`\overline{g^2}` the mean of the squared gradient over
    its reduced axes,

    .. math::

        v &\leftarrow \beta v + (1 - \beta) \overline{g^2}, \quad
        r = (1 - \beta^t) / \max(v, \epsilon) \\
        c &= (1 + c_0 \sqrt{\xi_t}\, b)^{-1/2}, \quad
        d = (1 + d_0 \sqrt{\xi_t \tilde\eta}\, b)^{-1}, \quad
        \gamma = c\, \xi_t^2\, r\, \overline{g^2} \\
        s &= -d \left( \xi_t \tilde\eta \sqrt r\, g
            + m (\tfrac12 \gamma + \lambda) \theta \right), \quad
        b \leftarrow b + \gamma (1 + b)

    with t from 1 for the first update, m from the mask and λ the extra L2. Gradients
    come in and finished steps s go out: the learning rate is in them, so this stands
    where another chain has its learning rate.

    The strength of the decay, γ, is no argument. ``mask`` says what becomes of its pull
    on θ: m = 0 takes away the whole second term, that of γ too, while b goes on, and
    with it the fading of the learning rate. A rule's own λ takes the place of the extra
    L2 and leaves γ as it is.

    Deviations from the paper's code:

    1. Schedules count from 0, as everywhere here; the code calls them with 1 at the
       first update. Pass ``lambda count: schedule(count + 1)`` for its numbers.
    2. ``v`` and ``b`` are float32 also for bfloat16 parameters, in which a mean with
       β = 0.999 does not move.
    3. They are one number per leaf unless ``reduced_axes`` says otherwise; in the code
       they are as large as the leaf unless a function says otherwise.
    4. ``c_coef`` and ``d_coef`` are the code's one 0.25. The later additions of the
       code, a rate for fine-tuning and an initial b, are left out.

    Some ports set the expected scale from shapes alone, and add ε to v instead of
    taking the larger.

    Args:
      learning_rate: :math:`\xi_t \ge 0`, a number, a scalar array or a schedule; for N
        independent batches of training data about :math:`1/\sqrt N`.
      expected_scale: :math:`\tilde\eta > 0`, in units of θ, the size of the entries of
        the trained weights: a number or scalar array for all, a tree of those (or a
        prefix) laid over the parameters, or a function of path and shape.
      b2: β in [0, 1), rate of the mean square.
      eps: :math:`\epsilon > 0`, the least v to divide by, in units of squared
        gradients.
      extra_l2: λ ≥ 0, a number, a scalar array or a schedule. The learning rate does
        not scale it, but d does.
      mask: which parameters decay; see above and :func:`add_decayed_weights`.
      c_coef: :math:`c_0 \ge 0`, how fast decay fades.
      d_coef: :math:`d_0 \ge 0`, how fast the learning rate fades.
      reduced_axes: the axes over which the squared gradient is averaged, and along
        which ``v`` and ``b`` are shared: ``None`` for all; an axis or a tuple, of which
        those that a leaf does not have are skipped; or a function of path and shape
        that returns one of these.
      weight_decay_mask: another name for ``mask``.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: 8 bytes per leaf, or 8
      bytes per entry of what is left when the reduced axes are 1.

    Raises:
      ValueError: if a number is out of range, or the expected scale or the mask has
        another structure than the parameters; in ``update`` if ``params`` is ``None``.
      TypeError: if a number or an axis is of another type.

    Examples:
      The first step is ξη̃ towards lower loss and half of ξ² of θ towards zero:

      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.scale_by_amos(0.01, 0.5)
      >>> params = jnp.array([2.0])
      >>> updates, state = tx.update(jnp.array([0.3]), tx.init(params), params)
      >>> round(float(updates[0]), 6), round(float(state.amos_b), 8)
      (-0.0051, 0.0001)

    References:
      Tian and Parikh, `Amos: An Adam-style Optimizer with Adaptive Weight Decay towards
      Model-Oriented Scale <https://arxiv.org/abs/2210.11693>`_, 2022.
    """
    stage = amos_stage(
        learning_rate,
        expected_scale,
        b2=b2,
        eps=eps,
        extra_l2=extra_l2,
        mask=one_mask(mask, weight_decay_mask, _NAME),
        c_coef=c_coef,
        d_coef=d_coef,
        reduced_axes=reduced_axes,
        owner=_NAME,
    )
    return init_beside_params(stage)


def amos_stage(
    learning_rate: ScalarOrSchedule,
    expected_scale: ExpectedScale,
    *,
    b2: Scalar,
    eps: Scalar,
    extra_l2: ScalarOrSchedule,
    mask: Mask,
    c_coef: Scalar,
    d_coef: Scalar,
    reduced_axes: LeafAxes,
    owner: str,
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`scale_by_amos` for ``owner``, which its messages name."""
    check_scalar_or_schedule(learning_rate, "learning_rate", owner)
    check_scalar_or_schedule(extra_l2, "extra_l2", owner)
    check_decay_factor(b2, "b2", owner)
    check_positive(eps, "eps", owner)
    for name, value in (("c_coef", c_coef), ("d_coef", d_coef)):
        check_scalar(value, name, owner)
    check_scales(expected_scale, owner)
    check_axes(reduced_axes, "reduced_axes", owner)
    check_mask(mask, owner, anchors=False)

    def init(params: optax.Params) -> ScaleByAmosState:
        v = params
        if jax.tree.leaves(params):
            resolve_decays(mask, params, owner=owner)
            scales_of(expected_scale, params, owner)
            axes = existing_axes(reduced_axes, params, "reduced_axes", owner)
            v = jax.tree.map(_initial, params, axes)
        b = jax.tree.map(jnp.zeros_like, v)
        count, now = start(learning_rate, "learning_rate", owner)
        return ScaleByAmosState(count, v, b, now)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        theta = check_params(params, owner)
        decaying = not leaves_out(extra_args, DECAY)
        rate_of = rates_at(extra_l2, 1.0, state.amos_count, owner)
        xi = value_at(learning_rate, state.amos_count, "learning_rate", owner)
        count = optax.safe_increment(state.amos_count)
        now = _Now(xi, b2, bias_correction(b2, count), eps, c_coef, d_coef)

        def leaf(g: Any, p: Any, decay: Any, scale: Any, axes: Any, v: Any, b: Any):
            if g is None or not tree.is_inexact(p):
                return g, v, b
            multiplier = decay.multiplier if decaying else 0.0
            return _step(g, p, multiplier, rate_of(decay), scale, axes, v, b, now)

        steps, v, b = map_to_trees(
            leaf,
            3,
            updates,
            theta,
            resolve_decays(mask, theta, owner=owner, check=False),
            scales_of(expected_scale, theta, owner),
            existing_axes(reduced_axes, theta, "reduced_axes", owner),
            state.amos_v,
            state.amos_b,
            is_leaf=lambda x: x is None,
        )
        rate = current(xi, state.amos_count)
        return steps, ScaleByAmosState(count, v, b, rate)

    return optax.GradientTransformationExtraArgs(init, update)


class _Now(NamedTuple):
    """What all leaves share at one step."""

    learning_rate: Any
    b2: Scalar
    weight: jax.Array
    eps: Scalar
    c_coef: Scalar
    d_coef: Scalar


def _step(
    update: Any,
    param: Any,
    multiplier: float,
    extra_l2: Any,
    scale: Any,
    axes: tuple[int, ...] | None,
    v: jax.Array,
    b: jax.Array,
    now: _Now,
) -> tuple[Any, jax.Array, jax.Array]:
    """Return the step of one leaf, and its new v and b."""
    xi = now.learning_rate
    gradient = widen(update)
    square = _mean_square(gradient, axes)
    new_v = running_mean(v, square, now.b2)
    r = now.weight / jnp.maximum(new_v, now.eps)
    c = (1 + now.c_coef * jnp.sqrt(xi) * b) ** -0.5
    d = 1 / (1 + now.d_coef * jnp.sqrt(xi * scale) * b)
    gamma = c * jnp.square(xi) * r * square
    ascent = xi * scale * jnp.sqrt(r) * gradient
    if multiplier != 0:
        ascent = ascent + multiplier * (0.5 * gamma + extra_l2) * widen(param)
    new_b = cast_like(b + gamma * (1 + b), b)
    return promote(-d * ascent, update, param), new_v, new_b


def _mean_square(x: jax.Array, axes: tuple[int, ...] | None) -> jax.Array:
    """Return the mean over ``axes``, which keep length 1, or over all; 0 of nothing."""
    total = square_norm(x, axes)
    return total * (total.size / max(x.size, 1))


def _initial(param: Any, axes: tuple[int, ...] | None) -> Any:
    if not tree.is_inexact(param):
        return optax.MaskedNode()
    shape = ()
    if axes is not None:
        shape = [1 if i in axes else n for i, n in enumerate(jnp.shape(param))]
    # The real kin of a complex dtype.
    return jnp.zeros(shape, jnp.finfo(widen(param).dtype).dtype)
