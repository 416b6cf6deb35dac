"""Hyperball: steps of fixed length on a sphere of fixed radius, instead of decay."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd._checks import check_params, check_scalar_or_schedule, one_mask
from optaxwd._typing import Mask, Scalar, ScalarOrSchedule
from optaxwd.numerics import widen
from optaxwd.rules import LeafDecay, check_mask, matrices_only, resolve_decays
from optaxwd.transforms._channels import layers_of
from optaxwd.transforms._dtypes import promote
from optaxwd.transforms._norms import nonzero, norm
from optaxwd.transforms._rates import current, start, value_at

_NAME = "step_on_hyperball"


class StepOnHyperballState(NamedTuple):
    """State of :func:`step_on_hyperball`.

    Attributes:
      learning_rate_count: number of updates seen so far; shape ``()``, dtype int32.
      radius: a tree like the parameters of their initial norms; shape ``()``, or that
        of the stacked axes; dtype float32, or float64 for such parameters.
        ``optax.MaskedNode`` where a parameter is on no ball.
      current_learning_rate: η of the last update, and of the first before it; shape
        ``()``, dtype float32.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> state = optaxwd.step_on_hyperball(0.1).init(jnp.full((1, 4), 0.5))
      >>> float(state.radius)  # the norm to keep
      1.0

    References:
      As of :func:`step_on_hyperball`.
    """

    learning_rate_count: jax.typing.ArrayLike
    radius: Any
    current_learning_rate: jax.typing.ArrayLike = 0.0


def step_on_hyperball(
    learning_rate: ScalarOrSchedule,
    mask: Mask = None,
    *,
    other_learning_rate: ScalarOrSchedule | None = None,
    stacked: Mapping[Any, int] | None = None,
    weight_decay_mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Turn directions into steps that keep every matrix at its initial norm.

    For a matrix whose initial norm (Frobenius) is R, with u the ascent direction and
    :math:`\mathrm{N}(x) = x / \|x\|`,

    .. math:: \theta \leftarrow R \, \mathrm{N}(\theta - \eta_t R \, \mathrm{N}(u))

    Nothing decays: the norm that weight decay would lead to is given, and
    :math:`\eta_t` alone says how far a matrix turns, by about that angle in radians
    where u is orthogonal to θ. A start for it is :math:`\sqrt{\eta\lambda}` of the
    AdamW that this replaces. All other parameters take the plain step
    :math:`-\eta'_t u`.

    Both the learning rate and the norm are part of the step, so this stands in the
    place of :func:`scale_by_learning_rate`, last in a chain. Deviations from the paper:

    1. A matrix whose initial norm is 0 has no ball, on which it would stay at 0 for
       ever: it takes the plain step, at ``learning_rate``.
    2. Where u or :math:`\eta_t` is 0, or :math:`\theta - \eta_t R \, \mathrm{N}(u)`
       is, there is no direction to go in, and the matrix stays as it is.

    Other implementations take the norm of the parameters of the moment for R. That is
    the same until rounding: in bfloat16 the norm then drifts, here it cannot.

    Args:
      learning_rate: :math:`\eta_t \ge 0`, the length of a step relative to R: a number,
        a scalar array or a schedule of the step count, which starts at 0.
      mask: which parameters stay on their ball, as in :func:`add_decayed_weights`,
        but only with multipliers 0 and 1. ``None``: those of two or more dimensions
        that are not stacked, :func:`optaxwd.rules.matrices_only`.
      other_learning_rate: :math:`\eta'_t` of all others; ``None``: ``learning_rate``.
      stacked: number of leading axes that only stack layers, by pattern, such as
        ``{"blocks/.*": 1}``: each layer has a ball of its own. ``None``: no axis does.
      weight_decay_mask: another name for ``mask``.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. Updates keep structure and
      shapes; narrower ones take the dtypes of the parameters.
      State: 4 bytes, and 4 bytes per matrix.

    Raises:
      ValueError: if a learning rate is negative, NaN or not a scalar; if the mask has
        another structure than the parameters, or gives multipliers other than 0 and
        1, or λ; in ``init`` if ``stacked`` gives an array more axes than it has, or a
        pattern of it matches nothing; in ``update`` if ``params`` is ``None``.
      TypeError: if a learning rate is not a number, or a mask leaf not a bool.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.step_on_hyperball(0.1)
      >>> params = {"kernel": jnp.array([[3.0, 4.0]]), "bias": jnp.array([0.0])}
      >>> directions = {"kernel": jnp.array([[2.0, 0.0]]), "bias": jnp.array([2.0])}
      >>> updates, _ = tx.update(directions, tx.init(params), params)
      >>> new = optax.apply_updates(params, updates)
      >>> [round(float(x), 4) for x in (*new["kernel"][0], new["bias"][0])]
      [2.65, 4.24, -0.2]

    References:
      Wen et al., `Fantastic Pretraining Optimizers and Where to Find Them II:
      Hyperball Optimization <https://arxiv.org/abs/2606.16899>`_, 2026.
    """
    return hyperball_stage(
        learning_rate,
        other_learning_rate=other_learning_rate,
        mask=one_mask(mask, weight_decay_mask, _NAME),
        stacked=stacked,
        owner=_NAME,
    )


