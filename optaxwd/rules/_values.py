"""What a rule may say of the leaves it matches."""

import dataclasses
import math
from typing import Any

import numpy as np

from optaxwd._checks import check_scalar_or_schedule, is_static_number
from optaxwd._typing import ScalarOrSchedule

FROZEN = "frozen"


@dataclasses.dataclass(frozen=True)
class LeafDecay:
    r"""How one leaf, or all that match one rule, decays.

    .. math:: \theta \leftarrow \ldots - R_t \, m \, (\theta - a)

    with :math:`m` the multiplier and :math:`a` the anchor.

    Attributes:
      multiplier: what λ is multiplied by, >= 0; 0 where the leaf does not decay.
      weight_decay: a λ of its own in place of the transform's, or ``None``.
      frozen: whether the leaf must not change at all.
      anchor: what it decays to, in place of the transform's anchor, or ``None``.

    Examples:
      >>> import optaxwd
      >>> optaxwd.rules.LeafDecay(0.5)
      LeafDecay(multiplier=0.5, weight_decay=None, frozen=False, anchor=None)

    References:
      As of :class:`DecayRules`.
    """

    multiplier: float = 1.0
    weight_decay: ScalarOrSchedule | None = None
    frozen: bool = False
    anchor: Any = None

    def __post_init__(self) -> None:
        """Raise unless the multiplier is finite and >= 0."""
        if not 0 <= self.multiplier < math.inf:
            raise ValueError(
                "LeafDecay: multiplier must be finite and >= 0, got "
                f"{self.multiplier!r}. Use 0 for no decay."
            )

    @property
    def decays(self) -> bool:
        """Whether decay reaches the leaf."""
        own = self.weight_decay
        nothing = is_static_number(own) and own == 0
        return self.multiplier > 0 and not self.frozen and not nothing


def weight_decay(value: ScalarOrSchedule) -> LeafDecay:
    r"""Give the leaves of a rule a λ of their own.

    .. math:: R_t = \eta_t \lambda_\text{rule} \text{ in place of } \eta_t \lambda

    under ``coupling="learning_rate"``, and likewise under the others.

    It takes the place of the transform's λ and is tied to the learning rate in the same
    way. A bare number in a rule is a multiplier instead; a bare schedule is a λ.

    Args:
      value: λ >= 0, a number, a scalar array or a schedule of the step count.

    Returns:
      A value for a rule of :class:`DecayRules`.

    Raises:
      ValueError: if ``value`` is negative or NaN.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> rules = optaxwd.DecayRules([("head/.*", optaxwd.rules.weight_decay(0.01))])
      >>> tx = optaxwd.sgdw(1.0, weight_decay=0.5, mask=rules)
      >>> params = {"head": {"w": jnp.ones(1)}, "w": jnp.ones(1)}
      >>> zeros = {"head": {"w": jnp.zeros(1)}, "w": jnp.zeros(1)}
      >>> updates, _ = tx.update(zeros, tx.init(params), params)
      >>> round(float(updates["head"]["w"][0]), 6), float(updates["w"][0])
      (-0.01, -0.5)

    References:
      PyTorch, `per-parameter options <https://docs.pytorch.org/docs/stable/optim.html>`_,
      where a group has a λ of its own.
    """
    check_scalar_or_schedule(value, "value", "weight_decay")
    return LeafDecay(weight_decay=value)


def anchored(anchor: Any, value: Any = 1.0) -> LeafDecay:
    """Give the leaves of a rule an anchor of their own.

    Args:
      anchor: ``"init"``, ``"zero"``, ``"update"``, or an anchor object such as
        :class:`optaxwd.InitialParameters`; it takes the place of the transform's.
      value: what else the rule says: a multiplier, a bool, :func:`weight_decay` or a
        schedule of λ.

    Returns:
      A value for a rule of :class:`DecayRules`.

    Raises:
      ValueError: if ``anchor`` is none of these, or a rule cannot have ``value``.

    Examples:
      Fine-tuning: the backbone decays to where it started, the new head to zero.

      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> from optaxwd import rules
      >>> which = optaxwd.DecayRules([("head/.*", rules.anchored("zero"))])
      >>> tx = optaxwd.sgdw(1.0, weight_decay=0.5, mask=which, anchor="init")
      >>> start = {"body": {"w": jnp.ones(1)}, "head": {"w": jnp.ones(1)}}
      >>> zeros = {"body": {"w": jnp.zeros(1)}, "head": {"w": jnp.zeros(1)}}
      >>> updates, _ = tx.update(zeros, tx.init(start), start)
      >>> abs(float(updates["body"]["w"][0])), float(updates["head"]["w"][0])
      (0.0, -0.5)

    References:
      Li et al., `Explicit Inductive Bias for Transfer Learning with Convolutional
      Networks <https://arxiv.org/abs/1802.01483>`_, 2018.
    """
    is_name = isinstance(anchor, str) and anchor in ("init", "zero", "update")
    is_object = hasattr(anchor, "keep") and not isinstance(anchor, type)
    if not (is_name or is_object):
        raise ValueError(
            "anchored: anchor must be 'init', 'zero', 'update' or an anchor object "
            f"such as InitialParameters(), got {anchor!r}. For values of one's own use "
            "'update', and pass them to every update."
        )
    decay = as_leaf_decay(value, "anchored: value")
    return dataclasses.replace(decay, anchor=anchor)


def as_leaf_decay(value: Any, where: str) -> LeafDecay:
    """Return what ``value`` says; ``where`` names its rule in messages."""
    if isinstance(value, LeafDecay):
        return value
    if isinstance(value, str) and value == FROZEN:
        return LeafDecay(multiplier=0.0, frozen=True)
    if callable(value):
        return LeafDecay(weight_decay=value)
    if not isinstance(value, (bool, np.bool_)) and not is_static_number(value):
        raise TypeError(
            f"{where}: a rule's value must be a multiplier, a bool, 'frozen', "
            f"weight_decay(…) or a schedule of λ, got {value!r} of type "
            f"{type(value).__name__}."
        )
    if isinstance(value, complex) or not 0 <= (number := float(value)) < math.inf:
        raise ValueError(
            f"{where}: a multiplier must be finite and >= 0, got {value!r}. Use False "
            "or 0 for no decay, 'frozen' for no change at all."
        )
    return LeafDecay(multiplier=number)
