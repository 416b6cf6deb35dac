"""What decay may pull along: penalties, each towards zero or the initial parameters."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

INITIAL = "the initial parameters"


class Penalty(NamedTuple):
    """A penalty with its anchor.

    Attributes:
      name: ``"L2"``, ``"L1"`` or ``"Huber"``.
      anchor: what it pulls towards, in words; empty for zero.
      pull: takes parameters, returns what decay is proportional to.
      note: its δ, if it has one.
    """

    name: str
    anchor: str
    pull: Callable[[np.ndarray], np.ndarray]
    note: str = ""


def penalties(
    start: np.ndarray, seen: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[Penalty]:
    """Return the penalties that a leaf may have, the plain ones first.

    Args:
      start: the parameters that `init` saw.
      seen: pairs of a pull and the parameters that it acted on, from which Huber's δ is
        read: where the pull stops growing with θ.
    """
    found = []
    for anchor, origin in (("", np.zeros_like(start)), (INITIAL, start)):
        found.append(Penalty("L2", anchor, lambda x, o=origin: x - o))
        found.append(Penalty("L1", anchor, lambda x, o=origin: np.sign(x - o)))
        delta = _huber_delta([(pull, params - origin) for pull, params in seen])
        if delta is not None:
            found.append(
                Penalty(
                    "Huber",
                    anchor,
                    lambda x, o=origin, d=delta: np.clip(x - o, -d, d),
                    f"δ = {delta:.6g}",
                )
            )
    return sorted(found, key=lambda penalty: penalty.name == "Huber")


def _huber_delta(seen: Sequence[tuple[np.ndarray, np.ndarray]]) -> float | None:
    size = np.concatenate([np.abs(pull) for pull, _ in seen])
    distance = np.concatenate([np.abs(params) for _, params in seen])
    steepest = float(np.max(size / distance, initial=0.0))
    return float(np.max(size)) / steepest if steepest > 0 else None