def hyperball_stage(
    learning_rate: ScalarOrSchedule,
    *,
    other_learning_rate: ScalarOrSchedule | None,
    mask: Mask,
    stacked: Mapping[Any, int] | None,
    owner: str,
    other_name: str = "other_learning_rate",
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`step_on_hyperball` for ``owner``; messages name the other rate."""
    check_scalar_or_schedule(learning_rate, "learning_rate", owner)
    if other_learning_rate is None:
        other_learning_rate = learning_rate
    check_scalar_or_schedule(other_learning_rate, other_name, owner)
    check_mask(mask, owner, anchors=False)
    layers_by_leaf = layers_of(stacked, owner)
    if mask is None:
        mask = matrices_only(stacked=stacked)

    def init(params: optax.Params) -> StepOnHyperballState:
        radius = params
        if jax.tree.leaves(params):
            decays = resolve_decays(mask, params, owner=owner)

            def radius_of(param: Any, decay: LeafDecay, axes: tuple[int, ...]) -> Any:
                if not tree.is_inexact(param) or not _is_on_ball(decay, owner):
                    return optax.MaskedNode()
                return jnp.squeeze(norm(widen(param), axes), axes)

            radius = jax.tree.map(radius_of, params, decays, layers_by_leaf(params))
        count, now = start(learning_rate, "learning_rate", owner)
        return StepOnHyperballState(count, radius, now)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        del extra_args
        theta = check_params(params, owner)
        count = state.learning_rate_count
        eta = value_at(learning_rate, count, "learning_rate", owner)
        other_eta = value_at(other_learning_rate, count, other_name, owner)

        def leaf(update: Any, param: Any, radius: Any) -> Any:
            if update is None or not tree.is_inexact(param):
                return update
            if isinstance(radius, optax.MaskedNode):
                step = -other_eta * jnp.asarray(update)
            else:
                step = hyperball_step(widen(update), widen(param), radius, eta)
            return promote(step, update, param)

        steps = jax.tree.map(
            leaf, updates, theta, state.radius, is_leaf=lambda x: x is None
        )
        now = current(eta, count)
        count = optax.safe_increment(count)
        return steps, StepOnHyperballState(count, state.radius, now)

    return optax.GradientTransformationExtraArgs(init, update)


def hyperball_step(
    direction: jax.Array, param: jax.Array, radius: jax.Array, eta: Scalar
) -> jax.Array:
    """Return the step of one leaf; ``radius`` has the shape of its stacked axes.

    What is 0 is asked for and not what is positive, so that NaN passes.
    """
    axes = tuple(range(radius.ndim, param.ndim))
    radius = jnp.expand_dims(radius, axes)
    length = norm(direction, axes)
    inside = param - eta * radius / nonzero(length) * direction
    reach = norm(inside, axes)
    target = radius / nonzero(reach) * inside
    moves = (length != 0) & (reach != 0) & (jnp.asarray(eta) != 0)
    return jnp.where(radius != 0, jnp.where(moves, target - param, 0), -eta * direction)


def _is_on_ball(decay: LeafDecay, owner: str) -> bool:
    if decay.multiplier not in (0, 1) or decay.weight_decay is not None:
        raise ValueError(
            f"{owner}: the mask chooses the parameters that keep their norm, and "
            f"nothing decays that a rule could scale, got {decay!r}. Give rules True "
            "or False."
        )
    return decay.multiplier == 1
