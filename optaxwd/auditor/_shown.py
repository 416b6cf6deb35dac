"""What one leaf of a ready-made optimizer showed, and the laws that it can show."""

import dataclasses

import numpy as np

from optaxwd.auditor import _fits as fits
from optaxwd.auditor._laws import NOT_FINITE, Law
from optaxwd.auditor._scripts import carry_from

INITIAL = "the initial parameters"


@dataclasses.dataclass
class Shown:
    """Updates of one leaf, each of shape ``(steps, size)``.

    `a`, `b`, `a2`: under parameters A, B and twice A; then a sign for the gradients:
    `p` as they are, `n` negated, `o` others, `on` those negated, `l` eight-fold, `ln`
    these negated. `rest_*`: the parameters are those that `init` saw. `carry_*`: A or
    B, then zeros. `held_*`: A under one gradient held.
    """

    start: np.ndarray
    a: np.ndarray
    b: np.ndarray
    grads: np.ndarray
    updates: dict[str, np.ndarray]
    rest_is_finite: bool

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the updates of one probe."""
        return self.updates[name]

    def even(self, name: str, negated: str) -> np.ndarray:
        """Return the part of the updates that the gradients' sign does not turn."""
        return 0.5 * (self[name] + self[negated])

    def params(self, params: np.ndarray) -> np.ndarray:
        """Return ``params`` once for each step."""
        return np.broadcast_to(params, self["ap"].shape)

    @property
    def floor(self) -> float:
        """Size of what rounding leaves of a difference of two updates."""
        return 4 * fits.ROUNDING * float(np.max(np.abs(self["ap"]), initial=0.0))

    @property
    def is_finite(self) -> bool:
        """Whether every update under generic gradients is finite."""
        return all(np.isfinite(x).all() for x in self.updates.values())

    @property
    def reads_params(self) -> bool:
        """Whether any parameters but those of `init` change an update."""
        pairs = (("ap", "bp"), ("an", "bn"), ("ao", "bo"), ("carry_a", "carry_b"))
        return any(not fits.is_zero(self[x] - self[y], self.floor) for x, y in pairs)

    @property
    def remembers(self) -> bool:
        """Whether parameters of earlier steps change an update."""
        apart = self["carry_a"] - self["carry_b"]
        return not fits.is_zero(apart[carry_from(len(apart)) :], self.floor)

    @property
    def ascends(self) -> bool:
        """Whether the part of the updates that is odd in g goes along g."""
        return fits.goes_along(self["held_p"] - self["held_n"], self.grads[0])

    @property
    def decays_before_it_learns(self) -> bool:
        """Whether the even part acts in a step whose update no gradient changes."""
        unmoved = np.all(self["held_p"] == self["held_n"], axis=1)
        acts = np.max(np.abs(self["held_p"]), axis=1, initial=0.0) > self.floor
        return bool(np.any(unmoved & acts))

    @property
    def slopes(self) -> np.ndarray | None:
        """Rates at which θ moves the update against itself; ``None``: not evenly."""
        names = (("ap", "bp"), ("an", "bn"), ("ao", "bo"))
        pairs = [(self[y] - self[x], self.b - self.a) for x, y in names]
        found = fits.all_proportional(pairs, self.floor)
        if found is None or not fits.agree(found[0], found[1]):
            return None
        if len(self.a) < 3 and not fits.agree(found[0], found[2]):
            return None
        return found[0]


def direct_law(leaf: Shown) -> Law | None:
    """Return the law if it can be told from even parts and slopes, else ``None``."""
    if not leaf.is_finite:
        return Law(coupling="other", broken=NOT_FINITE)
    if not leaf.reads_params:
        return Law(decoupled=False)
    if leaf.remembers:
        return None
    return _towards_zero(leaf) or _other_penalty(leaf) or _cautious(leaf)


def pulled_point(leaf: Shown) -> np.ndarray | None:
    """Return, for each step, what θ is drawn to; ``None`` if it is not drawn evenly."""
    slopes = leaf.slopes
    if slopes is None or leaf.remembers or not np.all(slopes[slopes != 0] > 0):
        return None
    acting = slopes != 0
    even = leaf.even("ap", "an")[acting]
    return leaf.a + even / slopes[acting, None]


