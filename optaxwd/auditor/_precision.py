"""What is left of decay in the leaf's own dtype: many real steps, with no gradient."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from optaxwd.auditor._errors import describe
from optaxwd.auditor._laws import Law
from optaxwd.auditor._leaves import ProbeLeaf, ProbeTree, sample
from optaxwd.auditor._many_steps import Extra, Make, ManySteps, Values
from optaxwd.auditor._runs import double_precision

# Size of the gradients, should there have to be some.
GRADIENT = 0.1
# Less than this share of the decay left, and it is called lost.
ENOUGH = 0.5


@dataclasses.dataclass(frozen=True)
class Survival:
    """What decay did to one leaf in its own dtype.

    Attributes:
      dtype: the leaf's own.
      moved: entries that changed.
      total: entries probed.
      share: how much of the change in float64 took place; ``None``: none to compare.
      is_visible: whether the change in float64 is one that the dtype can show.
      trouble: why the leaf could not be run in its own dtype.
      needed_gradient: whether its weights stay finite only with a gradient.
    """

    dtype: str
    moved: int = 0
    total: int = 0
    share: float | None = None
    is_visible: bool = True
    trouble: str = ""
    needed_gradient: bool = False

    def survives(self, law: Law) -> bool:
        """Return whether enough of it took place, as far as can be told.

        Decay that grows with what training does may be invisible here and not there.
        """
        if self.share is None or self.share >= ENOUGH:
            return True
        return (law.adaptive or not law.is_steady) and not self.is_visible


def survivals(
    make: Make, tree: ProbeTree, laws: list[Law], extra_args: Extra
) -> list[Survival]:
    """Return for each leaf what is left of its decay after many steps."""
    values, starts = beginnings(tree, laws)
    own = [leaf.dtype for leaf in tree.leaves]
    if own == [leaf.double for leaf in tree.leaves]:
        return [Survival(str(dtype)) for dtype in own]

    def run(size: float) -> list[Survival]:
        ends, wanted = (
            many(make, tree, extra_args).ends(values, starts, size)
            for many in (ManySteps.in_own_dtypes, ManySteps.in_double)
        )
        return [
            _compare(str(dtype), x, end, want)
            for dtype, x, end, want in zip(own, values, ends, wanted, strict=True)
        ]

    try:
        found = run(0.0)
        # Some optimizers divide by the gradient, or by what underflows without one.
        if any(x.trouble for x in found):
            found = [
                dataclasses.replace(y, needed_gradient=True) if x.trouble else x
                for x, y in zip(found, run(GRADIENT), strict=True)
            ]
    except Exception as error:
        return [Survival(str(dtype), trouble=describe(error, 160)) for dtype in own]
    return found


def beginnings(tree: ProbeTree, laws: list[Law]) -> tuple[Values, Values]:
    """Return the parameters of the first step, and those that `init` sees."""
    values = [_values(leaf) for leaf in tree.leaves]
    # What is drawn to the initial parameters must start elsewhere.
    starts = [2.0 * x if law.anchor else x for x, law in zip(values, laws, strict=True)]
    return values, starts


def _compare(
    dtype: str, start: np.ndarray, end: np.ndarray, wanted: np.ndarray
) -> Survival:
    change = wanted - start
    size = float(np.sum(change * change))
    if not (np.isfinite(size) and np.isfinite(end).all()):
        return Survival(dtype, trouble="the weights do not stay finite")
    if size == 0.0:
        return Survival(dtype)
    share = float(np.sum((end - start) * change)) / size
    largest = float(np.max(np.abs(change) / np.abs(start)))
    is_visible = largest > 4 * float(jnp.finfo(dtype).eps)
    return Survival(dtype, int(np.sum(end != start)), end.size, share, is_visible)


def _values(leaf: ProbeLeaf) -> np.ndarray:
    """Return what the leaf holds, in its own precision, with no zeros."""
    rng = np.random.default_rng(7)
    drawn = rng.uniform(0.5, 1.5, leaf.size) * rng.choice([-1.0, 1.0], leaf.size)
    held = sample(leaf)
    if held is not None:
        seen = np.abs(held[np.isfinite(held) & (held != 0)])
        scale = float(np.sqrt(np.mean(seen**2))) if len(seen) else 1.0
        drawn = np.where(np.isfinite(held) & (held != 0), held, scale * drawn)
    with double_precision():
        rounded = jnp.asarray(leaf.from_reals(drawn), leaf.dtype)
    return leaf.to_reals(rounded)
