"""What an experiment is: a claim, numbers, a verdict computed from them, a figure."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Literal

Size = Literal["smoke", "quick", "full"]
SIZES: tuple[Size, ...] = ("smoke", "quick", "full")

HOLDS = "holds"
HOLDS_WHEN = "holds only when"
NOT_SUPPORTED = "not supported"


def said(*texts: tuple[bool, str]) -> str:
    """Return the texts whose conditions are true, as one."""
    return " ".join(text for true, text in texts if true)


def joined(names: Iterable[str]) -> str:
    """Return the names in a row."""
    return " and ".join(names)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the numbers say of a claim.

    Attributes:
      parts: what the claim says, part by part, and whether it was found.
      estimate: the numbers that decide, with their intervals.
      finding: what was found, and where it turns round.
      advice: what to do about it.
    """

    parts: dict[str, bool]
    estimate: str
    finding: str
    advice: str

    @property
    def outcome(self) -> str:
        """``"holds"`` if all parts do, ``"not supported"`` if none."""
        found = self.parts.values()
        return HOLDS if all(found) else HOLDS_WHEN if any(found) else NOT_SUPPORTED

    @property
    def when(self) -> str:
        """Which parts hold, and which do not."""
        groups = [
            ", ".join(name for name, found in self.parts.items() if found == held)
            for held in (True, False)
        ]
        words = ("found", "not found")
        pairs = zip(words, groups, strict=True)
        return "; ".join(f"{word}: {names}" for word, names in pairs if names)


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim and its experiment.

    ``run`` makes numbers, ``judge`` and ``draw`` only read them, so that a record kept
    in a file can be judged and drawn again.

    Attributes:
      name: ``"C1"`` to ``"C13"``.
      title: in a few words.
      sentence: what is claimed.
      comparisons: how many intervals are looked at.
      settings: what is the same in every size, ready for JSON.
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
