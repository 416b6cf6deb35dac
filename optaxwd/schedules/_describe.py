"""A planned run in numbers: what its decay will do, before it starts."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from optaxwd._checks import check_steps, is_static_number
from optaxwd._tables import markdown_table, number, table
from optaxwd._typing import Coupling, ScalarOrSchedule
from optaxwd.schedules._conventions import CONVENTIONS
from optaxwd.schedules._convert import convert_weight_decay
from optaxwd.schedules._rates import Rates, rates_over_steps

_OWNER = "describe"
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


@dataclasses.dataclass(frozen=True)
class Plan:
    r"""What :func:`describe` returns: printed, a small table.

    Attributes:
      coupling: how λ is tied to the learning rate.
      rates: :math:`\eta_t`, :math:`\lambda_t` and :math:`R_t` step by step, in
        float64, and the peak learning rate.
      dtype: the dtype of the weights, whose rounding is looked at.
      equivalents: for every convention the :class:`Equivalent` of λ at the peak.

    Examples:
      >>> import optaxwd
      >>> plan = optaxwd.describe(3e-4, 0.1, 100_000)
      >>> round(plan.peak_rate, 9), round(plan.half_life), round(plan.remaining, 3)
      (3e-05, 23105, 0.05)
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
        return 1 / self.peak_rate if self.peak_rate else math.inf

    @property
    def half_life(self) -> float:
        """Steps in which decay at the peak rate halves a weight."""
        if not self.peak_rate:
            return math.inf
        return math.log(2) / -math.log1p(-self.peak_rate)

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
        return int(np.argmax(self.rates.learning_rate))

    @property
    def lost_to_warmup(self) -> float:
        """Share of the decay that the warmup costs.

        Of the logarithm of the shrinkage that the run would have if every step of the
        warmup decayed at the rate of its end.
        """
        logs = -np.log1p(-self.rates.rate)
        first = self.warmup_steps
        lost = max(float((logs[first] - logs[:first]).sum()), 0.0)
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
            ("lost_to_warmup", self.lost_to_warmup, "share of the decay it costs"),
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


def describe(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule,
    steps: int,
    *,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    warmup_steps: int = 0,
    dtype: Any = "bfloat16",
    batch_size: float | None = None,
    dataset_size: float | None = None,
    epochs: float | None = None,
) -> Plan:
    r"""What the decay of a planned run will do, in numbers.

    Decay per step, timescale and half-life at the peak, what is left after the run of a
    weight that no gradient moves, :math:`\prod_t (1 - R_t)`, what the warmup costs,
    what rounding takes, and the same λ in other conventions.

    Args:
      learning_rate: :math:`\eta_t`, a number or a schedule of the step count, which
        starts at 0.
      weight_decay: :math:`\lambda_t`, likewise.
      steps: length of the run.
      coupling: how λ is tied to the learning rate; see :func:`with_weight_decay`.
      peak_learning_rate: :math:`\eta_\text{peak}`; ``None``: the largest of the run.
      warmup_steps: with a number as ``learning_rate``, the steps in which it rises
        linearly from 0, as in :func:`optax.warmup_constant_schedule`. A schedule has
        its own warmup.
      dtype: of the weights, for what rounding takes.
      batch_size, dataset_size, epochs: as in :func:`normalized_weight_decay`, for the
        normalised λ only.

    Returns:
      A :class:`Plan`.

    Raises:
      ValueError: if decay would remove a whole weight in a step; if a number is
        negative or not finite, or a schedule returns NaN, with the step; on an unknown
        coupling, or a warmup beside a schedule.
      TypeError: if an argument is of the wrong kind.

    Examples:
      >>> import optaxwd
      >>> plan = optaxwd.describe(3e-4, 0.1, 10_000, warmup_steps=1_000)
      >>> round(plan.remaining, 3), round(plan.lost_to_warmup, 3)
      (0.752, 0.05)
      >>> plan.lost_to_rounding
      1.0
      >>> round(plan.equivalents["independent"].weight_decay, 9)
      3e-05

    References:
      Wang and Aitchison, `How to set AdamW's weight decay as you scale model and
      dataset size <https://arxiv.org/abs/2405.13698>`_, 2025, for the timescale.
    """
    warmup = check_steps(warmup_steps, "warmup_steps", _OWNER, minimum=0)
    name = _float_dtype(dtype)
    schedule = _with_warmup(learning_rate, warmup)
    if warmup and peak_learning_rate is None:
        peak_learning_rate = learning_rate
    run = rates_over_steps(
        schedule,
        weight_decay,
        steps,
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        owner=_OWNER,
    )
    sizes = {"batch_size": batch_size, "dataset_size": dataset_size, "epochs": epochs}
    found = {
        convention: _equivalent(convention, coupling, run, sizes)
        for convention in CONVENTIONS
    }
    return Plan(coupling, run, name, found)


def _with_warmup(learning_rate: Any, warmup_steps: int) -> Any:
    if not warmup_steps:
        return learning_rate
    if not is_static_number(learning_rate):
        raise ValueError(
            f"{_OWNER}: warmup_steps={warmup_steps!r} is for a learning rate that is a "
            f"number, got {learning_rate!r}: put the warmup into the schedule."
        )
    return optax.warmup_constant_schedule(0.0, float(learning_rate), warmup_steps)


def _float_dtype(dtype: Any) -> str:
    """Return the name of a floating-point dtype."""
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating):
        raise TypeError(
            f"{_OWNER}: dtype must be a floating-point dtype such as 'bfloat16', got "
            f"{dtype!r}."
        )
    return found.name


def _equivalent(
    name: str, coupling: str, run: Rates, sizes: dict[str, Any]
) -> Equivalent:
    """Return λ at the peak in the convention ``name``, as far as it can be said."""
    convention, peak = CONVENTIONS[name], run.peak_learning_rate
    if convention.per_period and None in sizes.values():
        return Equivalent(None, "needs batch_size, dataset_size and epochs")
    if peak == 0 and name != coupling:
        return Equivalent(None, "there is no learning rate")
    value: Any = convert_weight_decay(
        float(run.weight_decay.max()),
        source=coupling,
        target=name,
        learning_rate=peak,
        peak_learning_rate=peak or None,
        optimizer="sgd",
        **sizes,
    )
    before = CONVENTIONS[coupling].powers.learning_rate
    constant = np.ptp(run.learning_rate) == 0
    notes = []
    if convention.is_penalty:
        notes.append("only for plain SGD")
    if convention.powers.learning_rate != before and not constant:
        notes.append("at the peak; it takes a schedule")
    return Equivalent(value, ", ".join(notes))


def _text(value: float) -> str:
    """Return whole numbers whole, and large ones with separators."""
    if isinstance(value, int) or (math.isfinite(value) and value >= 1000):
        return f"{round(value):,}"
    return number(value)
