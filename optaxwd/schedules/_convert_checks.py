"""What can be known of a conversion beforehand, and where there is none."""

from typing import Any, NamedTuple

import numpy as np

from optaxwd._checks import check_number, check_scalar_or_schedule
from optaxwd.schedules._conventions import Convention
from optaxwd.schedules._evaluate import ROUNDING, over_steps
from optaxwd.schedules._rates import check_run, peak_of

OWNER = "convert_weight_decay"


class Known(NamedTuple):
    """What is known of a run: step by step, or of one step if ``steps`` is not given.

    Attributes:
      weight_decay: λ_t; ``None`` if it is a schedule and the steps are not known.
      learning_rate: η_t; likewise, or if it is not given.
      peak: η_peak; ``None`` if it is neither given nor to be seen.
    """

    weight_decay: np.ndarray | None
    learning_rate: np.ndarray | None
    peak: float | None


def known(value: Any, learning_rate: Any, peak: Any, steps: Any) -> Known:
    """Evaluate what was given: numbers always, schedules over ``steps``."""
    count = 1 if steps is None else check_run(steps, OWNER)

    def values(given: Any, name: str) -> np.ndarray | None:
        check_scalar_or_schedule(given, name, OWNER)
        if callable(given) and steps is None:
            return None
        return over_steps(given, count, name, OWNER)

    lam = values(value, "value")
    eta = None if learning_rate is None else values(learning_rate, "learning_rate")
    if eta is not None:
        return Known(lam, eta, peak_of(eta, peak, OWNER))
    if peak is not None:
        peak = check_number(peak, "peak_learning_rate", OWNER, positive=True)
    return Known(lam, eta, peak)


def check_penalties(before: Convention, after: Convention, optimizer: Any) -> None:
    """Raise where only one is a term of the loss, unless the optimizer is plain SGD."""
    if not (optimizer is None or isinstance(optimizer, str)):
        raise TypeError(
            f"{OWNER}: optimizer must be a name such as 'sgd', got {optimizer!r}."
        )
    plain = str(optimizer).lower() in ("sgd", "optax.sgd", "torch.optim.sgd")
    if before.is_penalty == after.is_penalty or plain:
        return
    raise ValueError(
        f"{OWNER}: from {before.name!r} to {after.name!r} there is no exact "
        f"equivalent, got optimizer={optimizer!r}. A term of the loss goes through the "
        "optimizer: an adaptive one (Adam, RMSprop, Lion) divides it by a scale of its "
        "own for every weight, which no λ undoes, and momentum spreads it over later "
        "steps. Only for plain SGD the two are the same: pass optimizer='sgd'. What an "
        "optimizer makes of a penalty is measured by `optaxwd.audit`."
    )


def check_rates(run: Known, convention: Convention, scale: float) -> None:
    """Raise if decay, as far as it is known, takes a whole weight in a step."""
    if run.weight_decay is None:
        return
    eta = run.peak if run.learning_rate is None else run.learning_rate
    rate = run.weight_decay * scale
    bases: tuple[Any, Any] = (eta, run.peak)
    for base, power in zip(bases, convention.powers, strict=True):
        if power and (base is None or (power < 0 and base == 0)):
            return
        if power:
            rate = rate * base**power
    if (rate >= 1).any():
        raise ValueError(
            f"{OWNER}: {convention.name!r} means {convention.meaning}, so this λ "
            f"removes {100 * rate.max():.4g} % of every weight in one step; it must be "
            f"less than the whole, got {float(run.weight_decay.max()):g}. Check "
            "`source`, and the learning rate."
        )


def check_divisor(run: Known, before: Convention, after: Convention) -> None:
    """Raise where the source decays in a step without learning rate."""
    if before.powers.learning_rate > 0:
        return
    way = _way(before, after)
    if run.learning_rate is None or run.weight_decay is None:
        raise ValueError(
            f"{OWNER}: {way} divides by the learning rate in every step. Pass steps=, "
            "so that it can be checked not to be 0 where there is decay."
        )
    still = run.learning_rate <= ROUNDING * run.learning_rate.max()
    bad = still & (run.weight_decay > 0)
    if bad.any():
        raise ValueError(
            f"{OWNER}: {way} there is no exact equivalent: the learning rate is 0 at "
            f"step {int(np.argmax(bad))}, where the source decays and the target "
            "cannot."
        )


def needed(value: Any, name: str, before: Convention, after: Convention) -> Any:
    """Return ``value``, or raise if it is missing, or a peak of 0."""
    if value is None or (name == "peak_learning_rate" and value == 0):
        raise ValueError(
            f"{OWNER}: {_way(before, after)} takes {name}=, got {value!r}."
        )
    return value


def _way(before: Convention, after: Convention) -> str:
    return (
        f"from {before.meaning} ({before.name!r}) to {after.meaning} ({after.name!r})"
    )
