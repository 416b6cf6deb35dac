"""What a run's raw numbers say: ratios within processes, and their ranges."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks._cases import BUSY, TIE


class Ratio(NamedTuple):
    """A ratio of two times, over processes.

    Attributes:
      median, low, high: of the ratios within each process.
      processes: how many there are.
    """

    median: float
    low: float
    high: float
    processes: int

    def __str__(self) -> str:
        """Return the median and the range."""
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"

    @property
    def is_tie(self) -> bool:
        """Whether the difference is too small to count."""
        return abs(self.median - 1) < TIE


def verdict(ratio: Ratio, name: str, other: str) -> str:
    """Return who is faster, from the time of ``name`` over that of ``other``."""
    if ratio.is_tie:
        return "tie"
    factor = max(ratio.median, 1 / ratio.median)
    by = f"by {100 * (factor - 1):.0f} %" if factor < 2 else f"{factor:.1f} times"
    return f"{name} faster {by}" if ratio.median < 1 else f"**{other} faster {by}**"


class Cost(NamedTuple):
    """A time, or the difference of two.

    Attributes:
      plus: what was timed.
      minus: what is taken off; ``None``: nothing.
    """

    plus: str
    minus: str | None = None

    def within(self, seconds: Mapping[str, Sequence[float]]) -> list[float] | None:
        """Return it round by round, from what one process measured."""
        if self.plus not in seconds or (self.minus and self.minus not in seconds):
            return None
        if self.minus is None:
            return list(seconds[self.plus])
        pairs = zip(seconds[self.plus], seconds[self.minus], strict=True)
        return [one - other for one, other in pairs]

    def median(self, seconds: Mapping[str, Sequence[float]]) -> float | None:
        """Return the median over rounds, unless it is a difference lost in noise."""
        found = self.within(seconds)
        if found is None:
            return None
        median = statistics.median(found)
        is_lost = self.minus and median < TIE * statistics.median(seconds[self.plus])
        return None if is_lost else median


class Results:
    """Access to the record of a run."""

    def __init__(self, record: dict[str, Any]):
        """Wrap a record, as it is kept in JSON."""
        self.machine: dict[str, Any] = record["machine"]
        self.runs: list[dict[str, Any]] = record["runs"]

    def of(self, section: str, **fields: Any) -> list[dict[str, Any]]:
        """Return the results of a section's jobs that have these settings."""
        wanted = {"section": section, **fields}
        return [
            run["result"] for run in self.runs if wanted.items() <= run["job"].items()
        ]

    def values(self, section: str, field: str) -> list[Any]:
        """Return the settings that a section was run with, sorted."""
        jobs = [run["job"] for run in self.runs]
        return sorted({job[field] for job in jobs if job["section"] == section})

    def timed(self, section: str, case: str, **fields: Any) -> list[dict[str, Any]]:
        """Return what each process measured of a case, without refused ones.

        Nothing, where most were refused.
        """
        results = self.of(section, **fields)
        found = [one["cases"][case] for one in results if case in one["cases"]]
        kept = [one for one in found if not one["refused"]]
        return kept if 2 * len(kept) > len(found) else []

    def is_busy(self, section: str, case: str, **fields: Any) -> bool:
        """Return whether other processes took much of the processors."""
        return any(_is_busy(one) for one in self.timed(section, case, **fields))

    def was_busy(self) -> bool:
        """Return whether they did at any time."""
        return any(_is_busy(one) for _, _, one in self.cases())

    def seconds(
        self, section: str, case: str, cost: Cost, **fields: Any
    ) -> float | None:
        """Return the median over processes of the median over rounds."""
        timed = self.timed(section, case, **fields)
        medians = [cost.median(one["seconds"]) for one in timed]
        found = [median for median in medians if median is not None]
        # Those that are left of differences that mostly are lost say nothing.
        return statistics.median(found) if 2 * len(found) > len(timed) else None

    def ratio(
        self, section: str, case: str, cost: Cost, other: Cost, **fields: Any
    ) -> Ratio | None:
        """Return ``cost`` over ``other``; ``None`` if not measured or lost in noise.

        Times are divided round by round; differences, which may be near 0 in single
        rounds, only after medians were taken.
        """
        ratios = []
        timed = self.timed(section, case, **fields)
        for seconds in (x["seconds"] for x in timed):
            top, bottom = cost.within(seconds), other.within(seconds)
            one, another = cost.median(seconds), other.median(seconds)
            if top is None or bottom is None or one is None or another is None:
                continue
            if cost.minus or other.minus:
                top, bottom = [one], [another]
            ratios.append(
                statistics.median(a / b for a, b in zip(top, bottom, strict=True))
            )
        return ratio_of(ratios) if 2 * len(ratios) > len(timed) else None

    def fact(self, case: str, name: str, fact: str, leaves: int) -> float | None:
        """Return a number that was counted in a compiled program."""
        for one in self.of("compiled", leaves=leaves):
            if case in one["facts"]:
                return one["facts"][case][name][fact]
        return None

    def stages(
        self, case: str, name: str, stages: Sequence[str], leaves: int
    ) -> Ratio | None:
        """Return the time of some stages of compilation, over the reference's."""
        ratios = []
        for one in self.of("compiled", leaves=leaves):
            if case in one["times"]:
                times = one["times"][case]["stages"]
                reference = times[one["times"][case]["reference"]]
                ratios.append(
                    sum(times[name][stage] for stage in stages)
                    / sum(reference[stage] for stage in stages)
                )
        return ratio_of(ratios)

    def cases(self) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
        """Yield the job, the name of the case and what was measured, for all."""
        for run in self.runs:
            for name, case in run["result"].get("cases", {}).items():
                yield run["job"], name, case

    def failures(self) -> list[str]:
        """Return which candidates do not compute what they should."""
        return [
            f"{job['section']}, {case}, {name}: errors {one['largest']:.2g} (largest), "
            f"{one['rms']:.2g} (rms), allowed {one['bound']['largest']:g} and "
            f"{one['bound']['rms']:g}"
            for job, case, measured in self.cases()
            for name, one in measured["equality"].items()
            if not one["passed"]
        ]

    def refused(self) -> list[str]:
        """Return the runs that were refused at every attempt, in words."""
        return [
            f"{job['section']}, {job.get('size', job.get('leaves')):,} "
            f"{'parameters' if 'size' in job else 'leaves'}, {case}, process "
            f"{job['process'] + 1}: the reference drifted by "
            + ", ".join(f"{100 * drift:.0f} %" for drift in measured["drifts"])
            for job, case, measured in self.cases()
            if measured["refused"]
        ]


def _is_busy(measured: dict[str, Any]) -> bool:
    return (measured["others"] or 0.0) > BUSY


def ratio_of(ratios: list[float]) -> Ratio | None:
    """Return the median and the range of ratios."""
    if not ratios:
        return None
    return Ratio(statistics.median(ratios), min(ratios), max(ratios), len(ratios))
