"""What laws that act on the parameters after the step have in common."""

from typing import Any

import jax

from optaxwd.numerics import widen
from optaxwd.transforms._dtypes import promote


def after_step(update: Any, param: Any) -> jax.Array:
    """Return θ + s, where the step would lead, in float32 or wider."""
    return widen(param) + widen(update)


def step_to(target: jax.Array, update: Any, param: Any) -> jax.Array:
    """Return the update that leads from ``param`` to ``target``.

    A difference and not a sum of corrections, so that a target of exactly 0 is met.
    """
    return promote(target - widen(param), update, param)
