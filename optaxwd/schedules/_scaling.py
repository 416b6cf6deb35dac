"""How λ should change with batch, data and width: rules that disagree, side by side."""

import dataclasses
import math
from typing import Any

from optaxwd._checks import check_choice, check_number
from optaxwd._tables import code, markdown_table, number, table
from optaxwd.schedules._scaling_rules import SCALING_RULES, ScalingRule

_COLUMNS = ("rule", "λ", "change", "source", "what it says")
_NUMBERS = ("λ", "change")
_RATIOS = ("batch", "data", "width", "learning_rate")


@dataclasses.dataclass(frozen=True)
class ScalingComparison:
    r"""What :func:`compare_scaling_rules` returns: printed, a table.

    .. math:: \text{spread} = \max_i c_i \,/\, \min_i c_i

    with :math:`c_i` what rule i multiplies λ by.

    Attributes:
      weight_decay: λ before.
      changes: what each rule multiplies λ by.
      silent: for each rule that does not apply, why.

    Examples:
      >>> import optaxwd
      >>> found = optaxwd.compare_scaling_rules(0.1, data_ratio=4)
      >>> {name: round(change, 3) for name, change in found.changes.items()}
      {'timescale': 0.25, 'power_lines': 0.519, 'normalized': 0.5}
      >>> round(found.spread, 2)
      2.08

    References:
      Those of :func:`scale_weight_decay`, one for each rule; the table names them.
    """

    weight_decay: float
    changes: dict[str, float]
    silent: dict[str, str]

    @property
    def values(self) -> dict[str, float]:
        """The new λ by rule."""
        return {name: self.weight_decay * by for name, by in self.changes.items()}

    @property
    def spread(self) -> float:
        """Largest over smallest answer; 1 if they agree or none applies."""
        found = self.changes.values()
        return max(found) / min(found) if found else 1.0

    def __str__(self) -> str:
        """Return the table for a terminal, by rich where it can be imported."""
        return "\n".join([table(_COLUMNS, self._rows(), _NUMBERS), "", self._verdict()])

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        rows = [(code(name), *rest) for name, *rest in self._rows()]
        return f"{markdown_table(_COLUMNS, rows)}\n\n{self._verdict()}\n"

    def _rows(self) -> list[tuple[str, ...]]:
        rows = []
        for name, rule in SCALING_RULES.items():
            value, change = self.values.get(name), self.changes.get(name)
            says = self.silent.get(name, rule.statement)
            rows.append((name, number(value), number(change), rule.source, says))
        return rows

    def _verdict(self) -> str:
        if self.spread > 1 + 1e-9:
            return f"The sources disagree by a factor of {self.spread:.3g}."
        return "The sources that apply agree."


def scale_weight_decay(
    weight_decay: float,
    *,
    rule: str,
    batch_ratio: float = 1.0,
    data_ratio: float = 1.0,
    width_ratio: float = 1.0,
    learning_rate_ratio: float = 1.0,
) -> float:
    r"""The λ of a larger run, by one rule that you name.

    .. math:: \lambda' = \lambda \, r_\text{batch}^a \, r_\text{data}^b \,
        r_\text{width}^c \, r_\eta^d

    with :math:`r` the new value over the old one, and λ that of AdamW
    (:math:`R = \eta\lambda`). The sources disagree, so there is no default:
    :func:`compare_scaling_rules` shows what each says.

    =============== ======= ========= ======== ====== ================================
    rule            batch   data      width    η      source
    =============== ======= ========= ======== ====== ================================
    ``timescale``   1       −1        0        −1     Wang and Aitchison, 2025
    ``power_lines`` 1       −0.473    −1.054   −1     Bergsma et al., 2025
    ``sqrt_width``  –       –         0.5      muP    Fan et al., 2025
    ``independent`` –       –         0        −1     Kosson et al., 2025
    ``normalized``  0.5     −0.5      –        −1     Loshchilov and Hutter, 2019
    =============== ======= ========= ======== ====== ================================

    The learning rate is an argument of its own: how it scales is another question.
    Under muP that of matrices falls as 1/width, so pass
    ``learning_rate_ratio=1 / width``; then ``timescale`` and ``independent`` have λ
    grow with the width. The exponent of ``power_lines`` is that of the paper's fit, for
    tokens per parameter, with the number of parameters as the square of the width.

    Args:
      weight_decay: :math:`\lambda \ge 0`, that of AdamW.
      rule: one of the five.
      batch_ratio: new batch size over the old one.
      data_ratio: new dataset size (examples or tokens) over the old one.
      width_ratio: new width over the old one.
      learning_rate_ratio: new peak learning rate over the old one.

    Returns:
      :math:`\lambda'`.

    Raises:
      ValueError: on an unknown rule, a ratio that is not positive, a change that the
        rule says nothing of, or a learning rate that it does not presume.
      TypeError: if an argument is not a number.

    Examples:
      Four times the batch at the same learning rate:

      >>> import optaxwd
      >>> optaxwd.scale_weight_decay(0.1, rule="timescale", batch_ratio=4)
      0.4
      >>> optaxwd.scale_weight_decay(0.1, rule="normalized", batch_ratio=4)
      0.2

    References:
      Wang and Aitchison, `How to set AdamW's weight decay as you scale model and
      dataset size <https://arxiv.org/abs/2405.13698>`_, 2025.

      Bergsma et al., `Power Lines: Scaling Laws for Weight Decay and Batch Size in LLM
      Pre-training <https://arxiv.org/abs/2505.13738>`_, 2025.

      Fan et al., `Robust Layerwise Scaling Rules by Proper Weight Decay Tuning
      <https://arxiv.org/abs/2510.15262>`_, 2025.

      Kosson et al., `Weight Decay may matter more than muP for Learning Rate Transfer
      in Practice <https://arxiv.org/abs/2510.19093>`_, 2025.

      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019.
    """
    owner = "scale_weight_decay"
    check_choice(rule, SCALING_RULES, "rule", owner)
    ratios = _checked(
        weight_decay, owner, batch_ratio, data_ratio, width_ratio, learning_rate_ratio
    )
    reason = _silence(SCALING_RULES[rule], ratios)
    if reason:
        raise ValueError(f"{owner}: rule={rule!r} {reason}.")
    return float(weight_decay) * _change(SCALING_RULES[rule], ratios)


