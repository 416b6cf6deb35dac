"""Turn every neuron by a set angle per step, at the norm that it started with."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd._checks import (
    check_bool,
    check_decay_factor,
    check_params,
    check_scalar,
    check_scalar_or_schedule,
    is_static_number,
    one_mask,
)
from optaxwd._typing import Mask, Scalar, ScalarOrSchedule
from optaxwd.numerics import widen
from optaxwd.rules import LeafDecay, check_mask, resolve_decays
from optaxwd.transforms._after_step import step_to
from optaxwd.transforms._dtypes import cast_like, promote
from optaxwd.transforms._engine import add_decay
from optaxwd.transforms._hide import parameters_only
from optaxwd.transforms._learning_rate import scaled
from optaxwd.transforms._moments import bias_correction, running_mean
from optaxwd.transforms._neurons import direction, neurons_of, tangent
from optaxwd.transforms._norms import nonzero, norm, root, square_norm
from optaxwd.transforms._rates import current, start, value_at
from optaxwd.tree import map_to_trees

_NAME = "rotate_neurons"


class RotateNeuronsState(NamedTuple):
    """State of :func:`rotate_neurons`.

    Leaves that do not turn have an ``optax.MaskedNode`` in both trees.

    Attributes:
      rotation_count: number of updates seen so far; shape ``()``, dtype int32.
      initial_norm: norm of each neuron in ``init``, 0 for one without a direction; the
        leaf's shape with axes of length 1 within a neuron, dtype float32 or wider.
      mean_square: running mean of the squared norm of what turns each neuron; shape
        and dtype likewise.
      current_learning_rate: η of the last update, and of the first before it; shape
        ``()``, dtype float32.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.rotate_neurons(0.1, 0.1)
      >>> state = tx.init(jnp.ones((2, 3)))
      >>> int(state.rotation_count)
      0

    References:
      As of :func:`rotate_neurons`.
    """

    rotation_count: jax.typing.ArrayLike
    initial_norm: Any
    mean_square: Any
    current_learning_rate: jax.typing.ArrayLike = 0.0


class Turning(NamedTuple):
    """What happens to a leaf at one step: its rotation, and its decay if not turned."""

    rotation: Scalar
    rate: Scalar = 0.0


def rotate_neurons(
    rotation: ScalarOrSchedule,
    learning_rate: ScalarOrSchedule,
    mask: Mask = None,
    *,
    channel_axis: int | tuple[int, ...] | Mapping[Any, Any] = (-1,),
    stacked: Mapping[Any, int] | None = None,
    center: bool = True,
    norm_decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    weight_decay_mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Turn every neuron by a set angle per step, at the norm that it started with.

    Where weight decay and updates balance, weights keep their norm and turn at a rate
    that depends on ηλ alone. This brings both about from the first step on, with no
    decay. For each neuron with weights p, of which :math:`p_0` are the first, and
    ascent direction u,

    .. math::

        d &= u - \bar u - \hat p \langle \hat p, u - \bar u \rangle, \quad
        s \leftarrow \beta s + (1 - \beta) \|d\|^2 \\
        q &= p - \eta_r \|p_0\| \frac{d}{\sqrt{s / (1 - \beta^t)} + \epsilon}, \quad
        p \leftarrow \|p_0\| \frac{q}{\|q\|}

    with :math:`\bar u` the mean of u, t from 1 for the first update and
    :math:`\eta_r` the rotation. The average is one of squared norms, so a single update
    may turn a neuron by up to :math:`\arctan(\eta_r/\sqrt{1-\beta})`.

    Stands last in a chain, in place of the learning rate: updates come in as u and go
    out as finished steps, :math:`-\eta_t u` for the leaves that do not turn. Those are
    leaves that the mask leaves out, that have fewer than two axes, or whose neurons
    have one entry. After the learning rate a schedule would leave its mark on s.

    Deviations from the paper's code:

    1. Means are taken from the weights in the first update, not before it, because
       ``init`` cannot change parameters: that step also centres. The norms kept are
       those without means, as there.
    2. A neuron without a direction, which is all zeros, or constant with ``center``,
       cannot turn; the code makes it NaN. One that starts so takes steps
       :math:`-\eta_t u` for ever; one that is set so later, until it has a direction.
    3. A rotation of 0 turns this off: the step is :math:`-\eta_t u`.

    Args:
      rotation: :math:`\eta_r \ge 0`, in radians per step: a number, a scalar array or a
        schedule of the step count, which starts at 0. :func:`equilibrium_rotation`
        knows the ones of common optimizers.
      learning_rate: :math:`\eta_t`, likewise, for the leaves that do not turn.
      mask: which parameters turn, as in :func:`add_decayed_weights`; a multiplier m,
        which is one of λ, gives :math:`\sqrt m\,\eta_r`. Leaves that do not turn do not
        decay either.
      channel_axis: the axis, or axes, that number the neurons, as in
        :func:`project_updates`: the last for kernels of Flax and Haiku, 0 for those of
        Equinox and PyTorch. ``()``: a whole leaf turns as one.
      stacked: number of leading axes that only stack layers, by pattern, such as
        ``{"blocks/.*": 1}``. The neurons of each layer turn by themselves.
      center: whether neurons have no mean, as in the paper's code. A neuron then needs
        three entries to turn.
      norm_decay: :math:`\beta` in [0, 1), rate of the mean of squared norms; 0: every
        step turns by exactly :math:`\arctan \eta_r`.
      eps: :math:`\epsilon \ge 0`, in units of u.
      weight_decay_mask: another name for ``mask``.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: 8 bytes per neuron.

    Raises:
      ValueError: if a number is out of range, or a rule gives a λ, from which no
        rotation is known; in ``init`` if a leaf has no such channel axis, or fewer axes
        than stack, or a pattern of these matches nothing; in ``update`` if ``params``
        is ``None``.
      TypeError: if a number, an axis or ``center`` is of another type.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.rotate_neurons(0.1, 0.5, center=False)
      >>> params = {"kernel": jnp.array([[3.0], [4.0]]), "bias": jnp.ones(1)}
      >>> grads = {"kernel": jnp.array([[2.0], [0.0]]), "bias": jnp.ones(1)}
      >>> updates, _ = tx.update(grads, tx.init(params), params)
      >>> new = params["kernel"] + updates["kernel"]
      >>> [round(float(w), 4) for w in new[:, 0]], updates["bias"].tolist()
      ([2.5871, 4.2787], [-0.5])

    References:
      Kosson et al., `Rotational Equilibrium: How Weight Decay Balances Learning Across
      Neural Networks <https://arxiv.org/abs/2305.17212>`_, 2024.
    """
    check_scalar_or_schedule(rotation, "rotation", _NAME)

    def turning_at(count: Any) -> Callable[[LeafDecay], Turning]:
        now = value_at(rotation, count, "rotation", _NAME)

        def turning_of(decay: LeafDecay) -> Turning:
            if decay.weight_decay is not None:
                raise ValueError(
                    f"{_NAME}: a rule gives weight_decay={decay.weight_decay!r}, from "
                    "which no rotation is known. Give a multiplier, or use an "
                    "optimizer such as rotational_adamw."
                )
            return Turning(now * decay.multiplier**0.5)

        return turning_of

    stage = rotation_stage(
        turning_at,
        learning_rate,
        mask=one_mask(mask, weight_decay_mask, _NAME),
        channel_axis=channel_axis,
        stacked=stacked,
        center=center,
        norm_decay=norm_decay,
        eps=eps,
        owner=_NAME,
    )
    return parameters_only(stage)


