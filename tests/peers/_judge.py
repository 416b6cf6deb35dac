"""Judge outcomes: what failed without an argument, and which arguments are idle."""

import collections
from collections.abc import Sequence
from typing import NamedTuple

from tests.peers._run import Outcome
from tests.peers._suites import matching


class Verdict(NamedTuple):
    """What a run shows: how many of each kind, and all that is wrong."""

    counts: dict[str, int]
    excepted: dict[str, int]  # by the entry that excepts them
    errors: list[str]


def judge(
    outcomes: Sequence[Outcome],
    exceptions: dict[str, str],
    left_out: dict[str, str],
    *,
    partial: bool = False,
) -> Verdict:
    """Return the counts, and an error for each failure and each idle entry.

    Tests that never called ours say nothing about it, and are counted apart, whatever
    came of them. Of a ``partial`` run nobody asks whether entries are idle.
    """
    counts: collections.Counter[str] = collections.Counter()
    excepted: collections.Counter[str] = collections.Counter()
    errors, used = [], set()
    for outcome in outcomes:
        pattern = matching(outcome.name, exceptions)
        if outcome.status == "left out":
            used.add(matching(outcome.name, left_out))
            counts["left out"] += 1
        elif not outcome.calls:
            counts["without ours"] += 1
        elif outcome.status == "failed" and pattern is None:
            counts["failed"] += 1
            errors.append(f"{outcome.name} failed: {outcome.message}")
        elif outcome.status == "failed":
            counts["excepted"] += 1
            excepted[pattern] += 1
        elif pattern is not None:
            errors.append(
                f"{outcome.name} {outcome.status}, though {pattern} excepts it"
            )
        else:
            counts[outcome.status] += 1
    idle = (
        set()
        if partial
        else (exceptions.keys() | left_out.keys()) - used - set(excepted)
    )
    errors += [f"the entry {pattern} is of no test" for pattern in sorted(idle)]
    if not counts["passed"]:
        errors.append("no test called ours and passed")
    return Verdict(dict(counts), dict(excepted), errors)
