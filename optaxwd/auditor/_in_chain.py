"""What is left of decay inside the chain, where it is added to the step in 16 bits.

Beside a step of size |u|, bfloat16 drops what is below |u|/512, before any rounding
of the parameters. The parameters are held at θ and at −θ under the same gradients: half
the difference of the updates is decay, and what is rounded to θ's own numbers adds up.
"""

import dataclasses

import numpy as np

from optaxwd.auditor._laws import Law
from optaxwd.auditor._leaves import ProbeLeaf, ProbeTree
from optaxwd.auditor._many_steps import PARTS, STEPS, Extra, Make, ManySteps, Values
from optaxwd.auditor._precision import ENOUGH, GRADIENT, beginnings

# So many standard errors below the whole, and chance is ruled out.
SURE = 5.0
# With gradients smaller by this, updates that shrink likewise have no own size.
SMALLER = 1 / 8


@dataclasses.dataclass(frozen=True)
class InChain:
    """What is left of one leaf's decay beside updates.

    Attributes:
      dtype: the leaf's own.
      share: how much of the decay in float64 is in the updates.
      error: standard error of that.
      update: root mean square of the updates in float64, all but decay.
      decay: of what decay adds to each.
    """

    dtype: str
    share: float
    error: float
    update: float
    decay: float

    @property
    def is_lost(self) -> bool:
        """Whether most of it is lost, and that is no chance."""
        return self.share < ENOUGH and 1.0 - self.share > SURE * self.error


def losses_in_chain(
    make: Make, tree: ProbeTree, laws: list[Law], extra_args: Extra
) -> list[InChain | None]:
    """Return for each leaf what is left of its decay; ``None`` if most, or not known.

    Asked of leaves of 16 bits or less, whose decay is decoupled and is not set by the
    gradients.
    """
    asked = [
        i
        for i, (leaf, law) in enumerate(zip(tree.leaves, laws, strict=True))
        if _is_asked(leaf, law)
    ]
    found: list[InChain | None] = [None] * len(laws)
    if not asked:
        return found
    probe = _Probe(*beginnings(tree, laws))
    try:
        own = ManySteps.in_own_dtypes(make, tree, extra_args)
        # Updates that lead from a copy do not add up where the parameters stay.
        copied = own.copies(probe.starts)
        asked = [i for i in asked if not copied[i]]
        if not asked:
            return found
        left, _ = probe.pulls(own)
        if all(_is_there(laws[i], probe.values[i], left[i]) for i in asked):
            return found
        exact = ManySteps.in_double(make, tree, extra_args)
        whole, sizes = probe.pulls(exact)
    except Exception:
        # The run without gradients has told of what cannot take many steps.
        return found
    for i in asked:
        seen = _compare(str(tree.leaves[i].dtype), left[i], whole[i], sizes[i])
        found[i] = seen if seen is not None and seen.is_lost else None
    if not any(found):
        return found
    lower = probe.sizes(exact, SMALLER)
    has_own = [y > SMALLER**0.5 * x for x, y in zip(sizes, lower, strict=True)]
    return [x if known else None for x, known in zip(found, has_own, strict=True)]


class _Probe:
    """The parameters and the gradients of all runs."""

    def __init__(self, values: Values, starts: Values) -> None:
        self.values, self.starts = values, starts
        rng = np.random.default_rng(13)
        # Their sums stay away from zero, whose squares float16 does not have.
        self._first = [GRADIENT * rng.uniform(0.75, 1.25, x.shape) for x in values]
        self._second = [GRADIENT * rng.uniform(-0.5, 0.5, x.shape) for x in values]

    def pulls(self, run: ManySteps) -> tuple[Values, list[float]]:
        """Return what decay adds to sums of updates, and the size of an update."""
        up, sizes = run.sums(self.values, self.starts, self._first, self._second)
        turned = _scaled(-1.0, self.values), _scaled(-1.0, self.starts)
        down, _ = run.sums(*turned, self._first, self._second)
        with np.errstate(invalid="ignore"):  # what is not finite is left out
            return [0.5 * (x - y) for x, y in zip(up, down, strict=True)], sizes

    def sizes(self, run: ManySteps, factor: float) -> list[float]:
        """Return the size of an update under gradients ``factor`` times as large."""
        gradients = _scaled(factor, self._first), _scaled(factor, self._second)
        return run.sums(self.values, self.starts, *gradients)[1]


def _is_asked(leaf: ProbeLeaf, law: Law) -> bool:
    is_narrow = np.dtype(leaf.dtype).itemsize <= 2
    return is_narrow and law.decays and law.decoupled is True and not law.adaptive


def _is_there(law: Law, value: np.ndarray, left: np.ndarray) -> bool:
    """Return whether the law alone says that enough is left, without a float64 run."""
    if law.anchor or law.gate or law.penalty != "L2" or not law.is_steady:
        return False
    whole = -law.rate * STEPS * value
    return bool(np.sum(left.sum(0) * whole) > ENOUGH * np.sum(whole * whole))


def _scaled(factor: float, values: Values) -> Values:
    return [factor * x for x in values]


def _compare(
    dtype: str, left: np.ndarray, whole: np.ndarray, size: float
) -> InChain | None:
    """Return the share by projection, with the error that its scatter shows."""
    norm = float(np.sum(whole * whole))
    count = int(np.sum(whole != 0))
    if not (np.isfinite(norm) and np.isfinite(left).all()) or norm == 0 or count < 2:
        return None
    share = float(np.sum(left * whole)) / norm
    rest = whole * (left - share * whole)
    error = float(np.sqrt(np.sum(rest * rest) * count / (count - 1))) / norm
    decay = float(np.sqrt(norm / whole.size)) * PARTS / STEPS
    return InChain(
        dtype, share, error, float(np.sqrt(max(size**2 - decay**2, 0.0))), decay
    )
