"""Whether other processes took the processors while something was timed."""

import os
import pathlib
from typing import NamedTuple

_STAT = pathlib.Path("/proc/stat")
_IDLE = slice(3, 5)  # Fields: idle, and waiting for a disk.
_GUESTS = 8  # Fields from here on are counted in the first ones too.


class Ticks(NamedTuple):
    """Seconds since some start, summed over the processors that we may use.

    Attributes:
      total: all of them.
      busy: in which somebody computed, or a hypervisor gave them to others.
      own: that this process computed.
    """

    total: float
    busy: float
    own: float


def read_ticks() -> Ticks | None:
    """Return the present counts, ``None`` where the system does not tell."""
    if not _STAT.exists() or not hasattr(os, "sched_getaffinity"):
        return None
    ours = {f"cpu{i}" for i in os.sched_getaffinity(0)}
    rows = [line.split() for line in _STAT.read_text().splitlines()]
    counts = [list(map(int, row[1:]))[:_GUESTS] for row in rows if row[0] in ours]
    unit = os.sysconf("SC_CLK_TCK")
    total = sum(map(sum, counts)) / unit
    idle = sum(sum(row[_IDLE]) for row in counts) / unit
    times = os.times()
    return Ticks(total, total - idle, times.user + times.system)


def share_of_others(before: Ticks | None, after: Ticks | None) -> float | None:
    """Return which share of the processors others had in between."""
    if before is None or after is None or after.total <= before.total:
        return None
    busy = (after.busy - before.busy) - (after.own - before.own)
    return max(busy / (after.total - before.total), 0.0)
