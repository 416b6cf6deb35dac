"""One step observed: the quantities of every group."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from optaxwd.schedules import Walk
from optaxwd.telemetry._decay_part import Probe
from optaxwd.telemetry._measures import (
    OF_MOMENTS,
    measured,
    of_moments,
    summed,
)
from optaxwd.telemetry._rates import current_rates
from optaxwd.telemetry._second_moments import keeps_moments, moment_decays, root_moments
from optaxwd.telemetry._sums import Sums, sums_of

_ALWAYS = (
    "weight_rms",
    "update_rms",
    "decay_rms",
    "decay_share",
    "decay_rate",
    "cosine",
    "rotation",
    "rounding_loss",
    "decay_realised",
)


def quantities(state: Any, walk: Walk | None, learning_rate: Any) -> list[str]:
    """Return the names of what :func:`observe` will find for such a state."""
    names: list[str] = [*_ALWAYS]
    if walk is not None:
        names += ["predicted_rotation", "rotation_ratio"]
        if _learning_rate(state, learning_rate) is not None:
            names += ["predicted_rms", "rms_ratio"]
    if keeps_moments(state):
        names += OF_MOMENTS
    return names


def observe(
    probe: Probe,
    names: Sequence[str | None],
    groups: Sequence[str],
    *,
    walk: Walk | None,
    learning_rate: Any,
) -> dict[str, jax.Array]:
    """Return the quantities by name, each of every group and, last, of all.

    Args:
      probe: the optimizer at this step.
      names: the group of every leaf of the parameters; ``None``: in no group.
      groups: the names of the groups.
      walk: what predicts the equilibrium, if anything does.
      learning_rate: η as far as it was told.
    """
    steps, state = probe.steps()
    structure = jax.tree.structure(probe.params)
    reads_gradients = walk is not None and walk.reads_gradients
    columns = [
        [None] * structure.num_leaves if one is None else structure.flatten_up_to(one)
        for one in (probe.params, probe.grads if reads_gradients else None, *steps)
    ]
    place = {name: i for i, name in enumerate(groups)}
    by_leaf = zip(*columns, strict=True)
    rows, ids, chosen = [], [], []
    for index, (name, leaves) in enumerate(zip(names, by_leaf, strict=True)):
        if name is None or leaves[2] is None:
            continue
        rows.append(sums_of(*leaves))
        ids.append(place[name])
        chosen.append(index)
    if not rows:
        rows, ids = [Sums(*[jnp.zeros([])] * len(Sums._fields))], [0]
    rate = _learning_rate(state, learning_rate)
    found = measured(summed(rows, ids, max(len(groups), 1)), walk, rate)
    if not groups:
        found = {name: value[-1:] for name, value in found.items()}
    moments = root_moments(
        state, probe.params, moment_decays(lambda x: probe.after(x)[1], probe.state)
    )
    moments = [moments[index] for index in chosen]
    if keeps_moments(state):
        found |= of_moments(moments, ids, len(groups))
    return found


def _learning_rate(state: Any, told: Any) -> Any:
    """Return η as it was told, or as the state has it, if it has just one."""
    if told is not None:
        return told
    found = current_rates(state, "learning_rate")
    return found[0][1] if len(found) == 1 else None
