"""Decay that goes through something: the gradient, a trust ratio, a state."""

from typing import NamedTuple

import numpy as np

from optaxwd.auditor import _fits as fits
from optaxwd.auditor._direct import direct_law
from optaxwd.auditor._laws import SETTLED, Law
from optaxwd.auditor._penalties import INITIAL
from optaxwd.auditor._scripts import carry_from
from optaxwd.auditor._seen import Seen


class Injection(NamedTuple):
    """How λ enters the gradients.

    Attributes:
      kind: ``"L2"``, ``"L1"`` or ``"anchor"``.
      alpha: what multiplies λ.
    """

    kind: str
    alpha: float


# What may be added to the gradients, and from where to look for its multiplier.
INJECTED = (
    ("L2", lambda params, start: params, (1.0, 1e-2, 1e2, 1e-4, 1e4, -1.0)),
    ("L1", lambda params, start: np.sign(params), (1.0,)),
    ("anchor", lambda params, start: params - start, (1.0,)),
)


def surroundings(leaf: Seen) -> str:
    """Return what the optimizer does to updates of this leaf whatever λ is.

    ``"trust_ratio"`` if it scales them with the leaf, ``"averaged"`` if it draws the
    leaf to iterates in its state, less from step to step; else empty.
    """
    if fits.agree(leaf.bases["double"], 2.0 * leaf.bases["a"], leaf.floor):
        return "trust_ratio"
    return "averaged" if _averaging(leaf) == "running" else ""


def indirect_law(
    leaf: Seen, through: str, injection: Injection | None, end: np.ndarray | None
) -> Law:
    """Return the law of a leaf whose decay is not direct.

    Args:
      leaf: what the probes showed.
      through: what :func:`surroundings` returned.
      injection: how λ enters the gradients, if it does.
      end: the last pull of a run long enough for momentum to reach its level; needed
        only if the pull is linear.
    """
    if not through and injection is None:
        rescaled = direct_law(leaf, step_may_change=True)
        if rescaled is not None:
            return rescaled
    linear = is_linear(leaf)
    law = Law(decoupled=False, adaptive=not linear, in_state=_is_in_state(leaf))
    settled = end is not None and linear and law.in_state
    if end is not None and settled:
        law.rates = fits.rate_along(end[None], leaf.a)
    else:
        law.rates = fits.mean_rate(
            [(leaf.pulls[x], leaf.a) for x in ("a", "other")]
            + [(leaf.pulls["b"], leaf.b)]
        )
    law.lr_power = _lr_power(leaf)
    if through:
        law.coupling = through
    elif injection is not None:
        _add_injection(law, injection, leaf)
    elif _averaging(leaf):
        law.coupling = "averaged"
    elif linear and law.in_state and _is_linear_in_params(leaf):
        law.coupling = "momentum"
    else:
        law.coupling, law.decoupled = "other", None
        law.decays = _points_at_zero(leaf)
        if not law.decays:
            law.rates = np.zeros(1)
        law.notes.append("λ changes the updates, but by none of the known laws")
        return law
    law.decays = law.rate > 0 if injection is None else injection.alpha > 0
    if not linear:
        law.notes.append("the rate depends on the gradients: measured on generic ones")
    elif settled:
        law.notes.append(SETTLED)
    return law


def is_linear(leaf: Seen) -> bool:
    """Return whether the pull is the same whatever the gradients are."""
    return all(
        fits.agree(leaf.pulls["a"], leaf.pulls[name], leaf.floor)
        for name in ("other", "large")
    )


def _add_injection(law: Law, injection: Injection, leaf: Seen) -> None:
    law.coupling = "l2"
    law.penalty = "L1" if injection.kind == "L1" else "L2"
    law.anchor = INITIAL if injection.kind == "anchor" else ""
    law.weight_decay = injection.alpha * leaf.weight_decay
    law.factor, law.decay_power = injection.alpha, 1.0
    if injection.alpha < 0:
        law.rates = -np.abs(law.rates)


def _is_in_state(leaf: Seen) -> bool:
    return not fits.is_zero(
        leaf.pulls["carry"][carry_from(len(leaf.pulls["carry"])) :], leaf.floor
    )


def _averaging(leaf: Seen) -> str:
    """Return how the optimizer without decay draws θ to iterates in its state.

    ``"running"`` if less and less so, as a mean over all steps does; ``"moving"`` if
    evenly; empty if not at all.
    """
    names = (("a", "b"), ("other", "b_other"))
    pairs = [(leaf.bases[y] - leaf.bases[x], leaf.b - leaf.a) for x, y in names]
    found = fits.all_proportional(pairs, leaf.floor)
    if (
        found is None
        or not fits.agree(found[0], found[1])
        or not np.all(found[0] > 1e-9)
    ):
        return ""
    shares = found[0]
    return "running" if np.ptp(shares) > 1e-6 * np.max(shares) else "moving"


def _is_linear_in_params(leaf: Seen) -> bool:
    """Return whether the pull is a multiple of θ that does not depend on θ."""
    pairs = ((leaf.pulls["a"], leaf.a), (leaf.pulls["b"], leaf.b))
    rates = fits.all_proportional(pairs, leaf.floor)
    return rates is not None and fits.agree(rates[0], rates[1])


def _lr_power(leaf: Seen) -> float | None:
    if "slower" not in leaf.pulls:
        return None
    rates = [fits.rate_along(leaf.pulls[x], leaf.a) for x in ("a", "slower")]
    return fits.exponent(rates[0], rates[1], factor=0.5)


def _points_at_zero(leaf: Seen) -> bool:
    """Return whether the pull, of no known law, is at least mostly against θ."""
    return all(
        fits.points_against(pull, params)
        for pull, params in ((leaf.pulls["a"], leaf.a), (leaf.pulls["b"], leaf.b))
    )
