"""The one place where the decay term is computed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from optaxwd import tree
from optaxwd._checks import is_static_number
from optaxwd._typing import Scalar
from optaxwd.rules import LeafDecay
from optaxwd.transforms._penalties import Penalty


def add_decay(
    update: Any,
    param: Any,
    anchor: Any,
    *,
    rate: Scalar,
    multiplier: float,
    penalty: Penalty,
    cautious: bool,
    after_learning_rate: bool,
) -> Any:
    """Add the decay term to the update of one leaf.

    With R the rate, m the multiplier, a the anchor, ``pull`` the penalty's gradient::

        before the learning rate:  u + R·m·gate·pull(θ − a)
        after it:                  s − R·m·gate·pull(θ − a)

    Three invariants. A leaf that does not decay keeps its update bit for bit: with a
    static zero nothing is computed, with a traced zero the update is selected, not
    summed, so that an infinite θ stays harmless. The plain case is literally
    ``u + R * θ``, Optax's own expression, so that its bits and its promotion of dtypes
    are Optax's. The gate compares signs and not the sign of a product, which
    underflows.

    Args:
      update: u or s, an array.
      param: θ, same shape. A leaf that is not a floating-point or complex array (an
        integer, a function) is not a parameter to decay, and its update passes.
      anchor: a, same shape, or ``None`` for 0.
      rate: R, a scalar.
      multiplier: m, a Python float.
      penalty: the penalty.
      cautious: decay only the entries that the update does not move away from the
        anchor.
      after_learning_rate: whether ``update`` is a descent step.

    Returns:
      The new update, of the dtype that JAX promotes ``update + rate * param`` to.
    """
    if not tree.is_inexact(param):
        return update
    if multiplier == 0 or (is_static_number(rate) and rate == 0):
        return update
    offset = param if anchor is None else param - anchor
    strength = rate if multiplier == 1 else rate * multiplier
    decay = strength * penalty.pull(offset)
    decayed = update - decay if after_learning_rate else update + decay
    keep = None
    if not is_static_number(rate):
        keep = rate != 0
    if cautious:
        ascent = -jnp.sign(update) if after_learning_rate else jnp.sign(update)
        agrees = (jnp.conj(ascent) * jnp.sign(offset)).real >= 0
        keep = agrees if keep is None else keep & agrees
    return decayed if keep is None else jnp.where(keep, decayed, update)


def add_decay_to_tree(
    updates: Any,
    params: Any,
    anchor: Any,
    decays: Any,
    *,
    rate_of: Callable[[LeafDecay], Scalar],
    **options: Any,
) -> Any:
    """Apply :func:`add_decay` to every leaf.

    Args:
      updates: the updates; ``None`` passes.
      params: the parameters.
      anchor: a tree like the parameters, or ``None``.
      decays: a tree like the parameters of :class:`LeafDecay`.
      rate_of: R, without the multiplier, of a leaf that decays so.
      **options: the rest of :func:`add_decay`'s arguments.

    Returns:
      The new updates.
    """
    anchors = (anchor,) if anchor is not None else ()

    def leaf(update: Any, param: Any, decay: LeafDecay, *anchor_leaf: Any) -> Any:
        if update is None:
            return None
        return add_decay(
            update,
            param,
            *(anchor_leaf or (None,)),
            rate=rate_of(decay),
            multiplier=decay.multiplier,
            **options,
        )

    return jax.tree.map(
        leaf, updates, params, decays, *anchors, is_leaf=lambda x: x is None
    )
