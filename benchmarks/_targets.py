"""What the library is to reach, and whether it did on this machine."""

from collections.abc import Callable
from typing import NamedTuple

from benchmarks._cases import (
    ADAMW,
    CLIP,
    ONE_PASS,
    ONE_PASS_CLIP,
    STATES,
    TIE,
    VARIANTS,
)
from benchmarks._leaves import CALL
from benchmarks._results import Cost, Ratio, Results
from benchmarks._steps import LIMIT

REACHED, TIED, MISSED, UNKNOWN = (
    "reached",
    "tie",
    "**not reached**",
    "not measured here",
)
_OURS = Cost("optaxwd")
_ANCHORED = "optaxwd anchor"
_LEAVES = 16  # For which bytes are counted.
_MANY = 400


class Target(NamedTuple):
    """One thing to reach.

    Attributes:
      case: what it is about.
      reach: the bound, in words.
      bound: the bound.
      measure: from results to what is to be at most ``bound``, if it was measured.
      every: the bound is for every process, not for their median.
      timed: a time, so that a difference under 10 % is a tie.
      at_least: the bound is one from below.
      elsewhere: why there may be no number.
    """

    case: str
    reach: str
    bound: float = 0.0
    measure: Callable[[Results], Ratio | float | None] = lambda results: None
    every: bool = False
    timed: bool = False
    at_least: bool = False
    elsewhere: str = "not in this run"


class Judged(NamedTuple):
    """A target, what was found, and the verdict."""

    target: Target
    found: str
    verdict: str

    @property
    def is_timed(self) -> bool:
        """Whether the verdict depends on a time."""
        return self.target.timed and self.verdict != UNKNOWN


def judge(target: Target, results: Results) -> Judged:
    """Return whether a target was reached."""
    value = target.measure(results)
    if value is None:
        return Judged(target, target.elsewhere, UNKNOWN)
    if isinstance(value, Ratio):
        number, text = value.high if target.every else value.median, str(value)
    else:
        number, text = value, f"{value:.4g}"
    excess = target.bound / number if target.at_least else number / target.bound
    # Bytes are counted with a few scalars beside the arrays.
    if excess <= (1 if target.timed else 1.001):
        return Judged(target, text, REACHED)
    # A tie is one with the peer, and no near miss of a bound that asks for more.
    is_tie = target.timed and target.bound >= 1 and abs(number - 1) < TIE
    return Judged(target, text, TIED if is_tie else MISSED)


def _largest(results: Results) -> int | None:
    sizes = results.values("steps", "size")
    return sizes[-1] if sizes else None


def _time(case: str, cost: Cost, other: Cost) -> Callable[[Results], Ratio | None]:
    def measure(results: Results) -> Ratio | None:
        size = _largest(results)
        return results.ratio("steps", case, cost, other, size=size) if size else None

    return measure


def _share_of_floor(
    case: str, name: str, bytes_: float
) -> Callable[[Results], Ratio | None]:
    """Return the time that memory needs for ``bytes_``, over the candidate's."""

    def measure(results: Results) -> Ratio | None:
        size = _largest(results)
        if size is None or results.machine["backend"] == "cpu":
            return None
        floor = results.seconds("steps", ADAMW.name, Cost(LIMIT), size=size)
        found = results.seconds("steps", case, Cost(name), size=size)
        if floor is None or found is None:
            return None
        share = floor * bytes_ / 28 / found
        return Ratio(share, share, share, 1)

    return measure


def _bytes(case: str, name: str = "optaxwd") -> Callable[[Results], float | None]:
    return lambda results: results.fact(case, name, "bytes accessed", _LEAVES)


def _bytes_over_optax(results: Results) -> float | None:
    ours, theirs = (_bytes(ADAMW.name, name)(results) for name in ("optaxwd", "optax"))
    return None if ours is None or theirs is None else ours / theirs


def _more_bytes(name: str) -> Callable[[Results], float | None]:
    """Return bytes over those of plain ``adamw``, without 4 for reading an anchor."""

    def measure(results: Results) -> float | None:
        plain, found = (_bytes(VARIANTS.name, x)(results) for x in ("optaxwd", name))
        if plain is None or found is None:
            return None
        return (found - 4 if name == _ANCHORED else found) / plain

    return measure


