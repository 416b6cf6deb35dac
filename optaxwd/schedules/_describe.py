"""A planned run in numbers, before it starts."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from optaxwd._checks import check_number, check_steps
from optaxwd._typing import Coupling, ScalarOrSchedule
from optaxwd.schedules._conventions import CONVENTIONS, conversion
from optaxwd.schedules._plan import Equivalent, Plan
from optaxwd.schedules._rates import Rates, check_run, rates_over_steps

_OWNER = "describe"


def describe(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule,
    steps: int,
    *,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    warmup_steps: int = 0,
    dtype: Any = "bfloat16",
    batch_size: float | None = None,
    dataset_size: float | None = None,
    epochs: float | None = None,
) -> Plan:
    r"""What the decay of a planned run will do, in numbers.

    Decay per step, timescale and half-life at the peak, what is left after the run of a
    weight that no gradient moves, :math:`\prod_t (1 - R_t)`, what the warmup costs,
    what rounding takes, and the same λ in other conventions.

    Args:
      learning_rate: :math:`\eta_t`, a number or a schedule of the step count, which
        starts at 0.
      weight_decay: :math:`\lambda_t`, likewise.
      steps: length of the run.
      coupling: how λ is tied to the learning rate; see :func:`with_weight_decay`.
      peak_learning_rate: :math:`\eta_\text{peak}`; ``None``: the largest of the run.
      warmup_steps: with a number as ``learning_rate``, the steps in which it rises
        linearly from 0, as in :func:`optax.warmup_constant_schedule`. A schedule has
        its own warmup.
      dtype: of the weights, for what rounding takes.
      batch_size, dataset_size, epochs: as in :func:`normalized_weight_decay`, for the
        normalised λ only.

    Returns:
      A :class:`Plan`.

    Raises:
      ValueError: if decay would remove a whole weight in a step; if a number is
        negative or not finite, or a schedule returns NaN, with the step; on an unknown
        coupling, or a warmup beside a schedule.
      TypeError: if an argument is of the wrong kind.

    Examples:
      >>> import optaxwd
      >>> plan = optaxwd.describe(3e-4, 0.1, 10_000, warmup_steps=1_000)
      >>> round(plan.remaining, 3), round(plan.lost_to_warmup, 3)
      (0.752, 0.05)
      >>> plan.lost_to_rounding
      1.0
      >>> round(plan.equivalents["independent"].weight_decay, 9)
      3e-05

    References:
      Wang and Aitchison, `How to set AdamW's weight decay as you scale model and
      dataset size <https://arxiv.org/abs/2405.13698>`_, 2025, for the timescale.
    """
    name = _float_dtype(dtype)
    warmup = check_steps(warmup_steps, "warmup_steps", _OWNER, minimum=0)
    if warmup:
        top, learning_rate = _warmed_up(learning_rate, warmup, steps)
        # Not the schedule's own largest value, which is rounded to float32.
        if peak_learning_rate is None and top > 0:
            peak_learning_rate = top
    run = rates_over_steps(
        learning_rate,
        weight_decay,
        steps,
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        owner=_OWNER,
    )
    sizes = {"batch_size": batch_size, "dataset_size": dataset_size, "epochs": epochs}
    found = {
        convention: _equivalent(convention, coupling, run, sizes)
        for convention in CONVENTIONS
    }
    return Plan(coupling, run, name, found)


def _warmed_up(
    learning_rate: Any, warmup_steps: int, steps: Any
) -> tuple[float, optax.Schedule]:
    """Return the learning rate that a warmup leads to, and the way there."""
    if callable(learning_rate):
        raise ValueError(
            f"{_OWNER}: warmup_steps={warmup_steps!r} is for a learning rate that is a "
            f"number, got {learning_rate!r}: put the warmup into the schedule."
        )
    count = check_run(steps, _OWNER)
    if warmup_steps >= count:
        raise ValueError(
            f"{_OWNER}: warmup_steps must be below steps={count!r}, got "
            f"{warmup_steps!r}: the learning rate would never reach its peak."
        )
    top = check_number(learning_rate, "learning_rate", _OWNER)
    return top, optax.warmup_constant_schedule(0.0, top, warmup_steps)


def _float_dtype(dtype: Any) -> str:
    """Return the name of a floating-point dtype."""
    try:
        found = None if dtype is None else jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating):
        raise TypeError(
            f"{_OWNER}: dtype must be a floating-point dtype such as 'bfloat16', got "
            f"{dtype!r}."
        )
    return found.name


def _equivalent(
    name: str, coupling: str, run: Rates, sizes: dict[str, Any]
) -> Equivalent:
    """Return λ at the peak in the convention ``name``, as far as it can be said."""
    convention, given = CONVENTIONS[name], CONVENTIONS[coupling]
    peak, changes = run.peak_learning_rate, bool(np.ptp(run.learning_rate))
    eta = peak if changes else float(run.learning_rate[0])
    if convention.per_period and None in sizes.values():
        return Equivalent(None, "needs batch_size, dataset_size and epochs")
    factor, power, peak_power = conversion(given, convention, sizes, _OWNER)
    if (power and not eta) or (peak_power and not peak):
        return Equivalent(None, "there is no learning rate")
    still = (run.learning_rate == 0) & (run.rate > 0)
    if power < 0 and still.any():
        return Equivalent(None, "none: it decays in steps without learning rate")
    notes = ["only for plain SGD"] if convention.is_penalty else []
    if power and changes:
        notes.append("at the peak; it takes a schedule")
    if np.ptp(run.weight_decay):
        notes.append("of the largest λ")
    value = float(run.weight_decay.max()) * factor * eta**power * peak**peak_power
    return Equivalent(value, ", ".join(notes))
