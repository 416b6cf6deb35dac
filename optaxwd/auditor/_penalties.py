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
      seen: pairs of pulls, of shape ``(steps, size)``, and the parameters that they
        acted on, once or at each step; Huber's δ is read off them, where a pull stops
        growing with θ.
    """
    found = []
    for anchor, origin in (("", np.zeros_like(start)), (INITIAL, start)):
        found.append(Penalty("L2", anchor, lambda x, o=origin: x - o))
        found.append(Penalty("L1", anchor, lambda x, o=origin: np.sign(x - o)))
        for delta in _huber_deltas([(x, params - origin) for x, params in seen]):
            found.append(
                Penalty(
                    "Huber",
                    anchor,
                    lambda x, o=origin, d=delta: np.clip(x - o, -d, d),
                    f"δ = {delta:.6g}",
                )
            )
    return sorted(found, key=lambda penalty: penalty.name == "Huber")


def _huber_deltas(seen: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """Return what δ may be: read off all steps, and off the strongest one alone.

    The first needs a rate that stays, the second that entries below and above δ act.
    """
    held = [np.broadcast_to(params, pulls.shape) for pulls, params in seen]
    sizes = np.concatenate([np.abs(pulls) for pulls, _ in seen], axis=1)
    slopes = sizes / np.concatenate([np.abs(params) for params in held], axis=1)
    if not slopes.any():
        return []
    t = int(np.argmax(np.max(slopes, axis=1)))
    return [np.max(sizes) / np.max(slopes), np.max(sizes[t]) / np.max(slopes[t])]
