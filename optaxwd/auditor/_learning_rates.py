"""Learning rates as numbers or schedules: read at a step, scaled, halved."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from optaxwd._typing import ScalarOrSchedule


def value_at(learning_rate: ScalarOrSchedule, count: Any) -> Any:
    """Return the learning rate at step ``count``."""
    return learning_rate(count) if callable(learning_rate) else learning_rate


def at_steps(learning_rate: ScalarOrSchedule, steps: int) -> np.ndarray:
    """Return the learning rate at each of the first ``steps``."""
    return np.array([float(value_at(learning_rate, t)) for t in range(steps)])


def times(learning_rate: ScalarOrSchedule, factor: float) -> ScalarOrSchedule:
    """Return ``factor`` times the learning rate, of the same kind."""
    if callable(learning_rate):
        return lambda count: factor * value_at(learning_rate, count)
    return factor * learning_rate


def halving(learning_rate: ScalarOrSchedule) -> Callable[[Any], Any]:
    """Return a schedule that starts at the learning rate and halves at each step.

    Its ratio from step to step does not depend on where the optimizer starts to count.
    """
    return lambda count: (
        value_at(learning_rate, count) * jnp.exp2(-jnp.asarray(count, float))
    )


def peak(learning_rate: ScalarOrSchedule) -> float:
    """Return the largest learning rate of the steps that a run may have."""
    if not callable(learning_rate):
        return float(value_at(learning_rate, 0))
    try:
        return float(jnp.max(value_at(learning_rate, jnp.arange(100_000))))
    except Exception:
        # Not a schedule of an array of counts; sparsely, one by one.
        counts = np.unique(np.geomspace(1, 1e5, 200).astype(int))
        return max(float(value_at(learning_rate, int(t))) for t in (0, *counts))
