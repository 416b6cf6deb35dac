"""Timing in turns, and the refusal of runs in which the machine changed."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from benchmarks._contention import read_ticks, share_of_others

Item = TypeVar("Item")

_SETTLE = 5e-3  # Seconds; threads of the candidate before spin for that long.


class Runner(Protocol):
    """What can be timed."""

    def step(self) -> None:
        """Start one step."""
        ...

    def wait(self) -> None:
        """Wait until all steps are done."""
        ...


class Effort(NamedTuple):
    """How long to measure.

    Attributes:
      rounds: in each of which every candidate has its turn.
      seconds: of a turn, at least.
      wait_each: wait after each step, where calls return before they are done and
        a step's latency is what is measured; otherwise at the end of a turn.
    """

    rounds: int
    seconds: float
    wait_each: bool = True


class Timed(NamedTuple):
    """Seconds per step, by candidate and round, of the last attempt.

    Attributes:
      seconds: per step, one for each round.
      drifts: of the reference, one for each attempt.
      refused: whether the last attempt drifted too much as well.
      others: share of the processors that other processes had; ``None``: unknown.
    """

    seconds: dict[str, list[float]]
    drifts: list[float]
    refused: bool
    others: float | None = None


def in_turns(items: Sequence[Item], round_: int) -> list[Item]:
    """Return the order of a round: reversed in every other one."""
    return list(items)[:: -1 if round_ % 2 else 1]


def drift_of(seconds: Sequence[float]) -> float:
    """Return by how much the second half differs from the first, as a fraction."""
    half = len(seconds) // 2
    if half == 0:
        return 0.0
    first = statistics.median(seconds[:half])
    return abs(statistics.median(seconds[-half:]) / first - 1)


def alternate(
    turns: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Return what each turn returned, round by round."""
    found: dict[str, list[float]] = {name: [] for name in turns}
    for round_ in range(rounds):
        for name in in_turns(list(turns), round_):
            found[name].append(turns[name]())
    return found


def measure(
    turns: Mapping[str, Callable[[], float]],
    reference: str,
    rounds: int,
    *,
    limit: float,
    attempts: int,
) -> Timed:
    """Alternate until the reference drifts by no more than ``limit``.

    What drifts in all ``attempts`` is returned too, marked as refused.
    """
    drifts: list[float] = []
    found: dict[str, list[float]] = {}
    others = None
    alternate(turns, 1)  # The first steps are slower: pages, caches, clocks.
    for _ in range(attempts):
        before = read_ticks()
        found = alternate(turns, rounds)
        others = share_of_others(before, read_ticks())
        drifts.append(drift_of(found[reference]))
        if drifts[-1] <= limit:
            break
    return Timed(found, drifts, drifts[-1] > limit, others)


def turn_of(runner: Runner, effort: Effort) -> Callable[[], float]:
    """Return a function that times some steps and returns the seconds of one."""

    def turn() -> float:
        took = _settle(runner)
        steps = max(round(effort.seconds / took), 1)
        start = time.perf_counter()
        for _ in range(steps):
            runner.step()
            if effort.wait_each:
                runner.wait()
        runner.wait()
        return (time.perf_counter() - start) / steps

    return turn


def _settle(runner: Runner) -> float:
    """Take untimed steps and return the seconds of the last one."""
    begin = time.perf_counter()
    while True:
        start = time.perf_counter()
        runner.step()
        runner.wait()
        now = time.perf_counter()
        if now - begin >= _SETTLE:
            return now - start
