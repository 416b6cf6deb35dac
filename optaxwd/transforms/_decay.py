"""Add the decay term to the updates: the transform behind every coupling."""

from typing import Any, Literal, NamedTuple, get_args

import jax
import optax

from optaxwd._checks import (
    check_bool,
    check_choice,
    check_params,
    check_scalar_or_schedule,
    one_mask,
)
from optaxwd._leave_out import DECAY, leaves_out
from optaxwd._typing import Form, Mask, ScalarOrSchedule
from optaxwd.rules import check_mask, resolve_decays
from optaxwd.transforms._anchoring import Anchors
from optaxwd.transforms._engine import add_decay_to_tree
from optaxwd.transforms._penalties import Penalty, get_penalty
from optaxwd.transforms._rates import current, rates_at, start, value_at

_NAME = "add_decayed_weights"


class AddDecayedWeightsState(NamedTuple):
    """State of :func:`add_decayed_weights`.

    The structure is the same for a number, an array and a schedule, with and without
    a mask.

    Attributes:
      decay_count: number of updates seen so far; shape ``()``, dtype int32.
      anchor: what anchors keep, for the parameters that decay and for no others: with
        ``anchor="init"`` their initial values, with their shapes and dtypes unless
        another dtype is asked for; with an :class:`InitialNorm` their initial norms,
        shape ``()``, dtype float32 or wider; otherwise ``None``, which holds no memory.
      current_weight_decay: λ of the last update, without those that rules give, and of
        the first before it; shape ``()``, dtype float32.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> state = optaxwd.add_decayed_weights(0.1, anchor="init").init(jnp.array([2.0]))
      >>> int(state.decay_count), state.anchor.tolist()
      (0, [2.0])

    References:
      As of :func:`add_decayed_weights`.
    """

    decay_count: jax.typing.ArrayLike
    anchor: Any = None
    current_weight_decay: jax.typing.ArrayLike = 0.0


