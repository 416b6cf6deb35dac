"""What is wrong with the decay of a run, said while it runs."""

import math
import warnings
from collections.abc import Mapping
from typing import Any, TypeAlias

from optaxwd._checks import check_bool, check_number, check_steps
from optaxwd.rules import DecayRules
from optaxwd.telemetry._format import by_quantity, check_telemetry
from optaxwd.telemetry._trends import RUNAWAY, Found, KeptDecay, Runaway

Values: TypeAlias = dict[str, dict[str, float]]


class DecayWarning(UserWarning):
    """What :class:`DecayMonitor` warns of, a category for ``warnings`` filters.

    Examples:
      >>> import warnings
      >>> import optaxwd
      >>> monitor = optaxwd.DecayMonitor()
      >>> with warnings.catch_warnings():
      ...     warnings.simplefilter("error", optaxwd.DecayWarning)  # stop the run
      ...     monitor.check({"step": 0, "decay_rate/head": 1e-4})
      []

    References:
      As of :class:`DecayMonitor`.
    """


class DecayMonitor:
    r"""Looks at each record in the training loop and warns of decay that goes wrong.

    It reads what :func:`record_decay` defines, such as

    .. math:: \text{decay\_share} = \frac{\|d\|}{\|s\|}, \qquad
        \text{rms\_ratio} = \frac{\text{RMS}(\theta)}{\text{RMS}_\text{eq}}

    with :math:`d` the decay and :math:`s` the whole step.

    It warns, of each kind and leaf once, where

    - rounding swallows decay: of all decay so far the share ``decay_realised`` is below
      ``swallowed``, by twice its standard error, because rounding moves few weights in
      one step and others in the next;
    - decay dominates the step: ``decay_share`` is above ``dominates``;
    - weights run away: ``rms_ratio`` is out of [1/``runaway``, ``runaway``], each
      record is farther out than the last, and the distance is a tenth more than it was
      at its least. Being far is normal early in a run, and so is growing farther where
      η or λ moves the equilibrium itself: the distance must grow by twice what the
      prediction has moved. ``rotation_ratio`` likewise, where ``rms_ratio`` is not out;
    - nothing decays: λ and η are above 0, and every ``decay_rate`` is 0;
    - a number is NaN or infinite: at once;
    - the rules do not match the parameters, such as after leaves were renamed: at once,
      resolved once for each structure of the tree.

    What is not "at once" must hold in ``patience`` records in a row; rounding is judged
    after as many. A record that is passed again, with the same ``step``, does not count
    again. Of many leaves the three worst are named. Leaves are judged one by one where
    these are recorded, otherwise groups or all parameters.

    Args:
      rules: the :class:`DecayRules` that the optimizer decays by; ``None``: not looked
        at.
      swallowed: the least share of all decay so far that must survive rounding, in
        (0, 1].
      dominates: the largest share of the step that decay may be, ‖d‖/‖s‖ > 0.
      runaway: the largest factor from equilibrium, either way, > 1.
      patience: in records, at least 1.
      emit: whether to call ``warnings.warn`` with :class:`DecayWarning`; messages are
        returned, and kept in the list ``messages``, in any case.

    Raises:
      TypeError: if ``rules`` is no ``DecayRules``, ``emit`` no bool or a threshold no
        number.
      ValueError: if a threshold is out of its range.

    Examples:
      >>> import optaxwd
      >>> monitor = optaxwd.DecayMonitor(patience=2, emit=False)
      >>> monitor.check({"step": 0, "decay_share/head": 0.8})
      []
      >>> [message] = monitor.check({"step": 100, "decay_share/head": 0.9})
      >>> message.split(". ")[0]
      'Decay dominates updates at step 100: head (90 % of the step)'

    References:
      Kosson et al., `Rotational Equilibrium: How Weight Decay Balances Learning Across
      Neural Networks <https://arxiv.org/abs/2305.17212>`_, 2024, for the
      equilibrium.
    """

    def __init__(
        self,
        rules: DecayRules | None = None,
        *,
        swallowed: float = 0.5,
        dominates: float = 0.5,
        runaway: float = 2.0,
        patience: int = 10,
        emit: bool = True,
    ):
        """Check and keep the thresholds; see the class."""
        owner = "DecayMonitor"
        if not (rules is None or isinstance(rules, DecayRules)):
            raise TypeError(
                f"{owner}: rules must be a DecayRules or None, got {rules!r} of type "
                f"{type(rules).__name__}."
            )
        self.rules = rules
        self.swallowed = check_number(swallowed, "swallowed", owner, positive=True)
        if self.swallowed > 1:
            raise ValueError(
                f"{owner}: swallowed must be in (0, 1], got {swallowed!r}. It is the "
                "share of decay that must survive rounding."
            )
        self.dominates = check_number(dominates, "dominates", owner, positive=True)
        self.runaway = check_number(runaway, "runaway", owner, positive=True)
        if self.runaway <= 1:
            raise ValueError(
                f"{owner}: runaway must be > 1, got {runaway!r}. It is a factor from "
                "equilibrium, either way."
            )
        self.patience = check_steps(patience, "patience", owner)
        check_bool(emit, "emit", owner)
        self.emit = emit
        self.messages: list[str] = []
        # Under optax.partition each recorder has its own.
        self._steps: dict[str, float] = {}
        self._told: set[tuple[str, str]] = set()
        self._lasted: dict[tuple[str, str], int] = {}
        self._kept: dict[str, KeptDecay] = {}
        self._runaways = {
            quantity: Runaway(quantity, self.runaway, self.patience)
            for quantity in ("rms_ratio", "rotation_ratio")
        }

    def check(self, telemetry: Mapping[str, float], params: Any = None) -> list[str]:
        """Look at one record and return what is new.

        Args:
          telemetry: what :func:`read_telemetry` returns, also before the first record.
          params: the parameters, or their shapes, for the rules; ``None``: these are
            not looked at.

        Returns:
          The new messages, each with the numbers, what they mean and what to do.

        Raises:
          TypeError: if ``telemetry`` is no mapping.
        """
        check_telemetry(telemetry, "DecayMonitor.check")
        new = self._of_rules(params)
        values = by_quantity(telemetry)
        steps = values.get("step", {})
        if not steps or steps != self._steps:
            self._steps = steps
            new += self._of_record(telemetry, values)
        self.messages += new
        if self.emit:
            for message in new:
                warnings.warn(message, DecayWarning, stacklevel=2)
        return new

    def _of_rules(self, params: Any) -> list[str]:
        if self.rules is None or params is None:
            return []
        problems = [p for p in self.rules.problems(params) if self._is_new("rules", p)]
        if not problems:
            return []
        return [
            f"The rules do not match the parameters: {'; '.join(problems)}. Leaves "
            "may decay that should not, or not decay. Correct the rules."
        ]

    def _of_record(self, telemetry: Mapping[str, float], values: Values) -> list[str]:
        leaves = {name: _finite_leaves(of) for name, of in values.items()}
        return [
            *self._not_finite(telemetry),
            *self._nothing_decays(values),
            *self._swallowed(leaves),
            *self._dominates(leaves),
            *self._runs_away("rms_ratio", "predicted_rms", leaves),
            *self._runs_away("rotation_ratio", "predicted_rotation", leaves),
        ]

    def _not_finite(self, telemetry: Mapping[str, float]) -> list[str]:
        found = {
            key: (0.0, f"{float(value)}")
            for key, value in telemetry.items()
            if not math.isfinite(value)
        }
        advice = (
            "A gradient, a moment or a weight has overflowed. Go back to an earlier "
            "checkpoint, and lower η or clip the gradients."
        )
        return self._tell("Not finite", found, advice)

    def _nothing_decays(self, values: Values) -> list[str]:
        weight_decay = max(values.get("weight_decay", {}).values(), default=0.0)
        rates = values.get("decay_rate", {}).values()
        if not rates or not any(values.get("learning_rate", {"": 1.0}).values()):
            return []
        nothing = weight_decay > 0 and not any(rates)
        if not self._lasts("nothing decays", "", nothing):
            return []
        found = {
            "weight_decay": (0.0, f"{weight_decay:.3g}, but decay_rate is 0 everywhere")
        }
        advice = (
            "The mask or the rules leave nothing to decay. See rules.explain(params), "
            "or set λ to 0 if that is meant."
        )
        return self._tell("No parameter decays", found, advice)

    def _swallowed(self, leaves: Values) -> list[str]:
        rates, found = leaves.get("decay_rate", {}), {}
        for path, realised in leaves.get("decay_realised", {}).items():
            rate = rates.get(path, 0.0)
            if rate <= 0:
                continue
            kept = self._kept.setdefault(path, KeptDecay())
            kept.add(realised, rate)
            sure = kept.share + 2 * kept.error < self.swallowed
            if sure and kept.records >= self.patience:
                lost = 1 - kept.share
                found[path] = (lost, f"{100 * lost:.0f} % lost of {rate:.1e} per step")
        advice = (
            "The dtype of these weights is too coarse for decay this slow. "
            'Use precision="split" in an optimizer of optaxwd, or '
            "optaxwd.with_precision around another."
        )
        return self._tell("Rounding swallows decay", found, advice)

    def _dominates(self, leaves: Values) -> list[str]:
        found = {
            path: (share, f"{100 * share:.0f} % of the step")
            for path, share in leaves.get("decay_share", {}).items()
            if self._lasts("dominates", path, share > self.dominates)
        }
        advice = (
            "Gradients add little to these steps. See whether they vanish or do not "
            "reach these leaves, and consider a smaller λ or none there."
        )
        return self._tell("Decay dominates updates", found, advice)

    def _runs_away(self, quantity: str, prediction: str, leaves: Values) -> list[str]:
        ratios = leaves.get(quantity, {})
        if quantity == "rotation_ratio":
            # Weights of another size turn at another pace, which is no news.
            far = self._runaways["rms_ratio"].outside
            ratios = {path: ratio for path, ratio in ratios.items() if path not in far}
        found = self._runaways[quantity].look(ratios, leaves.get(prediction, {}))
        new = []
        for side in (1, -1):
            title, advice = RUNAWAY[quantity, side]
            new += self._tell(title, found[side], advice)
        return new

    def _lasts(self, kind: str, path: str, holds: bool) -> bool:
        """Return whether something holds for ``patience`` records in a row."""
        self._lasted[kind, path] = self._lasted.get((kind, path), 0) + 1 if holds else 0
        return self._lasted[kind, path] >= self.patience

    def _is_new(self, kind: str, name: str) -> bool:
        new = (kind, name) not in self._told
        self._told.add((kind, name))
        return new

    def _tell(self, title: str, found: Found, advice: str) -> list[str]:
        """Return one message for all leaves that were not told of before, or none."""
        new = {path: what for path, what in found.items() if self._is_new(title, path)}
        if not new:
            return []
        worst = sorted(new, key=lambda path: -new[path][0])
        named = [f"{path or 'all parameters'} ({new[path][1]})" for path in worst[:3]]
        more = f" and {len(worst) - 3} more" if len(worst) > 3 else ""
        steps = self._steps.values()
        when = f" at step {max(steps):.0f}" if steps else ""
        return [f"{title}{when}: {', '.join(named)}{more}. {advice}"]


def _finite_leaves(values: dict[str, float]) -> dict[str, float]:
    """Return the leaves or groups, and where there are none all parameters."""
    finite = {path: value for path, value in values.items() if math.isfinite(value)}
    return {path: value for path, value in finite.items() if path} or finite
