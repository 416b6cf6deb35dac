"""Add the decay term to the updates: the transform behind every coupling."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd._checks import check_params, check_scalar_or_schedule, one_mask
from optaxwd._typing import Mask, ScalarOrSchedule
from optaxwd.rules import resolve_multipliers
from optaxwd.transforms._engine import add_decay_to_tree
from optaxwd.transforms._penalties import Penalty, get_penalty

_NAME = "add_decayed_weights"


class AddDecayedWeightsState(NamedTuple):
    """State of :func:`add_decayed_weights`.

    The structure is the same for a number, an array and a schedule, with and without
    a mask.

    Attributes:
      decay_count: number of updates seen so far; shape ``()``, dtype int32.
      anchor: the initial parameters if ``anchor="init"``, with their shapes and
        dtypes; otherwise ``None``, which holds no memory.
    """

    decay_count: jax.typing.ArrayLike
    anchor: Any = None


def add_decayed_weights(
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask = None,
    *,
    penalty: str | Penalty = "l2",
    anchor: Literal["init"] | optax.Params | None = None,
    cautious: bool = False,
    after_learning_rate: bool = False,
    weight_decay_mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Add the decay term to the updates.

    Before the learning rate the updates are ascent directions :math:`u`, and decay
    adds; after it they are descent steps :math:`s`, and decay subtracts:

    .. math::

        u &\leftarrow u + \lambda_t \, m \, g(u) \, \mathrm{pull}(\theta - a) \\
        s &\leftarrow s - \lambda_t \, m \, g(-s) \, \mathrm{pull}(\theta - a)

    with :math:`m` from the mask, the anchor :math:`a`, and a gate :math:`g` that is 1,
    or with ``cautious`` 1 only where
    :math:`\mathrm{sign}(u)\,\mathrm{sign}(\theta - a) \ge 0`. With Optax's arguments
    the results are Optax's, bit for bit; the state has one structure for all of them.

    Three deviations from :func:`optax.add_decayed_weights`: a :math:`\lambda_t` that is
    zero, traced or not, leaves the updates bit for bit; integer leaves and leaves that
    are not arrays are left alone; a mask leaf that is not a bool is refused.

    Args:
      weight_decay: :math:`\lambda_t \ge 0`, a number, a scalar array (traced or not)
        or a schedule of the step count, which starts at 0. Here it is the whole rate:
        what it is multiplied by later is up to the chain.
      mask: which parameters decay: a tree of bools, a prefix of one, or a function of
        the parameters that returns one. ``None``: all of them. Matched by path.
      penalty: ``"l2"`` (pull θ), ``"l1"`` (pull sign θ), ``"huber"`` (pull
        clip(θ, ±1)), or a :class:`Penalty` such as ``huber(delta)``.
      anchor: what parameters decay to. ``None``: zero. ``"init"``: the parameters
        given to ``init``, kept in the state. A tree like the parameters: that tree.
      cautious: decay only where the update does not point away from the anchor. The
        paper's gate compares u with θ; with an anchor, θ − a takes the place of θ.
      after_learning_rate: whether the updates that come in are already scaled by
        −η. It must be told: the numbers alone do not show it.
      weight_decay_mask: another name for ``mask``.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. Updates keep structure and
      shapes; an array or schedule of a wider dtype promotes them, as in Optax.

    Raises:
      ValueError: if ``weight_decay`` is negative, NaN or not a scalar; if the mask or
        the anchor has another structure than the parameters; if both names of the
        mask are given; in ``update`` if ``params`` is ``None``.
      TypeError: if ``weight_decay`` is not a number, or a mask leaf is not a bool.

    Examples:
      Decay after the learning rate, so that the rate is 0.1 whatever the rate of
      learning:

      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optax.chain(
      ...     optax.sgd(0.5),
      ...     optaxwd.add_decayed_weights(
      ...         0.1, mask={"w": True, "b": False}, after_learning_rate=True
      ...     ),
      ... )
      >>> params = {"w": jnp.array([2.0, -4.0]), "b": jnp.array([1.0])}
      >>> grads = {"w": jnp.array([1.0, 1.0]), "b": jnp.array([0.0])}
      >>> updates, _ = tx.update(grads, tx.init(params), params)
      >>> [round(float(u), 6) for u in updates["w"]], float(updates["b"][0])
      ([-0.7, -0.1], -0.0)

    References:
      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019.

      Chen et al., `Cautious Weight Decay <https://arxiv.org/abs/2510.12402>`_, 2025.

      Li et al., `Explicit Inductive Bias for Transfer Learning with Convolutional
      Networks <https://arxiv.org/abs/1802.01483>`_, 2018, for the anchor.
    """
    check_scalar_or_schedule(weight_decay, "weight_decay", _NAME)
    mask = one_mask(mask, weight_decay_mask, _NAME)
    pull = get_penalty(penalty, _NAME)
    keeps_init = _check_anchor(anchor)

    def init(params: optax.Params) -> AddDecayedWeightsState:
        initial = jax.tree.map(jnp.copy, params) if keeps_init else None
        return AddDecayedWeightsState(jnp.zeros([], jnp.int32), initial)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        del extra_args
        theta = check_params(params, _NAME)
        rate = (
            weight_decay(state.decay_count) if callable(weight_decay) else weight_decay
        )
        target = state.anchor if keeps_init else anchor
        if target is not None:
            target = tree.broadcast_prefix(target, theta, name=f"{_NAME}: the anchor")
        updates = add_decay_to_tree(
            updates,
            theta,
            target,
            resolve_multipliers(mask, theta, owner=_NAME),
            rate=rate,
            penalty=pull,
            cautious=cautious,
            after_learning_rate=after_learning_rate,
        )
        count = optax.safe_increment(state.decay_count)
        return updates, AddDecayedWeightsState(count, state.anchor)

    return optax.GradientTransformationExtraArgs(init, update)


def _check_anchor(anchor: Any) -> bool:
    """Return whether the anchor is the parameters given to ``init``."""
    if isinstance(anchor, str) and anchor != "init":
        raise ValueError(
            f"{_NAME}: anchor must be None, 'init' or a tree like the parameters, "
            f"got {anchor!r}."
        )
    return isinstance(anchor, str)
