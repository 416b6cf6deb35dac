"""Selective projection decay: back towards the anchor where a step should not leave."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd._checks import (
    check_params,
    check_scalar_or_schedule,
    check_transformation,
    is_static_number,
    one_mask,
)
from optaxwd._leave_out import DECAY, leaves_out
from optaxwd._typing import Mask, Scalar, ScalarOrSchedule
from optaxwd.numerics import widen
from optaxwd.rules import LeafDecay, check_mask, resolve_decays
from optaxwd.transforms._after_step import after_step, step_to
from optaxwd.transforms._anchoring import Anchors
from optaxwd.transforms._channels import layers_of
from optaxwd.transforms._norms import dot, nonzero, norm
from optaxwd.transforms._rates import current, rates_at, start, value_at

_NAME = "with_selective_projection_decay"


class SelectiveProjectionDecayState(NamedTuple):
    """State of :func:`with_selective_projection_decay`.

    Attributes:
      decay_count: number of updates seen so far; shape ``()``, dtype int32.
      inner_state: the optimizer's state, with its own shapes and dtypes.
      anchor: what anchors keep, with ``optax.MaskedNode`` for parameters that do not
        decay: shapes and dtypes as in :class:`AddDecayedWeightsState`.
      current_weight_decay: λ of the last update, without those that rules give, and of
        the first before it; shape ``()``, dtype float32.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.with_selective_projection_decay(optax.sgd(0.1), 1.0)
      >>> tx.init(jnp.array([2.0])).anchor.tolist()
      [2.0]

    References:
      As of :func:`with_selective_projection_decay`.
    """

    decay_count: jax.typing.ArrayLike
    inner_state: Any
    anchor: Any = None
    current_weight_decay: jax.typing.ArrayLike = 0.0


def with_selective_projection_decay(
    optimizer: optax.GradientTransformation,
    weight_decay: ScalarOrSchedule = 1.0,
    mask: Mask = None,
    *,
    anchor: Literal["init", "update"] | optax.Params | None = "init",
    stacked: Mapping[Any, int] | None = None,
    weight_decay_mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Selective projection decay (SPD): take back steps away from the anchor.

    Let :math:`\tilde\theta = \theta + s` be where the optimizer's step leads, g the
    gradient and a the anchor. Per layer,

    .. math::

        \theta \leftarrow \tilde\theta - \lambda_t m r (\tilde\theta - a)
            \quad \text{if } \langle g, \theta - a \rangle > 0, \qquad
        r = \max\left(0, 1 -
            \frac{\|\theta - a\|}{\|\tilde\theta - a\|}\right)

    and :math:`\theta \leftarrow \tilde\theta` otherwise. The condition says that
    descent leads back to the anchor, r that the step led away all the same, by momentum
    or by preconditioning. With λ = 1 the layer is projected onto the sphere around a on
    which it was; a larger λ pulls it further in, and past the anchor where λ r > 1.

    λ is not multiplied by the learning rate, and there is no ``coupling``: r is itself
    of the order of the step. A reconstruction from descriptions of the method and ports
    of its code; neither was read in full. Deviations from what these agree on:

    1. Where the step leads onto the anchor itself, r is 0 and not 0/0.
    2. With ``stacked``, layers in one array are judged one by one, as they would be in
       arrays of their own.

    Other implementations are known to renew the anchor with every step. Then
    :math:`\theta - a` is always 0 and nothing ever decays.

    Args:
      optimizer: a complete optimizer, learning rate included; its own decay, if it has
        any, counts as part of its step. It is wrapped, not followed, because the
        condition needs the gradient and the ratio the finished step.
      weight_decay: :math:`\lambda_t \ge 0`, a number, a scalar array or a schedule of
        the step count; 1 is full projection.
      mask: which parameters decay, and their multipliers m or λ of their own; see
        :func:`add_decayed_weights`.
      anchor: what parameters are held to, as in :func:`add_decayed_weights`.
        ``"init"``: those given to ``init``, kept in the state; rounding to a narrower
        dtype counts as distance from the start. ``None``: zero, for weights that start
        there, such as adapters.
      stacked: number of leading axes that only stack layers, by pattern, such as
        ``{"blocks/.*": 1}``; ``None``: every leaf is one layer.
      weight_decay_mask: another name for ``mask``.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. Updates keep structure and
      shapes; narrower ones take the dtypes of the parameters.
      State: that of ``optimizer``, 8 bytes, and with ``anchor="init"``
      one value per parameter that decays.

    Raises:
      ValueError: if ``weight_decay`` is negative, NaN or not a scalar; if the mask or
        the anchor has another structure than the parameters; in ``init`` if
        ``stacked`` gives an array more axes than it has, or a pattern of it matches
        nothing; in ``update`` if ``params`` is ``None``.
      TypeError: if ``optimizer`` is not a transformation, ``weight_decay`` not a
        number, or a mask leaf not a bool.

    Examples:
      The gradient points outwards, so descent leads back to 1; momentum still goes out,
      from 2 to 2.5, of which λ = 0.6 takes back 0.3:

      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> momentum = optax.stateless(lambda updates, params: jnp.array([0.5]))
      >>> tx = optaxwd.with_selective_projection_decay(
      ...     momentum, weight_decay=0.6, anchor=jnp.array([1.0])
      ... )
      >>> params = jnp.array([2.0])
      >>> state = tx.init(params)
      >>> for grads in (jnp.array([1.0]), jnp.array([-1.0])):
      ...     updates, _ = tx.update(grads, state, params)
      ...     print(round(float(params[0] + updates[0]), 6))
      2.2
      2.5

    References:
      Tian, Huang and Kira, `Rethinking Weight Decay for Robust Fine-Tuning of
      Foundation Models <https://arxiv.org/abs/2411.01713>`_, 2024.
    """
    stage = selective_stage(
        optimizer,
        weight_decay,
        mask=one_mask(mask, weight_decay_mask, _NAME),
        anchor=anchor,
        stacked=stacked,
        owner=_NAME,
    )
    return tree.init_beside_params(stage)


