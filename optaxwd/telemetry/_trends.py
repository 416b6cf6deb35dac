"""What the monitor follows from record to record: kept decay, distances."""

import dataclasses
import itertools
import math
from collections import deque
from typing import TypeAlias

# For each leaf what it is sorted by, the worst first, and what is said of it.
Found: TypeAlias = dict[str, tuple[float, str]]

# A leaf runs away once it is a tenth farther than it was at its nearest.
_FARTHER = math.log(1.1)

# For each ratio and side of equilibrium what it means and what to do.
RUNAWAY = {
    ("rms_ratio", 1): (
        "Weights outgrow their equilibrium",
        "Each step adds more than decay takes. Raise λ or lower η, and see by "
        "optaxwd.audit whether decay is what you set.",
    ),
    ("rms_ratio", -1): (
        "Weights shrink away from their equilibrium",
        "Decay takes more than each step adds. Lower λ, and see whether gradients "
        "reach these leaves.",
    ),
    ("rotation_ratio", 1): (
        "Weights turn ever faster than at equilibrium",
        "Steps are too large for weights of this size. Lower η, and see whether λ "
        "has made the weights too small.",
    ),
    ("rotation_ratio", -1): (
        "Weights turn ever slower than at equilibrium",
        "Steps have ever less effect. Raise λ so that the weights shrink, and see "
        "whether gradients vanish.",
    ),
}


@dataclasses.dataclass
class KeptDecay:
    """The share of a leaf's decay so far that survives rounding.

    A mean weighted by the decay rates, with its standard error: of small leaves in one
    step no weight moves, and in the next some move by more than decay asks for.
    """

    records: int = 0
    _w: float = 0.0
    _wx: float = 0.0
    _ww: float = 0.0
    _wwx: float = 0.0
    _wwxx: float = 0.0

    def add(self, realised: float, rate: float) -> None:
        """Count one record."""
        self.records += 1
        self._w += rate
        self._wx += rate * realised
        self._ww += rate**2
        self._wwx += rate**2 * realised
        self._wwxx += (rate * realised) ** 2

    @property
    def share(self) -> float:
        """The mean."""
        return self._wx / self._w

    @property
    def error(self) -> float:
        """Its standard error."""
        squares = self._wwxx - 2 * self.share * self._wwx + self.share**2 * self._ww
        return math.sqrt(max(squares, 0.0)) / self._w


@dataclasses.dataclass
class _Track:
    """A leaf out of the band: the side, its nearest, and how far it was lately.

    Distances are absolute logarithms of the ratio; ``equilibrium`` is the logarithm of
    the prediction that the nearest was taken from.
    """

    side: int
    nearest: float
    equilibrium: float
    distances: deque[float]


class Runaway:
    """Follows one ratio of all leaves.

    Args:
      quantity: the name of the ratio.
      factor: from 1 to the edge of the band, either way.
      patience: records in a row that must be farther, each than the last.
    """

    def __init__(self, quantity: str, factor: float, patience: int):
        """Start with no leaf out of the band."""
        self._quantity = quantity
        self._band = math.log(factor)
        self._patience = patience
        self._tracks: dict[str, _Track] = {}

    @property
    def outside(self) -> set[str]:
        """The leaves that are out of the band."""
        return set(self._tracks)

    def look(
        self, ratios: dict[str, float], predicted: dict[str, float]
    ) -> dict[int, Found]:
        """Return the leaves that run away above (1) and below (-1) equilibrium."""
        for path in self.outside - ratios.keys():
            del self._tracks[path]
        found: dict[int, Found] = {1: {}, -1: {}}
        for path, ratio in ratios.items():
            distance = abs(math.log(ratio)) if ratio > 0 else 0.0
            if distance <= self._band:
                self._tracks.pop(path, None)
                continue
            side = 1 if ratio > 1 else -1
            known = predicted.get(path, 0.0)
            equilibrium = math.log(known) if known > 0 else 0.0
            track = self._tracks.get(path)
            if track is None or track.side != side:
                track = _Track(
                    side, distance, equilibrium, deque(maxlen=self._patience)
                )
                self._tracks[path] = track
            if self._gets_farther(track, distance, equilibrium):
                before = math.exp(side * track.nearest)
                said = f"{self._quantity} {ratio:.3g}, was {before:.3g}"
                found[side][path] = (distance, said)
        return found

    def _gets_farther(self, track: _Track, distance: float, equilibrium: float) -> bool:
        if distance < track.nearest:
            track.nearest, track.equilibrium = distance, equilibrium
        track.distances.append(distance)
        grows = all(a < b for a, b in itertools.pairwise(track.distances))
        # A schedule of η moves the rotation twice as far as its equilibrium, and the
        # equilibrium size under weights that stay: neither is the leaf's own doing.
        moved = abs(equilibrium - track.equilibrium)
        by_itself = distance - track.nearest > max(_FARTHER, 2 * moved)
        return grows and by_itself and len(track.distances) == self._patience