def _towards_zero(leaf: Shown) -> Law | None:
    """Return the law if the even part is a multiple of -θ, whatever else reads θ."""
    probes = (
        ("ap", "an", leaf.a),
        ("bp", "bn", leaf.b),
        ("ao", "aon", leaf.a),
        ("al", "aln", leaf.a),
    )
    pairs = [(leaf.even(x, y), params) for x, y, params in probes]
    found = fits.all_proportional(pairs, leaf.floor)
    if found is None or not found[0].any():
        return None
    rates = found[0]
    of_norm = not fits.agree(rates, found[1])
    of_size = not fits.agree(rates, found[3])
    if len(leaf.a) < 3 and (of_norm or of_size or not fits.agree(rates, found[2])):
        return None
    slopes = leaf.slopes
    if slopes is not None and not of_norm and not fits.agree(slopes, rates):
        return None
    if slopes is None and _cautious(leaf) is not None:
        return None
    law = Law(decoupled=True, coupling="other", rates=rates, adaptive=of_size)
    law.decays = law.rate > 0
    if slopes is None:
        law.decoupled = None
        law.notes.append(
            "the updates also scale with the parameters, so that what looks like decay "
            "may be part of that: pass a factory (learning_rate, weight_decay) to tell"
        )
    if of_norm:
        law.notes.append("the rate depends on the size of the leaf")
    if of_size:
        law.notes.append("the rate depends on the size of the gradients")
    return law


def _other_penalty(leaf: Shown) -> Law | None:
    even_a = leaf.even("ap", "an")
    evens = (even_a, leaf.even("bp", "bn"), leaf.even("a2p", "a2n"))
    last = even_a[-1]
    steepest = float(np.max(np.abs(last) / np.abs(leaf.a)))
    delta = float(np.max(np.abs(last))) / steepest if steepest > 0 else np.inf
    gate = np.any(np.abs(even_a) > leaf.floor, axis=0)
    points = (leaf.a, leaf.b, 2.0 * leaf.a)
    for penalty, anchor, pull in (
        ("L1", "", np.sign),
        ("L1", INITIAL, lambda x: np.sign(x - leaf.start)),
        ("Huber", "", lambda x: np.clip(x, -delta, delta)),
        ("partly", "", lambda x: x * gate),
    ):
        pairs = [(even, pull(x)) for even, x in zip(evens, points, strict=True)]
        rates = fits.all_proportional(pairs, leaf.floor)
        if rates is None or not rates[0].any():
            continue
        if penalty == "partly" and gate.all():
            continue
        if fits.agree(rates[0], rates[1]) and fits.agree(rates[0], rates[2]):
            law = Law(decoupled=True, coupling="other", rates=rates[0])
            law.decays, law.anchor = law.rate > 0, anchor
            law.penalty = "L2" if penalty == "partly" else penalty
            if penalty == "partly":
                law.gate = "partly"
                law.notes.append(f"{gate.sum()} of {gate.size} entries decay")
            return law
    return None


def _cautious(leaf: Shown) -> Law | None:
    """Return the law if θ, doubled, shows in full where it agrees with the step."""
    pulls = [leaf["a2p"] - leaf["ap"], leaf["a2n"] - leaf["an"]]
    params = leaf.params(leaf.a)
    rates = []
    for pull, updates in zip(pulls, (leaf["ap"], leaf["an"]), strict=True):
        gate = np.abs(pull) > leaf.floor
        found = fits.proportional(pull, params * gate, leaf.floor)
        if found is None or gate.all() or not gate.any():
            return None
        step = updates + found[:, None] * params * gate
        if not np.array_equal(gate, step * params <= 0):
            return None
        rates.append(found)
    both = (rates[0] != 0) & (rates[1] != 0)
    if not fits.agree(rates[0][both], rates[1][both]):
        return None
    law = Law(decoupled=True, coupling="other", rates=rates[0], gate="cautious")
    law.decays = law.rate > 0
    return law