def selective_stage(
    optimizer: optax.GradientTransformation,
    weight_decay: ScalarOrSchedule,
    *,
    mask: Mask,
    anchor: Any,
    stacked: Mapping[Any, int] | None,
    owner: str,
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`with_selective_projection_decay` for ``owner``."""
    check_transformation(optimizer, "optimizer", owner)
    check_scalar_or_schedule(weight_decay, "weight_decay", owner)
    check_mask(mask, owner)
    anchors = Anchors.build(anchor, mask, owner)
    layers_by_leaf = layers_of(stacked, owner)
    inner = optax.with_extra_args_support(optimizer)

    def init(params: optax.Params) -> SelectiveProjectionDecayState:
        kept = anchors.without_leaves(params)
        if jax.tree.leaves(params):
            kept = anchors.init(params, resolve_decays(mask, params, owner=owner))
            layers_by_leaf(params)
        count, now = start(weight_decay, "weight_decay", owner)
        return SelectiveProjectionDecayState(count, inner.init(params), kept, now)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        *,
        anchor: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        theta = check_params(params, owner)
        steps, inner_state = inner.update(
            updates, state.inner_state, theta, **extra_args
        )
        count = state.decay_count
        lam = value_at(weight_decay, count, "weight_decay", owner)
        after = SelectiveProjectionDecayState(
            optax.safe_increment(count), inner_state, state.anchor, current(lam, count)
        )
        if leaves_out(extra_args, DECAY):
            return steps, after
        rate_of = rates_at(lam, 1.0, count, owner)
        decays = resolve_decays(mask, theta, owner=owner, check=False)

        def leaf(
            step: Any, grad: Any, param: Any, decay: LeafDecay, axes: Any, a: Any
        ) -> Any:
            if step is None or not tree.is_inexact(param) or decay.multiplier == 0:
                return step
            rate = rate_of(decay) * decay.multiplier
            if is_static_number(rate) and rate == 0:
                return step
            a = 0.0 if a is None else a
            return _project(step, grad, param, a, rate=rate, axes=axes)

        steps = jax.tree.map(
            leaf,
            steps,
            updates,
            theta,
            decays,
            layers_by_leaf(theta, check=False),
            anchors.at(state.anchor, theta, decays, count, anchor),
            is_leaf=lambda x: x is None,
        )
        return steps, after

    return optax.GradientTransformationExtraArgs(init, update)


def _project(
    step: Any,
    grad: Any,
    param: Any,
    anchor: Any,
    *,
    rate: Scalar,
    axes: tuple[int, ...],
) -> jax.Array:
    """Return the step of one leaf, taken back where it should not leave the anchor.

    Where nothing is taken back the step is selected, not summed, so it keeps its bits.
    """
    target = after_step(step, param)
    before, after = widen(param) - widen(anchor), target - widen(anchor)
    uphill = dot(widen(grad), before, axes)
    old, new = norm(before, axes), norm(after, axes)
    ratio = (new - old) / nonzero(new)
    taken_back = (uphill > 0) & (ratio > 0) & (jnp.asarray(rate) != 0)
    projected = target - rate * ratio * after
    return jnp.where(taken_back, step_to(projected, step, param), step)
