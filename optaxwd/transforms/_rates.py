"""Values of schedules at one step, and rates of decay leaf by leaf."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optaxwd._checks import check_scalar, is_static_number
from optaxwd._typing import Scalar, ScalarOrSchedule
from optaxwd.rules import LeafDecay


def value_at(
    scalar_or_schedule: ScalarOrSchedule, count: Any, name: str, owner: str
) -> Any:
    """Return a number or array as it is, and of a schedule the value at ``count``."""
    if not callable(scalar_or_schedule):
        return scalar_or_schedule
    value: Any = scalar_or_schedule(count)
    if is_static_number(value) or jnp.ndim(value):
        check_scalar(value, f"{name} (from its schedule)", owner)
    return value


def current(value: Any, count: Any) -> jax.Array:
    """Return the value at ``count`` in float32, as states keep it to be read."""
    value = jnp.asarray(value, jnp.float32)
    # XLA would copy a constant, or a count that is needed after it was advanced; it
    # does not know that the next count is never negative.
    following = jnp.asarray(optax.safe_increment(count))
    return jnp.where(following < 0, jnp.float32(0), value)


def start(
    scalar_or_schedule: ScalarOrSchedule, name: str, owner: str
) -> tuple[jax.Array, jax.Array]:
    """Return a count of 0 and the value there, as a state has them at first."""
    count = jnp.zeros([], jnp.int32)
    return count, current(value_at(scalar_or_schedule, count, name, owner), count)


def rates_at(
    weight_decay: ScalarOrSchedule, factor: ScalarOrSchedule, count: Any, owner: str
) -> Callable[[LeafDecay], Scalar]:
    """Return f·λ at ``count`` for each leaf, computed once per distinct λ."""
    known: dict[int, Any] = {}
    scale = value_at(factor, count, "factor", owner)
    plain = is_static_number(scale) and scale == 1

    def rate_of(decay: LeafDecay) -> Any:
        own = weight_decay if decay.weight_decay is None else decay.weight_decay
        if id(own) not in known:
            rate = value_at(own, count, "weight_decay", owner)
            known[id(own)] = rate if plain else rate * scale
        return known[id(own)]

    return rate_of
