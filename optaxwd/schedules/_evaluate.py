"""The values of a schedule over a whole run, checked."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optaxwd._checks import check_number, check_scalar_or_schedule

# A schedule that falls to 0 ends some 1e-8 of its largest value beside it in float32:
# XLA divides by a constant by multiplying with its rounded reciprocal.
ROUNDING = 1e-6


def over_steps(value: Any, steps: int, name: str, owner: str) -> np.ndarray:
    """Return the values of a number or schedule at the counts 0, 1, …, steps − 1.

    A schedule of JAX operations is evaluated in one vectorised call, so with the
    rounding that training has; one that needs a Python number is called step by step.
    Values below zero by no more than rounding are 0.

    Args:
      value: a number, a scalar array or a schedule of the step count.
      steps: number of steps.
      name: what ``value`` is called, for messages.
      owner: the function that asks, for messages.

    Returns:
      A float64 array of shape ``(steps,)``.

    Raises:
      ValueError: if a value is negative, NaN or infinite; the message names the step.
      TypeError: if ``value`` is neither number nor schedule, or traced, or a schedule
        returns something else than real numbers.
    """
    check_scalar_or_schedule(value, name, owner)
    if not callable(value):
        return np.full(steps, check_number(value, name, owner))
    values = _real(_call(value, steps), name, owner)
    if values.shape != (steps,):
        raise ValueError(
            f"{owner}: the schedule given as {name} must return a scalar for each "
            f"count, got an array of shape {values.shape[1:]}."
        )
    lowest = -ROUNDING * np.abs(values).max(initial=0.0)
    values = np.where((values < 0) & (values >= lowest), 0.0, values)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        step = int(np.argmax(bad))
        raise ValueError(
            f"{owner}: the schedule given as {name} must be finite and >= 0, got "
            f"{values[step]} at step {step} (counted from 0)."
        )
    return values


def _call(schedule: Any, steps: int) -> Any:
    # The counts are known, so this works while something else is traced.
    with jax.ensure_compile_time_eval():
        try:
            return jax.jit(jax.vmap(schedule))(jnp.arange(steps))
        except Exception:
            # It branches, indexes or calls NumPy. If it is wrong, this says how.
            return [schedule(count) for count in range(steps)]


def _real(found: Any, name: str, owner: str) -> np.ndarray:
    values = np.asarray(found)
    if values.dtype.kind in "cOUS":
        shown = found[0] if isinstance(found, list) else found
        raise TypeError(
            f"{owner}: the schedule given as {name} must return a real number for each "
            f"count, got {shown!r}."
        )
    return values.astype(np.float64)
