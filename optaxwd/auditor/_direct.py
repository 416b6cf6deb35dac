"""Decay that acts in the step itself: its penalty, its anchor, its gate, its order."""

from collections.abc import Callable, Iterator

import numpy as np

from optaxwd.auditor import _fits as fits
from optaxwd.auditor._coupling import add_coupling
from optaxwd.auditor._laws import Law
from optaxwd.auditor._penalties import penalties
from optaxwd.auditor._scripts import carry_from
from optaxwd.auditor._seen import Seen

# What decays, given the parameters and the updates without decay at each step.
Direction = Callable[[np.ndarray, np.ndarray], np.ndarray]

# With fewer entries nearly any pull points along θ.
ENOUGH_TO_POINT = 3


def direct_law(leaf: Seen, *, step_may_change: bool = False) -> Law | None:
    """Return the law if decay acts on θ in the step itself, past any state.

    Args:
      leaf: what the probes showed.
      step_may_change: whether λ may also change how long the step itself is.
    """
    for law, direction in _candidates(leaf):
        reader = _Reader(leaf, law, direction, step_may_change)
        rates = reader.rates()
        if rates is None or not rates["a"].any():
            continue
        law.decoupled, law.rates = True, rates["a"]
        add_coupling(law, leaf, reader.rates_of)
        _add_dependence(law, rates)
        if step_may_change:
            law.notes.append("λ also changes the length of the step")
        if not law.gate and _is_gated_by_gradients(leaf):
            law.gate = "gradient"
        law.decays = law.rate > 0
        return law
    return None


class _Reader:
    """Reads rates off pulls, if these are along one direction."""

    def __init__(
        self, leaf: Seen, law: Law, direction: Direction, step_may_change: bool
    ) -> None:
        self.leaf, self.law, self.direction = leaf, law, direction
        self.step_may_change = step_may_change

    def rates_of(
        self, pull: np.ndarray, base: np.ndarray, params: np.ndarray | None = None
    ) -> np.ndarray | None:
        """Return the rates of one pull, ``None`` if it points elsewhere."""
        params = self.leaf.a if params is None else params
        direction = self.direction(np.broadcast_to(params, pull.shape), base)
        if self.step_may_change:
            pull = pull - fits.share_of(pull, base, direction)
        return fits.proportional(pull, direction, self.leaf.floor)

    def rates(self) -> dict[str, np.ndarray] | None:
        """Return the rates in each probe, ``None`` if the direction fails in one."""
        leaf = self.leaf
        probes = {
            "a": (leaf.pulls["a"], leaf.bases["a"], leaf.a),
            "b": (leaf.pulls["b"], leaf.bases["b"], leaf.b),
            "other": (leaf.pulls["other"], leaf.bases["other"], leaf.a),
            "large": (leaf.pulls["large"], leaf.bases["large"], leaf.a),
            "carry": (leaf.pulls["carry"], leaf.bases["carry"], leaf.carried),
            "moving": (leaf.pulls["moving"], leaf.bases["moving"], leaf.moving),
        }
        found: dict[str, np.ndarray] = {}
        for name, probe in probes.items():
            rates = self.rates_of(*probe)
            if rates is None:
                return None
            found[name] = rates
        if len(leaf.a) < ENOUGH_TO_POINT and not self._repeats(found):
            return None
        return found

    def _repeats(self, found: dict[str, np.ndarray]) -> bool:
        """Return whether all probes show the same rates.

        Few numbers point along θ by chance, but not in the same proportion each time.
        """
        rates = found["a"]
        half = carry_from(len(rates))
        carried = found["carry"] if self.law.anchor else found["carry"][:half]
        if not fits.agree(carried, rates[: len(carried)]):
            return False
        others = (found[name] for name in ("b", "other", "large", "moving"))
        return not self.step_may_change and all(
            fits.agree(rates, other) for other in others
        )


def _add_dependence(law: Law, rates: dict[str, np.ndarray]) -> None:
    """Add what the rate depends on beside λ and the learning rate."""
    of_norm = not _same(rates["a"], rates["b"])
    of_size = not _same(rates["a"], rates["large"])
    if of_norm or of_size:
        law.coupling, law.weight_decay, law.factor = "other", None, None
    elif not _same(rates["a"], rates["moving"]):
        law.weight_decay = law.factor = None
        law.notes.append("the rate follows how far the parameters have moved")
    if of_norm:
        law.notes.append("the rate depends on the size of the leaf")
    if of_size:
        law.adaptive = True
        law.notes.append("the rate depends on the size of the gradients")
    elif not _same(rates["a"], rates["other"]):
        law.notes.append("under other gradients of the same size the rate is another")


def _is_gated_by_gradients(leaf: Seen) -> bool:
    """Return whether decay stops where the gradient is zero."""
    rest = leaf.pulls["rest"]
    return bool(np.isfinite(rest).all()) and fits.is_zero(rest, leaf.floor)


def _same(rates: np.ndarray, others: np.ndarray) -> bool:
    """Return whether two probes show the same rates, in steps in which both act."""
    both = (rates != 0) & (others != 0)
    return fits.agree(rates[both], others[both])


def _candidates(leaf: Seen) -> Iterator[tuple[Law, Direction]]:
    """Yield laws with what decays under them, the plain ones first."""
    yield Law(), lambda params, base: params
    yield Law(after_step=True), lambda params, base: params + base
    where = {"a": leaf.a, "b": leaf.b, "other": leaf.a, "moving": leaf.moving}
    seen = [(leaf.pulls[name], params) for name, params in where.items()]
    known = penalties(leaf.start, seen)
    for gate, acts in (("", _everywhere), ("cautious", _where_not_opposed)):
        for penalty in known:
            law = Law(penalty=penalty.name, anchor=penalty.anchor, gate=gate)
            law.notes += [penalty.note] if penalty.note else []
            yield law, lambda params, base, f=penalty.pull, g=acts: g(f(params), base)
    fixed = _fixed_point(leaf)
    if fixed is not None:
        yield Law(anchor="fixed values"), lambda params, base: params - fixed
    gate = np.any(np.abs(leaf.pulls["a"]) > leaf.floor, axis=0)
    if not gate.all():
        yield (
            Law(gate="partly", notes=[f"{gate.sum()} of {gate.size} entries decay"]),
            lambda params, base: params * gate,
        )


def _everywhere(pull: np.ndarray, base: np.ndarray) -> np.ndarray:
    del base
    return pull


def _where_not_opposed(pull: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Return the pull where it does not disagree in sign with the ascent direction."""
    return pull * (base * pull <= 0)


def _fixed_point(leaf: Seen) -> np.ndarray | None:
    """Return what A and B are both pulled towards, if it is one point."""
    t = _strongest(leaf)
    apart = leaf.a - leaf.b
    rate = -float(np.sum((leaf.pulls["a"][t] - leaf.pulls["b"][t]) * apart)) / float(
        np.sum(apart * apart)
    )
    return leaf.a + leaf.pulls["a"][t] / rate if rate > 0 else None


def _strongest(leaf: Seen) -> int:
    return int(np.argmax(np.max(np.abs(leaf.pulls["a"]), axis=1)))
