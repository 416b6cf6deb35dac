"""The values of a schedule over a whole run, checked."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optaxwd._checks import check_scalar_or_schedule

# Values of a schedule smaller than this share of its largest are rounding errors of 0.
ROUNDING = 1e-7


def over_steps(value: Any, steps: int, name: str, owner: str) -> np.ndarray:
    """Return the values of a number or schedule at the counts 0, 1, …, steps − 1.

    A schedule of JAX operations is evaluated in one vectorised call, so with the
    rounding that training has; one that needs a Python number is called step by step.

    Args:
      value: a number, a scalar array or a schedule of the step count.
      steps: number of steps.
      name: what ``value`` is called, for messages.
      owner: the function that asks, for messages.

    Returns:
      A float64 array of shape ``(steps,)``.

    Raises:
      ValueError: if a value is negative, NaN or infinite; the message names the step.
      TypeError: if ``value`` is neither number nor schedule.
    """
    check_scalar_or_schedule(value, name, owner)
    if not callable(value):
        return np.full(steps, float(value))
    try:
        found = jax.jit(jax.vmap(value))(jnp.arange(steps))
    except Exception:  # it branches, indexes or calls NumPy: what is wrong shows below
        found = [value(count) for count in range(steps)]
    values = np.asarray(found, np.float64)
    if values.shape != (steps,):
        raise ValueError(
            f"{owner}: the schedule given as {name} must return a scalar for each "
            f"count, got an array of shape {values.shape[1:]}."
        )
    # A schedule that falls to 0 ends some 1e-9 below it in float32.
    tiny = np.abs(values) <= ROUNDING * np.abs(values).max(initial=0.0)
    values = np.where(tiny, 0.0, values)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        step = int(np.argmax(bad))
        raise ValueError(
            f"{owner}: the schedule given as {name} must be finite and >= 0, got "
            f"{values[step]} at step {step} (counted from 0)."
        )
    return values
