"""A recorded step before the real one, so that XLA has no state to copy for it.

Both read the state of before, and the real one writes its own over it where buffers are
donated. XLA copies what it would overwrite, unless what is written depends on what was
recorded. A selection that always takes the same side is such a dependence, and costs
nothing; but it may change which products LLVM contracts with which sums, and so the
last bit of an update. Where no bit has been seen to change it is made; other states are
left to be copied.
"""

from typing import Any

import jax
import jax.numpy as jnp

from optaxwd._checks import is_known
from optaxwd.telemetry._decay_part import Probe

# Names of states, of Optax and of this library, of stages that go entry by entry.
_KNOWN = {
    "AddDecayedWeightsState",
    "CompressedState",
    "EmptyState",
    "FreezeState",
    "MaskedNode",
    "MaskedState",
    "PartitionState",
    "PrecisionState",
    "RoundUpdatesState",
    "ScaleByAdamState",
    "ScaleByAmsgradState",
    "ScaleByLearningRateState",
    "ScaleByLionState",
    "ScaleByNadamState",
    "ScaleByRmsState",
    "ScaleByScheduleState",
    "TraceState",
}


def recorded_first(measures: dict[str, Any], probe: Probe) -> Probe:
    """Return the probe with arrays that are read once ``measures`` are known."""
    # No RMS is negative, which XLA does not know. What would then be taken is no
    # constant: LLVM moves operations on constants into the selection.
    known = measures["weight_rms"][-1]
    if is_known(known) or not _keeps_every_bit(probe.state):
        return probe

    def later(x: Any) -> Any:
        is_array = isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.number)
        if not is_array or not x.ndim:
            return x
        return jnp.where(known < 0, known.astype(x.dtype), x)

    has_baseline = probe.baseline is not probe.state
    grads, state, params = jax.tree.map(later, (probe.grads, probe.state, probe.params))
    baseline = jax.tree.map(later, probe.baseline) if has_baseline else state
    return probe._replace(grads=grads, state=state, params=params, baseline=baseline)


def _keeps_every_bit(state: Any) -> bool:
    """Return whether all parts of a state are of kinds that were looked at."""
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        known = type(state).__name__ in _KNOWN
        return known and all(map(_keeps_every_bit, state))
    if isinstance(state, (tuple, list)):
        return all(map(_keeps_every_bit, state))
    if isinstance(state, dict):
        return all(map(_keeps_every_bit, state.values()))
    return True