def add_decayed_weights(
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Mask = None,
    *,
    penalty: str | Penalty = "l2",
    form: Form = "additive",
    anchor: Literal["init", "update"] | optax.Params | None = None,
    cautious: bool = False,
    after_learning_rate: bool = False,
    factor: ScalarOrSchedule = 1.0,
    weight_decay_mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Add the decay term to the updates.

    Before the learning rate the updates are ascent directions :math:`u`, and decay
    adds; after it they are descent steps :math:`s`, and decay subtracts:

    .. math::

        u &\leftarrow u + f_t \lambda_t \, m \, g(u) \, \mathrm{pull}(\theta - a) \\
        s &\leftarrow s - f_t \lambda_t \, m \, g(-s) \, \mathrm{pull}(\theta - a)

    with :math:`m` from the mask, a factor :math:`f_t` that is 1 unless given, the
    anchor :math:`a`, and a gate :math:`g` that is 1, or with ``cautious`` 1 only where
    :math:`\mathrm{sign}(u)\,\mathrm{sign}(\theta - a) \ge 0`. With Optax's arguments
    the results are Optax's, bit for bit; the state has one structure for all of them.

    Deviations from :func:`optax.add_decayed_weights`:

    1. A :math:`\lambda_t` that is zero, traced or not, leaves the updates bit for bit,
       also where θ is infinite. So the derivative with respect to λ at 0 is 0.
    2. Integer leaves and leaves that are not arrays are left alone.
    3. A mask leaf that is not a bool is refused, arrays of one bool too.
    4. Masks are matched by path: a plain dict fits a Flax ``State``. A function that
       makes a mask gets the parameters, not the updates.

    Args:
      weight_decay: :math:`\lambda_t \ge 0`, a number, a scalar array (traced or not)
        or a schedule of the step count, which starts at 0.
      mask: which parameters decay: a :class:`DecayRules`, whose rules may give
        multipliers and λ of their own; a tree of bools, a prefix of one, or a function
        of the parameters that returns one. ``None``: all of them. Matched by path.
      penalty: ``"l2"`` (pull θ), ``"l1"`` (pull sign θ), ``"huber"`` (pull
        clip(θ, ±1)), or a :class:`Penalty`: ``huber(delta)``,
        ``elastic_net(l1_ratio)``, ``p_norm(p)`` or one's own.
      form: how the penalty acts. ``"additive"``: its pull at θ is added, as above. The
        others act on x = θ + s, the parameters after the step, so they come after the
        learning rate and last in a chain: ``"multiplicative"`` takes its pull at x,
        which for L2 is :math:`x \leftarrow (1 - f_t\lambda_t m) x`; ``"proximal"``
        takes its proximal operator at x, for L2 :math:`x / (1 + f_t\lambda_t m)`, for
        L1 the soft threshold.
      anchor: what parameters decay to. ``None``: zero. ``"init"``: the parameters
        given to ``init``, kept in the state; :class:`InitialParameters` can keep them
        in bfloat16. :class:`InitialNorm`: the sphere of their initial norm. A tree like
        the parameters: that tree, which becomes part of a compiled step;
        ``"update"``: the tree that every ``update(..., anchor=tree)`` is given, for
        weights too large for that. Rules may say otherwise for their leaves, by
        :func:`optaxwd.rules.anchored`.
      cautious: decay only where the update does not point away from the anchor. The
        paper's gate compares u with θ; with an anchor, θ − a takes the place of θ.
        After the learning rate an update of 0, also by underflow or at a learning rate
        of 0, has no direction any more and counts as agreeing; pass the direction as
        ``update(..., direction=u)`` where it is at hand, as the optimizers of this
        library do, all but ``rmspropw`` and ``adafactorw``, whose momentum comes after
        the learning rate.
      after_learning_rate: whether the updates that come in are already scaled by
        −η. It must be told: the numbers alone do not show it.
      factor: :math:`f_t \ge 0`, what every λ is multiplied by, also those of rules: a
        number, a scalar array or a schedule, such as the learning rate where decay
        comes after it.
      weight_decay_mask: another name for ``mask``.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. Updates keep structure and
      shapes; an array or schedule of a wider dtype promotes them, as in Optax.

    Raises:
      ValueError: if ``weight_decay`` is negative, NaN or not a scalar; if the mask or
        the anchor has another structure than the parameters; if both names of the
        mask are given; if the form does not fit the penalty or the place; in ``update``
        if ``params`` is ``None``.
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
    return decay_stage(
        weight_decay,
        mask=one_mask(mask, weight_decay_mask, _NAME),
        penalty=penalty,
        form=form,
        anchor=anchor,
        cautious=cautious,
        after_learning_rate=after_learning_rate,
        factor=factor,
        owner=_NAME,
    )


def decay_stage(
    weight_decay: ScalarOrSchedule,
    *,
    mask: Mask,
    penalty: str | Penalty,
    form: Form,
    anchor: Any,
    cautious: bool,
    after_learning_rate: bool,
    factor: ScalarOrSchedule,
    owner: str,
    factor_mask: Mask = None,
    other_factor: ScalarOrSchedule = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`add_decayed_weights` for ``owner``, which its messages name.

    Where ``factor_mask`` is false, ``other_factor`` takes the place of ``factor``.
    """
    check_scalar_or_schedule(weight_decay, "weight_decay", owner)
    check_scalar_or_schedule(factor, "factor", owner)
    check_bool(cautious, "cautious", owner)
    check_bool(after_learning_rate, "after_learning_rate", owner)
    check_mask(mask, owner)
    check_mask(factor_mask, f"{owner}: corrected_mask")
    check_form(form, after_learning_rate=after_learning_rate, owner=owner)
    pull = get_penalty(penalty, form, owner)
    anchors = Anchors.build(anchor, mask, owner)

    def init(params: optax.Params) -> AddDecayedWeightsState:
        count, now = start(weight_decay, "weight_decay", owner)
        if not jax.tree.leaves(params):
            return AddDecayedWeightsState(count, anchors.without_leaves(params), now)
        decays = resolve_decays(mask, params, owner=owner)
        resolve_decays(factor_mask, params, owner=f"{owner}: corrected_mask")
        return AddDecayedWeightsState(count, anchors.init(params, decays), now)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        *,
        direction: optax.Updates | None = None,
        anchor: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        theta, count = check_params(params, owner), state.decay_count
        lam = value_at(weight_decay, count, "weight_decay", owner)
        now = current(lam, count)
        after = AddDecayedWeightsState(optax.safe_increment(count), state.anchor, now)
        if leaves_out(extra_args, DECAY):
            return updates, after
        decays = resolve_decays(mask, theta, owner=owner, check=False)
        rates = jax.tree.map(rates_at(lam, factor, count, owner), decays)
        if factor_mask is not None:
            scaled = resolve_decays(
                factor_mask, theta, owner=f"{owner}: corrected_mask", check=False
            )
            other = rates_at(lam, other_factor, count, owner)
            rates = jax.tree.map(
                lambda decay, is_scaled, rate: (
                    rate if is_scaled.decays else other(decay)
                ),
                decays,
                scaled,
                rates,
            )
        updates = add_decay_to_tree(
            updates,
            theta,
            decays,
            rates,
            anchors=anchors.at(state.anchor, theta, decays, count, anchor),
            directions=direction,
            penalty=pull,
            form=form,
            cautious=cautious,
            after_learning_rate=after_learning_rate,
        )
        return updates, after

    return optax.GradientTransformationExtraArgs(init, update)


def check_form(form: Any, *, after_learning_rate: bool, owner: str) -> None:
    """Raise unless ``form`` is one of the three and can be where the decay is."""
    check_choice(form, get_args(Form), "form", owner)
    if form != "additive" and not after_learning_rate:
        raise ValueError(
            f"{owner}: form={form!r} acts on the parameters after the step, so it "
            "comes after the learning rate, got after_learning_rate=False. Put it last "
            "in the chain with after_learning_rate=True, or use form='additive'."
        )
