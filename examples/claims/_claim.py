"""What an experiment is: a claim, numbers, a verdict computed from them, a figure."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Literal

Size = Literal["smoke", "quick", "full"]
SIZES: tuple[Size, ...] = ("smoke", "quick", "full")

HOLDS = "holds"
HOLDS_WHEN = "holds only when"
NOT_SUPPORTED = "not supported"


def outcome_of(parts: Iterable[bool]) -> str:
    """Return the outcome of a claim that is true in all, some or none of its parts."""
    parts = list(parts)
    return HOLDS if all(parts) else HOLDS_WHEN if any(parts) else NOT_SUPPORTED


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the numbers say of a claim.

    Attributes:
      outcome: ``"holds"``, ``"holds only when"`` or ``"not supported"``.
      estimate: the numbers that decide, with their intervals.
      finding: what was found, and where it turns round.
      advice: what to do about it.
    """

    outcome: str
    estimate: str
    finding: str
    advice: str


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim and its experiment.

    ``run`` makes numbers, ``judge`` and ``draw`` only read them, so that a record kept
    in a file can be judged and drawn again.

    Attributes:
      name: ``"C1"`` to ``"C13"``.
      title: in a few words.
      sentence: what is claimed.
      comparisons: how many intervals the verdict looks at.
      settings: what is the same in every size, ready for JSON. A record with others is
        run again.
      run: numbers, ready for JSON, of a size; it is given a function that shows
        progress.
      judge: the verdict.
      draw: a matplotlib figure.
      table: rows for the report, the head first, where single numbers matter.
    """

    name: str
    title: str
    sentence: str
    comparisons: int
    settings: dict[str, Any]
    run: Callable[[Size, Callable[[str], None]], dict[str, Any]]
    judge: Callable[[dict[str, Any]], Verdict]
    draw: Callable[[dict[str, Any]], Any]
    table: Callable[[dict[str, Any]], list[list[str]]] | None = None