def rotation_stage(
    turning_at: Callable[[Any], Callable[[LeafDecay], Turning]],
    learning_rate: ScalarOrSchedule,
    *,
    mask: Mask,
    channel_axis: Any,
    stacked: Any,
    center: bool,
    norm_decay: Scalar,
    eps: Scalar,
    owner: str,
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`rotate_neurons` for ``owner``, which its messages name.

    ``turning_at`` tells, from the step count, how each leaf turns or else decays.
    """
    check_scalar_or_schedule(learning_rate, "learning_rate", owner)
    check_bool(center, "center", owner)
    check_decay_factor(norm_decay, "norm_decay", owner)
    check_scalar(eps, "eps", owner)
    check_mask(mask, owner, anchors=False)
    axes_by_leaf = neurons_of(channel_axis, stacked, owner)

    def init(params: optax.Params) -> RotateNeuronsState:
        norms = params
        if jax.tree.leaves(params):
            decays = resolve_decays(mask, params, owner=owner)
            norms = jax.tree.map(
                lambda p, axes: _initial_norm(p, axes, center),
                params,
                axes_by_leaf(params, decays),
            )
        squares = jax.tree.map(jnp.zeros_like, norms)
        count, rate = start(learning_rate, "learning_rate", owner)
        return RotateNeuronsState(count, norms, squares, rate)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        del extra_args
        theta = check_params(params, owner)
        decays = resolve_decays(mask, theta, owner=owner, check=False)
        turning_of = turning_at(state.rotation_count)
        eta = value_at(learning_rate, state.rotation_count, "learning_rate", owner)
        steps = scaled(updates, -1 * eta, promotes=not callable(learning_rate))
        steps = cast_like(steps, updates)
        rate = current(eta, state.rotation_count)
        count = optax.safe_increment(state.rotation_count)
        now = _Now(center, norm_decay, bias_correction(norm_decay, count), eps)

        def leaf(
            u: Any, step: Any, p: Any, decay: Any, axes: Any, norms: Any, squares: Any
        ) -> tuple[Any, Any]:
            if u is None:
                return None, squares
            rotation, rate = turning_of(decay)
            step = _decayed(step, p, rate, decay.multiplier)
            if axes is None:
                return step, squares
            return _turn(u, step, p, rotation, axes, norms, squares, now)

        steps, squares = map_to_trees(
            leaf,
            2,
            updates,
            steps,
            theta,
            decays,
            axes_by_leaf(theta, decays, check=False),
            state.initial_norm,
            state.mean_square,
            is_leaf=lambda x: x is None,
        )
        return steps, RotateNeuronsState(count, state.initial_norm, squares, rate)

    return optax.GradientTransformationExtraArgs(init, update)


def unless_turned(
    transform: optax.GradientTransformation,
    mask: Mask,
    channel_axis: Any,
    stacked: Any,
    owner: str,
) -> optax.GradientTransformationExtraArgs:
    """Apply ``transform``, which reads the parameters, to leaves that do not turn."""
    axes_by_leaf = neurons_of(channel_axis, stacked, owner)
    inner = optax.with_extra_args_support(transform)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        theta = check_params(params, owner)
        decays = resolve_decays(mask, theta, owner=owner, check=False)
        new, state = inner.update(updates, state, theta, **extra_args)
        new = jax.tree.map(
            lambda u, changed, axes: changed if axes is None else u,
            updates,
            new,
            axes_by_leaf(theta, decays, check=False),
            is_leaf=lambda x: x is None,
        )
        return new, state

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _initial_norm(param: Any, axes: Any, center: bool) -> Any:
    if axes is None:
        return optax.MaskedNode()
    _, length = direction(widen(param), axes, center=center)
    return length


def _decayed(step: Any, param: Any, rate: Scalar, multiplier: float) -> Any:
    new = add_decay(
        step, param, rate=rate, multiplier=multiplier, after_learning_rate=True
    )
    return promote(new, step, param)


class _Now(NamedTuple):
    """What all leaves share at one step."""

    center: bool
    norm_decay: Scalar
    weight: jax.Array
    eps: Scalar


def _turn(
    update: Any,
    step: Any,
    param: Any,
    rotation: Scalar,
    axes: tuple[int, ...],
    initial_norm: jax.Array,
    mean_square: jax.Array,
    now: _Now,
) -> tuple[Any, jax.Array]:
    """Return a leaf's finished step, and its new mean of squared norms.

    The neurons that have a direction turn; the others take ``step``.
    """
    unit, length = direction(widen(param), axes, center=now.center)
    d = tangent(widen(update), unit, axes, center=now.center)
    mean_square = running_mean(mean_square, square_norm(d, axes), now.norm_decay)
    if is_static_number(rotation) and rotation == 0:
        return step, mean_square
    turned = unit - rotation * d / nonzero(root(mean_square / now.weight) + now.eps)
    target = initial_norm * turned / nonzero(norm(turned, axes))
    turns = (length != 0) & (initial_norm != 0) & (rotation != 0)
    return jnp.where(turns, step_to(target, update, param), step), mean_square
