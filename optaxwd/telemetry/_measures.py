"""From sums over entries to the quantities that are recorded."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from optaxwd.schedules import Walk
from optaxwd.telemetry._second_moments import RootMoments
from optaxwd.telemetry._sums import Sums

# What a quantity is where it is not defined; all such quantities are >= 0.
UNDEFINED = -1.0

PREDICTED = ("predicted_rotation", "rotation_ratio", "predicted_rms", "rms_ratio")
OF_MOMENTS = ("sqrt_nu_mean", "sqrt_nu_min", "sqrt_nu_max")


def summed(rows: Sequence[Sums], groups: Sequence[int], number: int) -> Sums:
    """Return the sums of ``number`` groups and, last, of all leaves together."""
    table = jnp.stack([jnp.stack(row) for row in rows])
    by_group = jax.ops.segment_sum(table, jnp.asarray(groups), number)
    return Sums(*jnp.concatenate([by_group, table.sum(0, keepdims=True)]).T)


def measured(sums: Sums, walk: Walk | None, learning_rate: Any) -> dict[str, Any]:
    """Return the quantities of each group by name.

    Args:
      sums: of each group, shape ``(groups,)``.
      walk: what predicts the equilibrium; ``None``: nothing does.
      learning_rate: η, a scalar, which the size at equilibrium needs; ``None``: not
        known.
    """
    sums = _without_noise(sums)
    entries = jnp.maximum(sums.entries, 1)
    weight, step, decay = map(jnp.sqrt, (sums.weights, sums.steps, sums.decays))
    rate = -_over(sums.decay_and_weight, sums.weights)
    along = _over(sums.step_and_weight, weight)
    across = jnp.sqrt(jnp.maximum(sums.steps - along**2, 0))
    # Where the weights are zero there is no angle.
    rotation = jnp.where(weight != 0, jnp.arctan2(across, weight + along), 0)
    decays = sums.decay_and_weight != 0
    found = {
        "weight_rms": weight / jnp.sqrt(entries),
        "update_rms": step / jnp.sqrt(entries),
        "decay_rms": decay / jnp.sqrt(entries),
        "decay_share": _over(decay, step),
        "decay_rate": rate,
        "cosine": _over(along, step),
        "rotation": rotation,
        "rounding_loss": _over(jnp.sqrt(sums.losses), step),
        "decay_realised": jnp.where(
            decays, _over(sums.landed_decay_and_weight, sums.decay_and_weight), 1
        ),
    }
    if walk is not None:
        found["predicted_rotation"] = _where_decaying(
            rate, lambda rate: walk.step * jnp.sqrt(2 * rate / walk.diffusion)
        )
        found["rotation_ratio"] = _ratio(rotation, found["predicted_rotation"])
    if walk is not None and learning_rate is not None:
        gradient = jnp.sqrt(sums.grads / entries) ** walk.power
        found["predicted_rms"] = _where_decaying(
            rate,
            lambda rate: (
                learning_rate * gradient * jnp.sqrt(walk.diffusion / (2 * rate))
            ),
        )
        found["rms_ratio"] = _ratio(found["weight_rms"], found["predicted_rms"])
    return found


def of_moments(
    rows: Sequence[RootMoments | None], groups: Sequence[int], number: int
) -> dict[str, Any]:
    """Return mean, least and largest √v̂ of each group and of all leaves together."""
    chosen = [i for i, row in enumerate(rows) if row is not None]
    if not chosen:
        return dict.fromkeys(OF_MOMENTS, jnp.full(number + 1, UNDEFINED))
    table = [rows[i] for i in chosen]
    # Every leaf counts in its own group and in that of all leaves.
    ids = jnp.asarray([groups[i] for i in chosen] + [number] * len(chosen))
    columns = [jnp.tile(jnp.stack(x), 2) for x in zip(*table, strict=True)]
    entries, total = (
        jax.ops.segment_sum(column, ids, number + 1) for column in columns[:2]
    )
    least = jax.ops.segment_min(columns[2], ids, number + 1)
    largest = jax.ops.segment_max(columns[3], ids, number + 1)
    values = (_over(total, entries), least, largest)
    return {
        name: jnp.where(entries > 0, value, UNDEFINED)
        for name, value in zip(OF_MOMENTS, values, strict=True)
    }


def _without_noise(sums: Sums) -> Sums:
    """Return sums without decay where that is no more than the rounding of the step.

    Two computations of one step differ in their last bits, also where nothing decays.
    """
    floor = 8 * float(jnp.finfo(sums.steps.dtype).eps)
    noise = sums.decays <= floor**2 * sums.steps
    decays, along, landed = (
        jnp.where(noise, 0, x)
        for x in (sums.decays, sums.decay_and_weight, sums.landed_decay_and_weight)
    )
    return sums._replace(
        decays=decays, decay_and_weight=along, landed_decay_and_weight=landed
    )


def _over(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return x/y, and 0 where y is; NaN stays NaN."""
    return jnp.where(y != 0, x / jnp.where(y != 0, y, 1), 0)


def _where_decaying(rate: jax.Array, function: Any) -> jax.Array:
    """Return the function of the decay rate, undefined where nothing decays."""
    decays = rate > 0
    return jnp.where(decays, function(jnp.where(decays, rate, 1)), UNDEFINED)


def _ratio(value: jax.Array, predicted: jax.Array) -> jax.Array:
    known = predicted > 0
    return jnp.where(known, value / jnp.where(known, predicted, 1), UNDEFINED)