def compare_scaling_rules(
    weight_decay: float,
    *,
    batch_ratio: float = 1.0,
    data_ratio: float = 1.0,
    width_ratio: float = 1.0,
    learning_rate_ratio: float = 1.0,
) -> ScalingComparison:
    r"""What every rule of :func:`scale_weight_decay` says, and how far they disagree.

    With the exponents of each rule,

    .. math:: \lambda \leftarrow \lambda \cdot \text{batch}^a \, \text{data}^b \,
        \text{width}^c \, \eta^d

    where each factor is the new value over the old one.

    Args:
      weight_decay: λ of AdamW before the change.
      batch_ratio, data_ratio, width_ratio: as in :func:`scale_weight_decay`.
      learning_rate_ratio: likewise.

    Returns:
      A table: λ, source and statement of each rule, or why it does not apply.

    Raises:
      ValueError: if a ratio is not positive, or λ negative.
      TypeError: if an argument is not a number.

    Examples:
      >>> import optaxwd
      >>> found = optaxwd.compare_scaling_rules(
      ...     0.1, width_ratio=4, learning_rate_ratio=1 / 4
      ... )
      >>> {name: round(value, 3) for name, value in found.values.items()}
      {'timescale': 0.4, 'power_lines': 0.093, 'sqrt_width': 0.2, 'independent': 0.4}

    References:
      Those of :func:`scale_weight_decay`, one for each rule; the table names them.
    """
    ratios = _checked(
        weight_decay,
        "compare_scaling_rules",
        batch_ratio,
        data_ratio,
        width_ratio,
        learning_rate_ratio,
    )
    reasons = {name: _silence(rule, ratios) for name, rule in SCALING_RULES.items()}
    return ScalingComparison(
        float(weight_decay),
        {n: _change(SCALING_RULES[n], ratios) for n, why in reasons.items() if not why},
        {name: why for name, why in reasons.items() if why},
    )


def _checked(weight_decay: Any, owner: str, *ratios: Any) -> dict[str, float]:
    """Return the ratios by name, checked."""
    check_number(weight_decay, "weight_decay", owner)
    return {
        name: check_number(ratio, f"{name}_ratio", owner, positive=True)
        for name, ratio in zip(_RATIOS, ratios, strict=True)
    }


def _silence(rule: ScalingRule, ratios: dict[str, float]) -> str:
    """Return why ``rule`` has no answer, or nothing."""
    for name in ("batch", "data", "width"):
        if getattr(rule, name) is None and ratios[name] != 1:
            return f"says nothing of {name}, got {name}_ratio={ratios[name]!r}"
    presumed = 1 / ratios["width"]
    if rule.mup and not math.isclose(ratios["learning_rate"], presumed, rel_tol=1e-6):
        return (
            "presumes muP, a learning rate that falls as 1/width: "
            f"learning_rate_ratio={presumed:.4g}, got {ratios['learning_rate']!r}"
        )
    return ""


def _change(rule: ScalingRule, ratios: dict[str, float]) -> float:
    exponents = {name: getattr(rule, name) or 0.0 for name in ratios}
    return math.prod(ratios[name] ** exponents[name] for name in ratios)
