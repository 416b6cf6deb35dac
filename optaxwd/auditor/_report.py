"""The report: one row for each leaf, and the findings."""

import dataclasses
import math
from typing import Any

from optaxwd._checks import check_choice
from optaxwd._tables import code, markdown_table, number, table
from optaxwd.auditor._findings import SEVERITIES, Finding
from optaxwd.auditor._laws import Law
from optaxwd.auditor._leaves import ProbeLeaf
from optaxwd.auditor._precision import Survival

_COLUMNS = ("parameter", "shape", "dtype", "decays", "law", "rate", "half-life")
_COLUMNS += ("survives",)
_NUMBERS = ("rate", "half-life")


@dataclasses.dataclass(frozen=True)
class LeafReport:
    r"""How one leaf decays.

    .. math:: \text{rate} = -\Delta_\text{decay} / \theta, \qquad
        t_{1/2} = \frac{\ln 2}{-\ln(1 - \text{rate})}

    with :math:`\Delta_\text{decay}` the part of one step that decay makes.

    Attributes:
      path: its canonical path.
      shape: its own shape.
      dtype: its own dtype, as text.
      decays: whether decay pulls it towards zero, or towards its anchor.
      decoupled: whether it does so past the preconditioner and past any state;
        ``None``: cannot tell.
      rate: fraction of θ removed per step. Where it changes from step to step, that of
        the last step probed in which decay acts; where the gradients set it, the mean
        over the probes, or the rate under those that are not orthogonal to θ. Of a
        penalty other than L2, what its pull is multiplied by.
      coupling: ``"l2"``, ``"learning_rate"``, ``"independent"``, ``"constant"``,
        ``"corrected"``, ``"none"``, ``"momentum"``, ``"trust_ratio"``, ``"proximal"``,
        ``"averaged"`` or ``"other"``, which includes what cannot be told.
      lr_power: power of the (peak) learning rate in the rate; ``None``: cannot tell.
      in_state: whether decay of earlier steps comes back out of the state.
      effective: whether it decays, and that survives the rounding of the parameters to
        the leaf's own dtype. What is lost beside updates, inside the chain, depends on
        their size and is told by the finding ``"swallowed-by-update"``.
      half_life: steps in which decay alone halves a weight; where it acts in some steps
        only, those between count too.
      weight_decay: λ as measured; ``None`` where the law is not linear in it, or the
        coupling not known.
      penalty: ``"L2"``, ``"L1"``, ``"Huber"``, ``"elastic net"`` or ``"p-norm"``; its
        δ, share of L1 or p is among the notes.
      anchor: what it decays towards, in words, ``"a norm"`` if only θ's length does;
        empty for zero.
      gate: ``"cautious"`` if only entries decay that agree with the step in sign,
        ``"gradient"`` if none do where the gradient is zero, ``"partly"`` if only some
        entries of the leaf ever do; else empty.
      cannot_tell: whether the law could not be told.
      notes: what else there is to know, in words.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> report = optaxwd.audit(optax.lars, {"kernel": jnp.ones((4, 3))})
      >>> leaf = report.leaves["kernel"]
      >>> leaf.law, leaf.decoupled, leaf.in_state
      ('trust_ratio', False, True)

    References:
      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019, for what
      decoupled means.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    decays: bool
    decoupled: bool | None
    rate: float
    coupling: str
    lr_power: float | None
    in_state: bool
    effective: bool
    half_life: float
    weight_decay: float | None
    penalty: str
    anchor: str
    gate: str
    cannot_tell: bool
    notes: tuple[str, ...]

    @classmethod
    def build(cls, leaf: ProbeLeaf, law: Law, survival: Survival) -> "LeafReport":
        """Return what is reported of one leaf."""
        notes = list(law.notes)
        if law.decays and survival.trouble:
            notes.append(f"could not run in its own dtype: {survival.trouble}")
        if law.decays and survival.needed_gradient and not survival.trouble:
            notes.append(
                f"in {survival.dtype} the weights do not stay finite if the gradient "
                "is zero: measured under small ones"
            )
        if law.decays and not law.is_steady:
            notes.append("the rate changes from step to step")
        if law.decays and law.acting < len(law.rates) and law.is_steady:
            notes.append(f"decay acts in {law.acting} of {len(law.rates)} steps probed")
        if law.gate == "gradient":
            notes.append("where all gradients are zero nothing decays")
        return cls(
            leaf.path,
            leaf.shape,
            str(leaf.dtype),
            law.decays,
            law.decoupled,
            law.rate,
            law.coupling,
            law.lr_power,
            law.in_state,
            law.decays and survival.survives(law),
            law.half_life,
            law.weight_decay,
            law.penalty,
            law.anchor,
            law.gate,
            law.cannot_tell,
            tuple(dict.fromkeys([law.broken, *notes] if law.broken else notes)),
        )

    @property
    def law(self) -> str:
        """The coupling, and penalty, anchor and gate where these are not the usual."""
        if not self.decays:
            return "cannot tell" if self.cannot_tell else "no decay"
        words = [self.coupling]
        if self.coupling == "other":
            words = ["decoupled" if self.decoupled else "cannot tell which"]
        if self.penalty != "L2":
            words.append(self.penalty)
        if self.anchor:
            words.append(f"towards {self.anchor}")
        if self.gate:
            words.append(self.gate)
        return ", ".join(words)

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table, as texts."""
        return (
            self.path,
            str(self.shape).replace(" ", ""),
            self.dtype,
            "yes" if self.decays else "?" if self.cannot_tell else "no",
            self.law,
            number(self.rate),
            number(self.half_life),
            "-" if not self.decays else "yes" if self.effective else "no",
        )


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """What :func:`audit` returns: printed, a table and the findings below it.

    Attributes:
      kind: ``"optimizer"``, ``"factory"`` or ``"step"``.
      leaves: a :class:`LeafReport` for each floating-point leaf, by path.
      findings: the gravest first.
      learning_rate: of the probes, or as expected; ``None`` if not given.
      weight_decay: likewise.
      notes: what holds for the audit as a whole.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> params = {"kernel": jnp.ones((4, 3))}
      >>> report = optaxwd.audit(optax.adamw, params, learning_rate=0.01)
      >>> leaf = report.leaves["kernel"]
      >>> leaf.coupling, leaf.decoupled, round(leaf.rate, 9), round(leaf.half_life)
      ('learning_rate', True, 0.001, 693)
      >>> report.raise_if("warning")

    References:
      As of :func:`audit`.
    """

    kind: str
    leaves: dict[str, LeafReport]
    findings: tuple[Finding, ...]
    learning_rate: Any = None
    weight_decay: float | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the table for a terminal, by rich where it can be imported."""
        rows = [leaf.cells for leaf in self.leaves.values()]
        return "\n".join([table(_COLUMNS, rows, _NUMBERS), "", *self._summary()])

    def to_markdown(self) -> str:
        """Return the table and the findings as Markdown."""
        rows = [(code(leaf.path), *leaf.cells[1:]) for leaf in self.leaves.values()]
        notes = [f"- {line}" for line in self._summary()]
        return "\n".join([markdown_table(_COLUMNS, rows), "", *notes]) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, texts and numbers, ready for JSON.

        An infinite half-life is ``None``: JSON has no infinity.
        """
        leaves = {path: dataclasses.asdict(leaf) for path, leaf in self.leaves.items()}
        for leaf in leaves.values():
            leaf["shape"], leaf["notes"] = list(leaf["shape"]), list(leaf["notes"])
            for name in ("half_life", "rate"):
                leaf[name] = leaf[name] if math.isfinite(leaf[name]) else None
        eta = self.learning_rate
        return {
            "kind": self.kind,
            "learning_rate": "schedule" if callable(eta) else eta,
            "weight_decay": self.weight_decay,
            "leaves": leaves,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "notes": list(self.notes),
        }

    def raise_if(self, severity: str = "error") -> None:
        """Raise if there is a finding of ``severity`` or graver.

        Args:
          severity: ``"info"``, ``"warning"`` or ``"error"``.

        Raises:
          AssertionError: with all such findings, one to a line.
          ValueError: if ``severity`` is not one of the three.
        """
        found = self.at_least(severity)
        if found:
            count = "1 finding" if len(found) == 1 else f"{len(found)} findings"
            lines = [f"audit: {count} of severity {severity!r} or graver:", *found]
            raise AssertionError("\n".join(map(str, lines)))

    def at_least(self, severity: str) -> list[Finding]:
        """Return the findings of ``severity`` or graver."""
        check_choice(severity, SEVERITIES, "severity", "audit")
        lowest = SEVERITIES.index(severity)
        return [x for x in self.findings if SEVERITIES.index(x.severity) >= lowest]

    def _summary(self) -> list[str]:
        decaying = [leaf for leaf in self.leaves.values() if leaf.decays]
        total = sum(math.prod(leaf.shape) for leaf in self.leaves.values())
        size = sum(math.prod(leaf.shape) for leaf in decaying)
        count = len(self.leaves)
        lines = [
            f"decays: {len(decaying)} of {count} {'leaf' if count == 1 else 'leaves'}, "
            f"{size:,} of {total:,} parameters"
        ]
        lines += [f"note: {note}" for note in self.notes]
        seen: dict[str, list[str]] = {}
        for leaf in self.leaves.values():
            for note in leaf.notes:
                seen.setdefault(note, []).append(leaf.path)
        lines += [f"note ({_places(paths)}): {note}" for note, paths in seen.items()]
        grouped: dict[tuple[str, str, str], list[str]] = {}
        for finding in self.findings:
            key = (finding.severity, finding.code, finding.message)
            grouped.setdefault(key, []).append(finding.path)
        for (severity, code_, message), paths in grouped.items():
            place = f" ({_places(paths)})" if paths != [""] else ""
            lines.append(f"{severity}: {code_}{place}: {message}")
        return lines + ([] if self.findings else ["no findings"])


def _places(paths: list[str], limit: int = 3) -> str:
    shown = ", ".join(paths[:limit])
    more = len(paths) - limit
    return shown + (f" and {more} more" if more > 0 else "")
