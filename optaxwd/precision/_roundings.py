"""Five ways to bring a parameter of 16 bits through a step that is computed in 32.

Each is told by three functions of one leaf: what is kept beside the parameter, the
float32 parameter that both make together, and the step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optaxwd.numerics import (
    as_float32,
    join,
    round_nearest,
    round_stochastic,
    spacing,
    split,
)
from optaxwd.precision._landing import land


class Rounding(NamedTuple):
    """One way to round.

    Attributes:
      keep: from a parameter to what is kept beside it at first; ``None``: nothing is.
      complete: from a parameter and what is kept to the float32 parameter.
      step: from a parameter, what is kept, a float32 step and a PRNG key (or ``None``)
        to the update and what is kept then.
      is_random: whether ``step`` needs a key.
    """

    keep: Callable[[jax.Array], jax.Array] | None
    complete: Callable[[jax.Array, Any], jax.Array]
    step: Callable[..., tuple[jax.Array, Any]]
    is_random: bool = False


def _complete_alone(param: jax.Array, kept: Any) -> jax.Array:
    del kept
    return as_float32(param)


def _step_nearest(
    param: jax.Array, kept: Any, step: jax.Array, key: Any
) -> tuple[jax.Array, Any]:
    """Leave it to ``apply_updates``, which rounds to the nearest."""
    del param, key
    return step, kept


def _step_stochastic(
    param: jax.Array, kept: Any, step: jax.Array, key: Any
) -> tuple[jax.Array, Any]:
    wide = as_float32(param)
    target = round_stochastic(key, wide + step, param.dtype)
    return land(target, wide, param.dtype)[0], kept


# The exponents of float16 do not reach low enough for what it leaves over.
_COMPENSATION = jnp.bfloat16


def _keep_compensation(param: jax.Array) -> jax.Array:
    return jnp.zeros_like(param, _COMPENSATION)


def _compensation(param: jax.Array, kept: jax.Array) -> jax.Array:
    """Return what is kept, or 0 where it is too large to be of this parameter.

    A weight that was reset or pruned must not get back what its old value left over.
    """
    rest = as_float32(kept)
    is_own = jnp.abs(rest) <= spacing(as_float32(param), param.dtype)
    return jnp.where(is_own, rest, 0.0)


def _complete_compensated(param: jax.Array, kept: jax.Array) -> jax.Array:
    return as_float32(param) + _compensation(param, kept)


def _step_compensated(
    param: jax.Array, kept: jax.Array, step: jax.Array, key: Any
) -> tuple[jax.Array, jax.Array]:
    """Sum what is left over and the step, round, and keep what that leaves over.

    The sum with the parameter comes after: what is far below its last bit adds up.
    """
    del key
    wide = as_float32(param)
    wanted = _compensation(param, kept) + step
    target = round_nearest(wide + wanted, param.dtype)
    # A step of 0 moves nothing, also where the sum is as near to one as to the other.
    target = jnp.where(step == 0, wide, target)
    update, end = land(target, wide, param.dtype)
    rest = wanted - (end - wide)
    rest = jnp.where(jnp.isfinite(rest), rest, 0.0)
    return update, rest.astype(_COMPENSATION)


def _keep_split(param: jax.Array) -> jax.Array:
    return jnp.zeros_like(param, jnp.int16)


def _step_split(
    param: jax.Array, kept: jax.Array, step: jax.Array, key: Any
) -> tuple[jax.Array, jax.Array]:
    del key
    high, rest = split(join(param, kept) + step, param.dtype)
    target = as_float32(high)
    update, end = land(target, as_float32(param), param.dtype)
    return update, jnp.where(end == target, rest, 0)


def _complete_master(param: jax.Array, kept: jax.Array) -> jax.Array:
    """Return the copy, or the parameter where it was changed from outside."""
    wide = as_float32(param)
    return jnp.where(round_nearest(kept, param.dtype) == wide, kept, wide)


def _step_master(
    param: jax.Array, kept: jax.Array, step: jax.Array, key: Any
) -> tuple[jax.Array, jax.Array]:
    del key
    master = _complete_master(param, kept) + step
    target = round_nearest(master, param.dtype)
    return land(target, as_float32(param), param.dtype)[0], master


ROUNDINGS = {
    "nearest": Rounding(None, _complete_alone, _step_nearest),
    "stochastic": Rounding(None, _complete_alone, _step_stochastic, is_random=True),
    "compensated": Rounding(
        _keep_compensation, _complete_compensated, _step_compensated
    ),
    "split": Rounding(_keep_split, join, _step_split),
    "master": Rounding(as_float32, _complete_master, _step_master),
}
