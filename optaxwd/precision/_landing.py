"""An update that leads exactly where it should, by ``optax.apply_updates``."""

from typing import Any

import jax
import jax.numpy as jnp

from optaxwd.numerics import round_nearest

_LARGEST = float(jnp.finfo(jnp.float32).max)


def land(
    target: jax.Array, param: jax.Array, dtype: Any
) -> tuple[jax.Array, jax.Array]:
    """Return the update from ``param`` to ``target`` and the place where it ends.

    Two numbers of 16 bits differ by a float32 wherever float32 itself can tell the
    target from zero, that is above 2⁻²⁴·|param|. Below, the end is the nearest number
    that a sum can reach, so the end, and not the target, is what a state must know.

    Args:
      target: where to go, a number of ``dtype``, in float32.
      param: from where, likewise.
      dtype: the dtype of the parameter.

    Returns:
      The update and the end of it, both float32.
    """
    # No difference leads to what is infinite or NaN, nor back: inf − inf is NaN.
    update = jnp.where(
        jnp.isfinite(target), jnp.clip(target - param, -_LARGEST, _LARGEST), target
    )
    return update, round_nearest(param + update, dtype)
