"""Telemetry as one line of text."""

import difflib
from collections.abc import Mapping
from typing import Any

from optaxwd.telemetry._files import number
from optaxwd.telemetry._quantities import QUANTITIES


def format_telemetry(telemetry: Mapping[str, float], *, leaf: str | None = None) -> str:
    """Return the numbers that matter in one line, for a progress bar.

    In this order: η; λ; the decay per step, its share of the step, and what rounding
    keeps of it; the RMS of the weights and the rotation per step, as multiples of those
    at equilibrium (``×eq``) where these are known. What is missing is left out. The
    line has at most about 100 characters, and its width hardly changes.

    Args:
      telemetry: what :func:`read_telemetry` returns.
      leaf: the path of a leaf or the name of a group; ``None``: all parameters.

    Returns:
      One line, which says so where nothing is recorded yet.

    Raises:
      TypeError: if ``telemetry`` is no mapping.
      ValueError: if something is recorded, but not of this leaf.

    Examples:
      >>> import optaxwd
      >>> telemetry = {
      ...     "learning_rate": 3e-3, "weight_decay": 0.1, "decay_rate": 3e-4,
      ...     "decay_share": 0.12, "rms_ratio": 0.97,
      ... }
      >>> optaxwd.format_telemetry(telemetry)
      'η 3.0e-03 · λ 0.100 · decay 3.0e-04/step, 12.0 % of step · RMS 0.97×eq'
      >>> optaxwd.format_telemetry({})
      'nothing recorded yet'

    References:
      As of :func:`record_decay`.
    """
    check_telemetry(telemetry, "format_telemetry")

    def part(text: str, name: str, scale: float = 1.0) -> str:
        value = telemetry.get(name if leaf is None else f"{name}/{leaf}")
        return "" if value is None else text.format(scale * float(value))

    decay = (
        part("decay {:z.1e}/step", "decay_rate"),
        part("{:z4.1f} % of step", "decay_share", 100),
        part("{:z3.0f} % kept", "decay_realised", 100),
    )
    recorded = [
        ", ".join(filter(None, decay)),
        part("RMS {:.2f}×eq", "rms_ratio") or part("RMS {:.1e}", "weight_rms"),
        part("turn {:.2f}×eq", "rotation_ratio") or part("turn {:.1e}", "rotation"),
    ]
    if not any(recorded):
        recorded = [_nothing(telemetry, leaf)]
    rates = [
        _rate("η", telemetry, "learning_rate", leaf),
        _rate("λ", telemetry, "weight_decay", leaf),
    ]
    return " · ".join(filter(None, rates + recorded))


def check_telemetry(telemetry: Any, owner: str) -> None:
    """Raise unless ``telemetry`` is a mapping of names to numbers."""
    if not isinstance(telemetry, Mapping):
        raise TypeError(
            f"{owner}: telemetry must be a mapping of names to numbers, got "
            f"{telemetry!r} of type {type(telemetry).__name__}. Pass what "
            "read_telemetry(state) returns."
        )
    for key, value in telemetry.items():
        number(key, value, owner)


def by_quantity(telemetry: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return ``{quantity: {path: value}}``, the path of all parameters empty."""
    found: dict[str, dict[str, float]] = {}
    for key, value in telemetry.items():
        quantity, _, path = key.partition("/")
        found.setdefault(quantity, {})[path] = float(value)
    return found


def _rate(
    symbol: str, telemetry: Mapping[str, float], name: str, leaf: str | None
) -> str:
    """Return η or λ: of this group, of all, or the range over the groups."""
    value = telemetry.get(f"{name}/{leaf}", telemetry.get(name))
    values = [float(value)] if value is not None else _groups(telemetry, name)
    if not values:
        return ""
    # A learning rate moves through many powers of ten, λ is most often a constant.
    plain = symbol == "λ" and all(v == 0 or 0.01 <= v < 10 for v in values)
    ends = dict.fromkeys((min(values), max(values)))
    shown = "–".join(f"{v:.3f}" if plain else f"{v:.1e}" for v in ends)
    return f"{symbol} {shown}"


def _groups(telemetry: Mapping[str, float], name: str) -> list[float]:
    return list(by_quantity(telemetry).get(name, {}).values())


def _nothing(telemetry: Mapping[str, float], leaf: str | None) -> str:
    """Say that nothing is recorded, or raise if others are but ``leaf`` is not."""
    found = by_quantity(telemetry)
    paths = set().union(*(found.get(name, {}) for name in QUANTITIES))
    leaves = paths - {""}
    if not paths or leaf in leaves:
        return "nothing recorded yet"
    if leaf is None:
        # Under optax.partition every label has its own totals.
        return "no totals recorded, choose a leaf"
    near = difflib.get_close_matches(leaf, leaves, n=3, cutoff=0.0)
    listed = f"The nearest are {', '.join(map(repr, near))}." if near else ""
    raise ValueError(
        f"format_telemetry: leaf must be one that is recorded, got {leaf!r}. "
        f"{listed or 'Leave it out: only all parameters together are recorded.'}"
    )
