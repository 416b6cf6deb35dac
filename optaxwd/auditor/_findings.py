"""Findings: what is wrong, or worth knowing, with the number and the remedy."""

import dataclasses
import re
from collections.abc import Iterator

from optaxwd.auditor._expectations import Expectations
from optaxwd.auditor._in_chain import InChain
from optaxwd.auditor._laws import NOT_FINITE, Law
from optaxwd.auditor._leaves import ProbeLeaf
from optaxwd.auditor._many_steps import STEPS
from optaxwd.auditor._precision import Survival

SEVERITIES = ("info", "warning", "error")
CODES = (
    "no-decay",
    "coupled",
    "wrong-sign",
    "rate-mismatch",
    "lr-independent",
    "applied-after-step",
    "swallowed-by-rounding",
    "swallowed-by-update",
    "frozen-decays",
    "mask-mismatch",
    "norm-decays",
    "not-descent",
    "nan",
    "cross-leaf",
    "impure",
    "state-change",
)
# Rates below this cannot be seen beside a step.
TINY = 1e-11
# Fraction of a weight removed by each step from which on training is hopeless.
RUINOUS = 1e-2

_NORM_NAMES = re.compile(
    r"(^|[_\d])(bias|biases|scale|gamma|beta|offset|bn|ln)(?=$|[_\d])|norm",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that the auditor found.

    Attributes:
      code: which kind of thing, one of a fixed list.
      severity: ``"info"``, ``"warning"`` or ``"error"``.
      path: the leaf; empty if it is about the optimizer as a whole.
      message: what it is, the number, and what to do.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> report = optaxwd.audit(optax.adafactor, {"w": jnp.ones((4, 4))})
      >>> [(finding.code, finding.severity) for finding in report.findings]
      [('lr-independent', 'error')]

    References:
      As of :func:`audit`; ``docs/auditor.md`` lists the codes.
    """

    code: str
    severity: str
    path: str
    message: str

    def __str__(self) -> str:
        """Return the finding in one line."""
        place = f" '{self.path}'" if self.path else ""
        return f"{self.severity}: {self.code}{place}: {self.message}"


def find(
    leaves: list[ProbeLeaf],
    laws: list[Law],
    survivals: list[Survival],
    lost: list[InChain | None],
    expected: Expectations,
    *,
    decay_was_asked: bool,
    is_factory: bool,
) -> list[Finding]:
    """Return all findings, the gravest first."""
    found = list(_whole(laws, expected, decay_was_asked))
    if is_factory and expected.multipliers is None:
        found += _about_all_rates(laws)
    rows = zip(leaves, laws, survivals, lost, strict=True)
    for i, (leaf, law, survival, in_chain) in enumerate(rows):
        found += _about_law(leaf, law)
        found += _about_expectations(i, leaf, law, expected, is_factory)
        found += _about_precision(leaf, law, survival, in_chain)
        named = expected.multipliers is not None
        certain = law.decays and not law.cannot_tell
        if certain and not named and _is_bias_or_norm(leaf):
            found.append(
                Finding(
                    "norm-decays",
                    "warning",
                    leaf.path,
                    "a bias or the scale of a normalisation decays, which is rarely "
                    "meant: leave it out by `mask`",
                )
            )
    return sorted(found, key=lambda finding: -SEVERITIES.index(finding.severity))


def _whole(
    laws: list[Law], expected: Expectations, decay_was_asked: bool
) -> Iterator[Finding]:
    told = all(not law.cannot_tell for law in laws)
    eta = expected.learning_rates(1)
    if eta is not None and 0 < float(eta[0]) * float(expected.weight_decay or 0) < TINY:
        return
    wanted = expected.multipliers is None or any(expected.multipliers)
    if decay_was_asked and wanted and told and not any(law.rate for law in laws):
        yield Finding(
            "no-decay",
            "error",
            "",
            "weight_decay is accepted and changes nothing: no leaf decays. See that "
            "the value reaches the update, and that the mask selects something",
        )


def _about_law(leaf: ProbeLeaf, law: Law) -> Iterator[Finding]:
    path = leaf.path
    if law.broken == NOT_FINITE:
        text = f"{law.broken} under generic gradients: nothing can be told"
        yield Finding("nan", "error", path, text)
    if law.broken:
        return
    if law.broken_at_rest:
        severity = "warning" if law.rest_is_decay and law.decays else "info"
        yield Finding(
            "nan",
            severity,
            path,
            "a gradient of zero, as unused rows or frozen leaves have, gives an update "
            "that is not finite",
        )
    if law.ascends:
        yield Finding(
            "not-descent",
            "error",
            path,
            "updates go along the gradient: scale them by -1, for example by "
            "`optax.scale_by_learning_rate` at the end of the chain",
        )
    elif law.rate < 0 and not law.decays and not law.cannot_tell:
        yield Finding(
            "wrong-sign",
            "error",
            path,
            f"weights grow by {-law.rate:.3g} of their value per step: decay is added "
            "with the wrong sign (before the learning rate it adds +λθ, after it -λθ)",
        )
    if law.rate > 1:
        yield Finding(
            "rate-mismatch",
            "error",
            path,
            f"a step removes {law.rate:.3g} times the weight, past zero: lower "
            "weight_decay, or the learning rate that multiplies it",
        )
    yield from _about_coupling(path, law)
    if law.cross_leaf:
        yield Finding(
            "cross-leaf",
            "info" if law.decays else "warning",
            path,
            "how this leaf decays depends on the values of other leaves",
        )


def _about_coupling(path: str, law: Law) -> Iterator[Finding]:
    if law.coupling == "l2":
        detail = (
            "the preconditioner divides it, so that weights with large gradients decay "
            "less: use a decoupled optimizer, such as `adamw`"
            if law.adaptive
            else "it comes back out of the momentum, at a rate of "
            f"{law.rate:.3g} per step in the end"
        )
        severity = "warning" if law.adaptive else "info"
        yield Finding(
            "coupled", severity, path, f"decay is added to the gradient, and {detail}"
        )
    if law.coupling == "constant" and law.decays:
        yield Finding(
            "lr-independent",
            "error" if law.rate >= RUINOUS else "warning",
            path,
            f"{100 * law.rate:.3g} % of every weight is removed per step, whatever the "
            "learning rate: multiply weight_decay by the learning rate, or use an "
            f"optimizer that does, such as {_remedy(law)}",
        )
    elif (law.lr_power, law.schedule_power) == (1.0, 0.0):
        yield Finding(
            "lr-independent",
            "warning",
            path,
            "decay keeps the learning rate that it was built with: the schedule does "
            "not reach it",
        )
    if law.after_step:
        yield Finding(
            "applied-after-step",
            "warning",
            path,
            "the parameters after the step decay, not those before it"
            + (
                f": every step is shortened by {law.rate:.3g} of itself"
                if law.penalty == "L2"
                else ""
            ),
        )
    if law.decay_power == 2.0:
        yield Finding(
            "rate-mismatch",
            "error",
            path,
            "the rate goes with the square of weight_decay: it is multiplied in twice",
        )
    if law.decay_power == 0.0 and law.decays and _is_plain(law):
        yield Finding(
            "rate-mismatch",
            "error",
            path,
            f"weight_decay changes nothing: {law.rate:.3g} of every weight is removed "
            "per step, whatever it is. See that the value reaches the update",
        )
    if law.micro_steps > 1:
        yield Finding(
            "rate-mismatch",
            "error",
            path,
            f"decay acts in each of {law.micro_steps} calls that share one gradient "
            f"step, {law.micro_steps} times as strongly as meant: put it inside of "
            "what collects the gradients (`optax.MultiSteps`)",
        )


def _is_plain(law: Law) -> bool:
    """Return whether it is decay to zero at a rate of its own."""
    shaped = law.anchor or law.gate or law.penalty != "L2"
    return bool(law.decoupled) and law.is_steady and not law.adaptive and not shaped


def _remedy(law: Law) -> str:
    return "`adafactorw` or `adamw`" if law.decoupled else "`adamw`"


def _about_expectations(
    i: int, leaf: ProbeLeaf, law: Law, expected: Expectations, is_factory: bool
) -> Iterator[Finding]:
    path = leaf.path
    frozen = expected.frozen is not None and expected.frozen[i]
    if frozen and law.decays:
        yield Finding(
            "frozen-decays",
            "error",
            path,
            f"it is frozen, and yet loses {law.rate:.3g} of its value per step: freeze "
            "it in the optimizer, not only by gradients of zero",
        )
    wanted = True
    if expected.multipliers is not None:
        wanted = expected.multipliers[i] != 0
        if wanted != law.decays and not law.cannot_tell and not (frozen and law.decays):
            yield Finding(
                "mask-mismatch",
                "error",
                path,
                f"expected {'to decay' if wanted else 'not to decay'}, and it "
                f"{'decays' if law.decays else 'does not'}: see the mask or the rules",
            )
    if law.decays and wanted and not frozen:
        yield from _about_rate(i, path, law, expected, is_factory)


def _about_rate(
    i: int, path: str, law: Law, expected: Expectations, is_factory: bool
) -> Iterator[Finding]:
    """Yield what is wrong with the rate, where it is known what it should be."""
    if is_factory or law.coupling == "l2":
        if law.weight_decay is None:
            return
        asked = expected.weight_decay
        if asked is None or (is_factory and expected.multipliers is None):
            return
        wanted, found, what = expected.decay(i), law.weight_decay, "λ"
    else:
        rates = expected.rates(i, len(law.rates))
        if rates is None or not law.decoupled or law.coupling != "other":
            return
        unlike = law.gate or law.adaptive or law.penalty != "L2"
        if unlike or law.lr_power == 2.0:
            return
        wanted, found, what = float(rates[-1]), law.rate, "the rate per step"
        # A schedule may still be on its way to the learning rate that is expected.
        on_its_way = not callable(expected.learning_rate) and not law.is_steady
        if on_its_way and abs(found) <= abs(wanted):
            return
    if abs(found - wanted) <= 1e-6 * abs(wanted):
        return
    hint = ""
    if expected.multipliers is not None and expected.weight_decay:
        multiplier = expected.multipliers[i]
        squared = multiplier * wanted
        if multiplier != 1 and abs(found - squared) <= 1e-6 * abs(squared):
            hint = " (the multiplier squared: it is multiplied in twice)"
    ratio = f", {found / wanted:.4g} times as much" if wanted else ""
    yield Finding(
        "rate-mismatch",
        "error",
        path,
        f"{what} should be {wanted:.6g} and is {found:.6g}{ratio}{hint}",
    )


def _about_all_rates(laws: list[Law]) -> Iterator[Finding]:
    """Yield that all rates are off by one factor, if they are."""
    factors = [law.factor for law in laws if law.decays]
    known = [factor for factor in factors if factor is not None]
    if not known or len(known) < len(factors):
        return
    factor = known[0]
    if max(known) - min(known) > 1e-6 * max(known) or abs(factor - 1) <= 1e-6:
        return
    yield Finding(
        "rate-mismatch",
        "warning",
        "",
        f"every leaf decays {factor:.6g} times as strongly as weight_decay says: a "
        "constant stands in the way, such as a loss scale or the 2 of a penalty "
        "without ½; divide by it, or say so where weight_decay is documented",
    )


def _about_precision(
    leaf: ProbeLeaf, law: Law, survival: Survival, lost: InChain | None
) -> Iterator[Finding]:
    if law.decays and not survival.survives(law):
        yield Finding(
            "swallowed-by-rounding",
            "error",
            leaf.path,
            f"{survival.dtype}: {survival.moved} of {survival.total} weights move in "
            f"{STEPS} steps at {law.rate:.3g} per step, and "
            f"{_percent(survival.share or 0.0)} of the decay takes place: "
            "keep the weights in float32, or use `round_updates`"
            + ("" if lost is None else _lost_before(lost)),
        )
    elif lost is not None:
        yield Finding(
            "swallowed-by-update",
            "warning",
            leaf.path,
            f"{lost.dtype}: beside updates of {lost.update:.2g}, to which decay adds "
            f"{lost.decay:.2g}, {_percent(lost.share)} of it is left: their sum is "
            "rounded inside the chain, and no rounding of the weights brings it back. "
            "Compute in float32: `with_precision(optimizer)`, or `precision=` of this "
            "library's optimizers",
        )


def _lost_before(lost: InChain) -> str:
    return (
        f"; beside updates of {lost.update:.2g}, another part is lost inside the chain "
        f"before, where {_percent(lost.share)} is left: `with_precision` keeps both"
    )


def _percent(share: float) -> str:
    return f"{100 * max(share, 0.0):.0f} %"


def _is_bias_or_norm(leaf: ProbeLeaf) -> bool:
    """Return whether names say that the leaf is a bias or belongs to a normalisation.

    The owner's class counts, the last component of the path, and for a vector also
    those above it.
    """
    *above, last = leaf.path.split("/")
    if _NORM_NAMES.search(last) or (last == "b" and len(leaf.shape) <= 1):
        return True
    if leaf.owner is not None and "norm" in leaf.owner.lower():
        return True
    return any("norm" in part.lower() for part in above)
