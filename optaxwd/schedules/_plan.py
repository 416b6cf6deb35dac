"""What a planned run's decay will do: the numbers and the table."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from optaxwd._tables import markdown_table, number, table
from optaxwd.schedules._conventions import CONVENTIONS
from optaxwd.schedules._evaluate import ROUNDING
from optaxwd.schedules._rates import Rates, factors
from optaxwd.schedules._timescales import half_life_of, timescale_of

_COLUMNS = ("what", "value", "meaning")
_NUMBERS = ("value",)
_CONVENTIONS = ("convention", "λ", "what λ means", "used by", "note")


class Equivalent(NamedTuple):
    """The same decay in another convention.

    Attributes:
      weight_decay: λ there, at the peak; ``None`` where it cannot be said.
      note: what else it takes; empty where that number alone does the same.
    """

    weight_decay: float | None
    note: str


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    r"""What :func:`describe` returns: printed, a small table.

    .. math::

        \tau = \frac{1}{R}, \qquad t_{1/2} = \frac{\ln 2}{-\ln(1 - R)}, \qquad
        \text{left of a weight} = \prod_t (1 - R_t)

    Attributes:
      coupling: how λ is tied to the learning rate.
      rates: :math:`\eta_t`, :math:`\lambda_t` and :math:`R_t` step by step, in
        float64, and the peak learning rate.
      dtype: the dtype of the weights, whose rounding is looked at.
      equivalents: for every convention λ at the peak (``weight_decay``; ``None`` where
        it cannot be said) and what else it takes (``note``).

    Examples:
      >>> import optaxwd
      >>> plan = optaxwd.describe(3e-4, 0.1, 100_000)
      >>> round(plan.peak_rate, 9), round(plan.half_life), round(plan.remaining, 3)
      (3e-05, 23105, 0.05)

    References:
      Wang and Aitchison, `How to set AdamW's weight decay as you scale model and
      dataset size <https://arxiv.org/abs/2405.13698>`_, 2025, for the timescale.
    """

    coupling: str
    rates: Rates
    dtype: str
    equivalents: dict[str, Equivalent]

    @property
    def steps(self) -> int:
        """Length of the run."""
        return len(self.rates.rate)

    @property
    def peak_rate(self) -> float:
        """Largest fraction of a weight that decay removes in one step."""
        return float(self.rates.rate.max())

    @property
    def mean_rate(self) -> float:
        """Mean of that fraction over the run."""
        return float(self.rates.rate.mean())

    @property
    def timescale(self) -> float:
        """Steps that the weights average over at the peak rate, 1/R."""
        return timescale_of(self.peak_rate)

    @property
    def half_life(self) -> float:
        """Steps in which decay at the peak rate halves a weight."""
        return half_life_of(self.peak_rate)

    @property
    def log_shrinkage(self) -> float:
        """Logarithm of what decay leaves of a weight without gradient."""
        return float(np.log1p(-self.rates.rate).sum())

    @property
    def remaining(self) -> float:
        """What decay leaves of a weight without gradient, as a fraction."""
        return math.exp(self.log_shrinkage)

    @property
    def warmup_steps(self) -> int:
        """Steps before the learning rate first reaches its largest value."""
        eta = self.rates.learning_rate
        return int(np.argmax(eta >= eta.max() * (1 - ROUNDING)))

    @property
    def lost_to_warmup(self) -> float:
        """Share of the decay that the warmup costs.

        What the run loses, of the logarithm of its shrinkage, because the learning
        rate has yet to rise to its largest; λ is what it is in each step.
        """
        first, run = self.warmup_steps, self.rates
        highest = run.learning_rate[first : first + 1]
        factor = factors(highest, run.peak_learning_rate, self.coupling, "describe")
        full = np.minimum(run.weight_decay[:first] * factor, 1 - 2.0**-53)
        logs = -np.log1p(-run.rate)
        lost = float((-np.log1p(-full) - logs[:first]).sum())
        total = float(logs.sum()) + lost
        return lost / total if total else 0.0

    @property
    def lost_to_rounding(self) -> float:
        r"""Share of the decay that rounding to ``dtype`` takes from every weight.

        Decay alone moves no weight where :math:`R_t < \epsilon/4`, with ε the spacing
        of the dtype at 1: 2⁻⁹ for bfloat16.
        """
        return self._share(self.rates.rate < self.smallest_rate)

    @property
    def exposed_to_rounding(self) -> float:
        """Share of the decay that some weights lose to rounding, by their mantissa.

        From ε/4 to ε/2 it moves the weights with a large mantissa only, and by more
        than it should.
        """
        rate = self.rates.rate
        some = (rate >= self.smallest_rate) & (rate <= 2 * self.smallest_rate)
        return self._share(some)

    @property
    def smallest_rate(self) -> float:
        """Rate below which decay alone moves no weight of ``dtype``: ε/4."""
        return float(jnp.finfo(self.dtype).eps) / 4

    def _share(self, which: np.ndarray) -> float:
        logs = -np.log1p(-self.rates.rate)
        total = float(logs.sum())
        return float(logs[which].sum()) / total if total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of the table, for JSON; infinite ones as ``None``."""
        values = {name: value for name, value, _ in self._numbers()}
        finite = {
            name: None if isinstance(value, float) and math.isinf(value) else value
            for name, value in values.items()
        }
        return {
            "coupling": self.coupling,
            "dtype": self.dtype,
            **finite,
            "equivalents": {
                name: found._asdict() for name, found in self.equivalents.items()
            },
        }

    def __str__(self) -> str:
        """Return the tables for a terminal, by rich where it can be imported."""
        first = table(_COLUMNS, self._rows(), _NUMBERS)
        return f"{first}\n\n{table(_CONVENTIONS, self._conventions(), ('λ',))}"

    def to_markdown(self) -> str:
        """Return the tables as Markdown."""
        first = markdown_table(_COLUMNS, self._rows())
        return f"{first}\n\n{markdown_table(_CONVENTIONS, self._conventions())}\n"

    def _numbers(self) -> list[tuple[str, float, str]]:
        rates, name = self.rates, self.dtype
        return [
            ("steps", self.steps, "length of the run"),
            ("peak_learning_rate", rates.peak_learning_rate, "η_peak"),
            ("weight_decay", float(rates.weight_decay.max()), "λ, its largest"),
            ("peak_rate", self.peak_rate, "largest share of a weight lost per step, R"),
            ("mean_rate", self.mean_rate, "mean of R over the run"),
            ("timescale", self.timescale, "steps that weights average over, 1/R"),
            ("half_life", self.half_life, "steps in which R halves a weight"),
            (
                "remaining",
                self.remaining,
                "what the run leaves of a weight that no gradient moves",
            ),
            ("log_shrinkage", self.log_shrinkage, "its logarithm, Σ log(1 − R_t)"),
            ("warmup_steps", self.warmup_steps, "steps until η is at its largest"),
            (
                "lost_to_warmup",
                self.lost_to_warmup,
                "share of the decay that the rising η costs",
            ),
            (
                "lost_to_rounding",
                self.lost_to_rounding,
                f"share of the decay that moves no {name} weight by itself",
            ),
            (
                "exposed_to_rounding",
                self.exposed_to_rounding,
                f"share that moves some {name} weights only",
            ),
        ]

    def _rows(self) -> list[tuple[str, str, str]]:
        shares = ("lost_to_warmup", "lost_to_rounding", "exposed_to_rounding")
        rows = [("coupling", self.coupling, "how λ is tied to η")]
        for name, value, meaning in self._numbers():
            text = f"{100 * value:.3g} %" if name in shares else _text(value)
            rows.append((name, text, meaning))
        return rows

    def _conventions(self) -> list[tuple[str, ...]]:
        rows = []
        for name, found in self.equivalents.items():
            convention = CONVENTIONS[name]
            known = (convention.meaning, convention.used_by)
            rows.append((name, number(found.weight_decay), *known, found.note))
        return rows


def _text(value: float) -> str:
    """Return whole numbers whole, and large ones with separators."""
    if isinstance(value, int) or (math.isfinite(value) and value >= 1000):
        return f"{round(value):,}"
    return number(value)
