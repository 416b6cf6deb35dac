"""What ``read_telemetry`` returned, step by step, as series to draw."""

import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from optaxwd.plots._style import counted

_OWNER = "plot_telemetry"
# What is measured, and what is predicted of it.
PANELS = (
    ("weight_rms", "predicted_rms"),
    ("rotation", "predicted_rotation"),
    ("decay_rate", None),
)
_DRAWN = {name for panel in PANELS for name in panel if name}
# So many leaves are drawn if none are chosen, and so many named in a message.
_LEAVES = 6
_LISTED = 10

Records = Sequence[Mapping[str, Any]]


class Series(NamedTuple):
    """One quantity of one leaf where it was recorded."""

    steps: np.ndarray
    values: np.ndarray


def in_order(records: Any) -> Records:
    """Return the records in the order of their steps, one per step."""
    if isinstance(records, (str, Mapping)) or not isinstance(records, Sequence):
        raise TypeError(
            f"{_OWNER}: records must be a sequence of what optaxwd.read_telemetry "
            f"returns, got a {type(records).__name__}. Put a single record in a list."
        )
    if not records:
        raise ValueError(
            f"{_OWNER}: records must not be empty, got {records!r}. Append "
            "optaxwd.read_telemetry(state) to it in the training loop."
        )
    by_step = {}
    for at, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise TypeError(
                f"{_OWNER}: records must hold dicts, got {record!r} of type "
                f"{type(record).__name__} at index {at}."
            )
        step = _step(record)
        if step is not None:
            by_step[step] = record
        elif any(key.partition("/")[0] in _DRAWN for key in record):
            raise ValueError(
                f"{_OWNER}: every record needs 'step', got one without at index {at}: "
                "add it, {'step': step, **optaxwd.read_telemetry(state)}."
            )
    return [by_step[step] for step in sorted(by_step)]


def _step(record: Mapping[str, Any]) -> float | None:
    """Return the step, of the first recorder if there are several."""
    key = "step"
    if key not in record:
        key = next((key for key in record if key.startswith("step/")), None)
    return None if key is None else _number(record, key)


def _number(record: Mapping[str, Any], key: str) -> float:
    try:
        return float(record[key])
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{_OWNER}: {key!r} must be a number, got {record[key]!r} of type "
            f"{type(record[key]).__name__}."
        ) from error


def recorded_paths(records: Records) -> list[str]:
    """Return the leaves of which something is drawn, ``""`` for all parameters."""
    keys = dict.fromkeys(itertools.chain.from_iterable(records))
    split = (key.partition("/") for key in keys)
    paths = dict.fromkeys(path for name, _, path in split if name in _DRAWN)
    if not paths:
        names = ", ".join(map(repr, sorted(_DRAWN)))
        found = ", ".join(map(repr, list(keys)[:_LISTED]))
        raise ValueError(
            f"{_OWNER}: nothing to draw: the records have none of {names}, got "
            f"{found or 'nothing'}. Record at least one of them."
        )
    return list(paths)


def choose_leaves(
    records: Records, paths: list[str], leaves: Any
) -> tuple[list[str], str]:
    """Return the leaves to draw, and in words how many of how many they are."""
    every = [path for path in paths if path]
    of_all = f"of {counted(len(every), 'leaf', 'leaves')}"
    if leaves is not None:
        chosen = _known(leaves, paths)
        count = sum(map(bool, chosen))
        whole = " and all parameters together" if "" in chosen else ""
        return chosen, f"{count:,} {of_all}{whole}, as chosen"
    if not every:
        return [""], "all parameters together"
    if len(every) <= _LEAVES:
        return every, f"{len(every)} {of_all}"
    decaying = {path for path in every if _decays(records, path)}
    order = sorted(every, key=lambda path: -_last(records, f"weight_rms/{path}"))
    order.sort(key=lambda path: path not in decaying)
    title = f"{_LEAVES} {of_all}: "
    if len(decaying) >= _LEAVES:
        title += f"of the {len(decaying):,} that decay "
    elif decaying:
        verb = "decays" if len(decaying) == 1 else "decay"
        title += f"the {len(decaying)} that {verb}, and of the others "
    return order[:_LEAVES], f"{title}those with the largest RMS of the weights"


def _known(leaves: Any, paths: list[str]) -> list[str]:
    """Return the paths asked for, or raise if one is not there."""
    texts = isinstance(leaves, Sequence) and all(isinstance(x, str) for x in leaves)
    if isinstance(leaves, str) or not texts or not leaves:
        raise TypeError(
            f"{_OWNER}: leaves must be a sequence of at least one path, got {leaves!r} "
            f"of type {type(leaves).__name__}. Leave it out for six of them."
        )
    for path in leaves:
        if path not in paths:
            near = difflib.get_close_matches(path, paths, n=_LISTED, cutoff=0.4)
            shown = paths if len(paths) <= _LISTED else near or paths[:_LISTED]
            more = ", ..." if len(shown) < len(paths) else ""
            raise ValueError(
                f"{_OWNER}: unknown leaf {path!r}; of the "
                f"{counted(len(paths), 'path', 'paths')} recorded choose from "
                f"{', '.join(map(repr, shown))}{more}."
            )
    return list(dict.fromkeys(leaves))


def _decays(records: Records, path: str) -> bool:
    return any((record.get(f"decay_rate/{path}") or 0) > 0 for record in records)


def _last(records: Records, key: str) -> float:
    """Return the last value recorded, 0 if there is none."""
    for record in reversed(records):
        if record.get(key) is not None and math.isfinite(_number(record, key)):
            return _number(record, key)
    return 0.0


def series_of(records: Records, name: str, path: str) -> Series:
    """Return a quantity of a leaf, or of all parameters if ``path`` is empty."""
    key = f"{name}/{path}" if path else name
    found = [record for record in records if record.get(key) is not None]
    return Series(
        np.array([_step(record) for record in found], float),
        np.array([_number(record, key) for record in found]),
    )
