"""The one place where the decay term is computed."""

from typing import Any

import jax
import jax.numpy as jnp

from optaxwd import tree
from optaxwd._checks import is_static_number
from optaxwd._typing import Form, Scalar
from optaxwd.numerics import widen
from optaxwd.rules import LeafDecay
from optaxwd.transforms._after_step import after_step, step_to
from optaxwd.transforms._penalties import L2, Penalty


def add_decay(
    update: Any,
    param: Any,
    anchor: Any = None,
    direction: Any = None,
    *,
    rate: Scalar,
    multiplier: float,
    after_learning_rate: bool,
    penalty: Penalty = L2,
    form: Form = "additive",
    cautious: bool = False,
) -> Any:
    """Add the decay term to the update of one leaf.

    With R the rate, m the multiplier, a the anchor, ``pull`` and ``prox`` the penalty's
    gradient and proximal operator, x = θ + s::

        additive, before the learning rate:  u + R·m·gate·pull(θ − a)
        additive, after it:                  s − R·m·gate·pull(θ − a)
        multiplicative, after it:            the step to x − R·m·pull(x − a)
        proximal, after it:                  the step to a + prox(x − a, R·m)

    Four invariants. A leaf that does not decay keeps its update bit for bit: with a
    static zero nothing is computed, with a traced zero the update is selected, not
    summed, so that an infinite θ stays harmless. The plain case is literally
    ``u + R * θ``, Optax's own expression, so that its bits and its promotion of dtypes
    are Optax's. An anchor is subtracted in float32 or wider: in bfloat16 the difference
    of two close numbers is mostly rounding. The gate compares signs and not the sign of
    a product, which underflows.

    Args:
      update: u or s, an array.
      param: θ, same shape. A leaf that is not a floating-point or complex array (an
        integer, a function) is not a parameter to decay, and its update passes.
      anchor: a, same shape, or ``None`` for 0.
      direction: what the gate compares: u, same shape; ``None``: what the update shows.
      rate: R, a scalar.
      multiplier: m, a Python float.
      after_learning_rate: whether ``update`` is a descent step.
      penalty: the penalty.
      form: one of the three; the last two only after the learning rate.
      cautious: decay only the entries that the update does not move away from the
        anchor.

    Returns:
      The new update, of the dtype that JAX promotes ``update + rate * param`` to.
    """
    if not tree.is_inexact(param):
        return update
    if multiplier == 0 or (is_static_number(rate) and rate == 0):
        return update
    if cautious:
        update = read_once(update)
    strength = rate if multiplier == 1 else rate * multiplier
    offset = param if anchor is None else widen(param) - widen(anchor)
    if form == "additive":
        pull: Any = penalty.pull
        decay = strength * pull(offset)
        decayed = update - decay if after_learning_rate else update + decay
        if anchor is not None:
            decayed = decayed.astype(jnp.result_type(update, param, strength))
    else:
        origin = 0 if anchor is None else widen(anchor)
        x = after_step(update, param) - origin
        target = _decayed_target(x, offset, strength, penalty, form) + origin
        decayed = step_to(target, update, param)
    keep = None
    if not is_static_number(rate):
        keep = rate != 0
    if cautious:
        if direction is None:
            direction = -update if after_learning_rate else update
        agrees = (jnp.conj(jnp.sign(direction)) * jnp.sign(offset)).real >= 0
        keep = agrees if keep is None else keep & agrees
    return decayed if keep is None else jnp.where(keep, decayed, update)


def read_once(update: Any) -> jax.Array:
    """Return the same, clamped at ±∞.

    XLA writes the result of a division, such as Adam's direction, to memory where two
    terms read it, as the gate and the sum do: 8 bytes more per float32 parameter. It
    does not for the clamp, which reads the division once.
    """
    update = jnp.asarray(update)
    if not jnp.issubdtype(update.dtype, jnp.floating):
        return update
    bound = jnp.asarray(jnp.inf, update.dtype)
    return jax.lax.clamp(-bound, update, bound)


def _decayed_target(
    x: jax.Array, before: Any, strength: Any, penalty: Penalty, form: Form
) -> jax.Array:
    if form == "multiplicative":
        pull: Any = penalty.pull
        return x - strength * pull(x)
    prox: Any = penalty.prox
    return prox(x, strength, widen(before))


def add_decay_to_tree(
    updates: Any,
    params: Any,
    decays: Any,
    rates: Any,
    *,
    anchors: Any = None,
    directions: Any = None,
    **options: Any,
) -> Any:
    """Apply :func:`add_decay` to every leaf.

    Args:
      updates: the updates; ``None`` passes.
      params: the parameters.
      decays: a tree like the parameters of :class:`LeafDecay`.
      rates: a tree like the parameters of R, without the multipliers.
      anchors: a tree like the parameters; ``None``, also for a leaf: 0.
      directions: a tree like the parameters; ``None``: what the updates show.
      **options: the rest of :func:`add_decay`'s arguments.

    Returns:
      The new updates.
    """
    nothing = jax.tree.map(lambda _: None, params)

    def leaf(update: Any, param: Any, decay: LeafDecay, rate: Any, *extra: Any) -> Any:
        if update is None:
            return None
        multiplier = decay.multiplier
        return add_decay(
            update, param, *extra, rate=rate, multiplier=multiplier, **options
        )

    return jax.tree.map(
        leaf,
        updates,
        params,
        decays,
        rates,
        nothing if anchors is None else anchors,
        nothing if directions is None else directions,
        is_leaf=lambda x: x is None,
    )
