"""Sums over the entries of one leaf: all that the quantities are made from."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optaxwd.numerics import round_nearest, widen


class Sums(NamedTuple):
    """Sums over entries, of a leaf or of several; each a real scalar or a vector.

    With θ the parameters, g the gradients, s the step, d its decay, r what the
    parameters move by after rounding, and r_d the part of it that is decay. A complex
    entry counts as two real ones.

    Attributes:
      entries: number of entries.
      weights: Σ θ².
      steps: Σ s².
      decays: Σ d².
      step_and_weight: Σ sθ.
      decay_and_weight: Σ dθ.
      losses: Σ (s − r)².
      landed_decay_and_weight: Σ r_d θ.
      grads: Σ g², 0 where they are not asked for.
    """

    entries: Any
    weights: Any
    steps: Any
    decays: Any
    step_and_weight: Any
    decay_and_weight: Any
    losses: Any
    landed_decay_and_weight: Any
    grads: Any


@jax.jit
def sums_of(
    param: jax.Array,
    grad: Any,
    step: Any,
    without_decay: Any,
    landed: Any,
    landed_without_decay: Any,
) -> Sums:
    """Return the sums of one leaf, in float32 or wider, from one pass over it.

    ``landed`` and ``landed_without_decay`` are ``None`` where the update is the step,
    ``grad`` where it is not asked for.
    """
    theta, s = _real(param), _real(step)
    d = s - _real(without_decay)
    if landed is None:
        target = landing(theta + s, param)
        r, r_d = target - theta, target - landing(theta + s - d, param)
    else:
        r = _real(landed)
        r_d = r - _real(landed_without_decay)
    products = [theta * theta, s * s, d * d, s * theta, d * theta]
    products += [(s - r) ** 2, r_d * theta]
    if grad is not None:
        products.append(_real(grad) ** 2)
    # A derivative of an update goes by the update itself, and none is of interest here.
    summed = _sum_all(tuple(map(jax.lax.stop_gradient, products)))
    entries = jnp.asarray(float(theta.size), summed[0].dtype)
    if grad is None:
        summed.append(jnp.zeros_like(entries))
    return Sums._make([entries, *summed])


def _real(x: Any) -> jax.Array:
    """Return real numbers in float32 or wider; a complex one becomes two."""
    x = widen(x)
    return jnp.stack([x.real, x.imag]) if jnp.iscomplexobj(x) else x


def landing(target: jax.Array, param: jax.Array) -> jax.Array:
    """Return what :func:`optax.apply_updates` lands on, in the dtype of ``target``."""
    is_narrow = jnp.finfo(param.dtype).bits < 32
    return round_nearest(target, param.dtype) if is_narrow else target


def _sum_all(products: tuple[jax.Array, ...]) -> list[jax.Array]:
    """Return the sum of each, in one pass over what they are computed from.

    One reduction of several operands: XLA for CPUs would read everything anew for each
    of several reductions. The first axis is summed last, so that a CPU can share the
    work among its cores.
    """
    dtype = jnp.result_type(*products)
    products = tuple(x.astype(dtype) for x in products)
    shape = products[0].shape
    if math.prod(shape[1:]) > 1 and reduces_together():
        zeros = (jnp.zeros([], dtype),) * len(products)
        axes = tuple(range(1, len(shape)))
        products = jax.lax.reduce(products, zeros, _add, axes)
    return [jnp.sum(x) for x in products]


def reduces_together() -> bool:
    """Return whether one reduction of several operands is better than several.

    Not over several devices: XLA gathers the parts of such a reduction, while it adds
    those of the others up, all in one message.
    """
    return jax.device_count() == 1


def _add(x: tuple[Any, ...], y: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(a + b for a, b in zip(x, y, strict=True))