def _many_leaves(results: Results) -> Ratio | None:
    costs = [Cost(name, f"{name} {CALL}") for name in ("optaxwd", "optax")]
    return results.ratio("leaves", ADAMW.name, *costs, leaves=_MANY)


def _compile(results: Results) -> Ratio | None:
    return results.stages(ADAMW.name, "optaxwd", ("trace", "lower", "compile"), _MANY)


def _rules(results: Results) -> float | None:
    found = [one["rules_seconds"] for one in results.of("compiled")]
    return max(found) if found else None


def _audit(field: str) -> Callable[[Results], float | None]:
    def measure(results: Results) -> float | None:
        found = results.of("audit")
        return found[0][field] if found else None

    return measure


def _state_bytes(results: Results) -> float | None:
    return results.fact(STATES.name, "optaxwd 8-bit states", "state bytes", _LEAVES)


_VARIANTS = [one.name for one in VARIANTS.candidates if one.name != VARIANTS.reference]
_GPU = "needs a GPU"

TARGETS = (
    Target(
        "adamw, default flags",
        "≤ 1.0 of optax in time",
        1.0,
        _time(ADAMW.name, _OURS, Cost("optax")),
        timed=True,
    ),
    Target("adamw, default flags", "≤ 1.0 of optax in bytes", 1.0, _bytes_over_optax),
    *(
        Target(
            name,
            "≤ 1.05 of plain adamw in time",
            1.05,
            _time(VARIANTS.name, Cost(name), _OURS),
            timed=True,
        )
        for name in _VARIANTS
    ),
    *(
        Target(
            name,
            "no more bytes than plain adamw"
            + (", + 4 of the anchor" if name == _ANCHORED else ""),
            1.0,
            _more_bytes(name),
        )
        for name in _VARIANTS
    ),
    Target("clip + adamw, default flags", "≤ 44 bytes", 44, _bytes(CLIP.name)),
    Target(
        "clip + adamw, default flags",
        "≤ 0.8 of optax in every process",
        0.8,
        _time(CLIP.name, _OURS, Cost("optax")),
        every=True,
        timed=True,
    ),
    Target(
        "clip + adamw, default flags",
        "≤ 1.0 of torch clip + fused",
        1.0,
        _time(CLIP.name, _OURS, Cost("torch fused")),
        timed=True,
    ),
    Target("one pass", "28 bytes", 28, _bytes(ONE_PASS.name)),
    Target("one pass with clip", "32 bytes", 32, _bytes(ONE_PASS_CLIP.name)),
    Target(
        "one pass",
        "≤ 1.0 of torch fused",
        1.0,
        _time(ONE_PASS.name, _OURS, Cost("torch fused")),
        timed=True,
    ),
    Target("telemetry on", "≤ 1.10", elsewhere="not part of this suite"),
    Target(
        f"{_MANY} leaves",
        "step minus identity ≤ 1.0 of optax",
        1.0,
        _many_leaves,
        timed=True,
    ),
    Target(
        f"{_MANY} leaves",
        "trace + lower + compile ≤ 1.0 of optax",
        1.0,
        _compile,
        timed=True,
    ),
    Target("rules over 10,000 leaves", "< 0.2 s", 0.2, _rules),
    Target(
        "audit of 100M parameters",
        "< 60 s",
        60,
        _audit("seconds"),
        elsewhere="not in a quick run",
    ),
    Target(
        "audit of 100M parameters",
        "< 2 × the parameters' memory",
        2,
        _audit("peak_share"),
        elsewhere="not in a quick run",
    ),
    Target("8-bit states", "≤ 2.04 bytes per parameter", 2.04, _state_bytes),
    Target(
        "8-bit states",
        "final loss within the seed noise of float32",
        elsewhere="python -m examples.low_precision",
    ),
    *(
        Target(
            f"GPU: {case}",
            f"≥ {share:.0%} of the bandwidth floor".replace("%", " %"),
            share,
            _share_of_floor(case, name, bytes_),
            timed=True,
            at_least=True,
            elsewhere=_GPU,
        )
        for case, name, bytes_, share in (
            (ADAMW.name, "optaxwd", 28, 0.90),
            (CLIP.name, "optaxwd", 32, 0.85),
            (STATES.name, "optaxwd 8-bit states", 16.1, 0.75),
        )
    ),
    Target(
        "8 devices, sharded",
        "no all-gather, state sharded as its parameter",
        elsewhere="tests/test_sharding.py",
    ),
)
