"""Scalars to files: JSON Lines, CSV and TensorBoard, by one shape of writer."""

import abc
import csv
import importlib
import itertools
import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from typing import Any, Self

from optaxwd._checks import check_steps
from optaxwd.telemetry._files import append, ends, number, parsed, resolved

# What every line of JSONLinesWriter starts with, so that a cut one is known.
_START = b'{"step": '


class _Writer(abc.ABC):
    """What the writers share: the checks, and that a closed one writes no more."""

    _closed = False

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the writer."""
        self.close()

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Write the scalars of one step.

        Everything is checked before anything is written. A key ``"step"`` among the
        scalars gives way to the argument.

        Args:
          step: a whole number >= 0.
          scalars: a number or a scalar array for each name, as :func:`read_telemetry`
            gives.

        Raises:
          TypeError: if the scalars are no mapping, a key is no text or a value is no
            real number.
          ValueError: if the step is not whole or negative, or the writer is closed.
        """
        owner = f"{type(self).__name__}.write_scalars"
        if self._closed:
            raise ValueError(f"{owner}: the writer is closed. Make a new one.")
        step = check_steps(step, "step", owner, minimum=0)
        if not isinstance(scalars, Mapping):
            raise TypeError(
                f"{owner}: scalars must be a mapping of names to numbers, got "
                f"{scalars!r} of type {type(scalars).__name__}. Pass what "
                "read_telemetry(state) returns."
            )
        numbers = {key: number(key, value, owner) for key, value in scalars.items()}
        numbers.pop("step", None)
        self._write(step, numbers)

    def flush(self) -> None:  # noqa: B027 - not abstract: most writers keep nothing
        """Write out what waits; files of lines never have any."""

    def close(self) -> None:
        """Close the writer, which may be done twice."""
        self._closed = True

    @abc.abstractmethod
    def _write(self, step: int, scalars: dict[str, float]) -> None:
        """Write numbers that are checked."""


class JSONLinesWriter(_Writer):
    r"""Writes one JSON object per line, with ``step`` first.

    Each line is in the file when ``write_scalars`` returns, so a killed run loses at
    most the line it was at. JSON has no NaN and no infinity: both are written as
    ``null``. A file that exists is appended to; a line that a killed run left
    unfinished is cut off first. A run resumed from before its last line writes some
    steps twice, and both stay.

    Args:
      path: of the file; its directory is made if it is missing. With several hosts make
        one writer, where ``jax.process_index() == 0``.

    Raises:
      TypeError: if the path is no path.
      ValueError: if a file is there that is no JSON Lines.

    Examples:
      >>> import pathlib, tempfile
      >>> import optaxwd
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     path = pathlib.Path(directory) / "decay.jsonl"
      ...     with optaxwd.JSONLinesWriter(path) as writer:
      ...         writer.write_scalars(0, {"decay_rate": 0.01, "cosine": float("nan")})
      ...     path.read_text()
      '{"step": 0, "decay_rate": 0.01, "cosine": null}\n'

    References:
      `JSON Lines <https://jsonlines.org>`_.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Find or make the file; see the class."""
        self.path = resolved(path, "JSONLinesWriter: path")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        first, start, rest = ends(self.path)
        whole = parsed(rest) is not None
        cut = rest.startswith(_START) or _START.startswith(rest)
        if first not in (b"", b"{") or not (whole or cut):
            raise ValueError(
                "JSONLinesWriter: path must be a new file or one of JSON objects, got "
                f"{str(self.path)!r}, which holds something else. Choose another path."
            )
        if whole:
            append(self.path, "\n")
        elif rest:
            os.truncate(self.path, start)

    def _write(self, step: int, scalars: dict[str, float]) -> None:
        finite = {k: v if math.isfinite(v) else None for k, v in scalars.items()}
        append(self.path, json.dumps({"step": step, **finite}) + "\n")


def read_json_lines(path: str | os.PathLike[str]) -> list[dict[str, float]]:
    r"""Return what :class:`JSONLinesWriter` wrote, one dict per line.

    A last line that a killed run left unfinished is left out.

    Args:
      path: of the file.

    Returns:
      The dicts in the order of the file, each with ``step`` and NaN for ``null``.

    Raises:
      FileNotFoundError: if there is no such file.
      TypeError: if the path is no path.
      ValueError: if another line is no JSON object of numbers.

    Examples:
      >>> import pathlib, tempfile
      >>> import optaxwd
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     path = pathlib.Path(directory) / "decay.jsonl"
      ...     _ = path.write_text('{"step": 0, "cosine": null}\n{"step": 1, "co')
      ...     optaxwd.read_json_lines(path)
      [{'step': 0.0, 'cosine': nan}]

    References:
      `JSON Lines <https://jsonlines.org>`_.
    """
    records = []
    with open(resolved(path, "read_json_lines: path"), "rb") as file:
        for index, line in enumerate(file, 1):
            if not line.strip():
                continue
            record = parsed(line)
            if record is not None:
                records.append(record)
            elif line.endswith(b"\n"):
                raise ValueError(
                    f"read_json_lines: line {index} of {os.fspath(path)!r} must be a "
                    f"JSON object of numbers, got {line[:80]!r}. Correct or remove it."
                )
    return records


class CSVWriter(_Writer):
    """Writes one row per step: the column ``step``, then one for each name.

    Each row is in the file when ``write_scalars`` returns. A name that comes up later
    gets a column of its own, empty in the rows before: the file is then written anew
    beside the old one, as ``<path>.tmp``, and put in its place at once, so that it is
    whole at every moment. A missing value is an empty cell, NaN is ``nan``. A file that
    exists is appended to; a row that a killed run left unfinished is cut off first.

    Args:
      path: of the file; its directory is made if it is missing. With several hosts make
        one writer, where ``jax.process_index() == 0``.

    Raises:
      TypeError: if the path is no path.
      ValueError: if a file is there whose header does not start with ``step`` or has a
        name twice.

    Examples:
      >>> import pathlib, tempfile
      >>> import optaxwd
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     path = pathlib.Path(directory) / "decay.csv"
      ...     with optaxwd.CSVWriter(path) as writer:
      ...         writer.write_scalars(0, {"learning_rate": 0.1})
      ...         writer.write_scalars(1, {"learning_rate": 0.1, "cosine": 0.5})
      ...     print(path.read_text(), end="")
      step,learning_rate,cosine
      0,0.1,
      1,0.1,0.5

    References:
      Shafranovich, `RFC 4180 <https://www.rfc-editor.org/rfc/rfc4180>`_, 2005.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Find or make the file; see the class."""
        self.path = resolved(path, "CSVWriter: path")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists() or not self.path.stat().st_size:
            self._columns = ["step"]
            self._replace(self._columns, [])
            return
        _, start, rest = ends(self.path)
        with open(self.path, newline="", encoding="utf-8") as file:
            self._columns = next(csv.reader(file), [])
        once = len(set(self._columns)) == len(self._columns)
        if self._columns[:1] != ["step"] or not once or not start:
            raise ValueError(
                "CSVWriter: path must be a new file or a table with the column 'step' "
                f"first and no name twice, got {str(self.path)!r} with the columns "
                f"{self._columns}. Choose another path."
            )
        if rest:
            os.truncate(self.path, start)

    def _write(self, step: int, scalars: dict[str, float]) -> None:
        row = {"step": step, **scalars}
        columns = list(dict.fromkeys([*self._columns, *row]))
        if columns == self._columns:
            append(self.path, ",".join(str(row.get(key, "")) for key in columns) + "\n")
            return
        with open(self.path, newline="", encoding="utf-8") as file:
            self._replace(columns, itertools.chain(csv.DictReader(file), [row]))
        self._columns = columns

    def _replace(self, columns: list[str], rows: Iterable[dict[str, Any]]) -> None:
        """Put a file with these rows in the place of the old one, at once."""
        new = self.path.with_name(self.path.name + ".tmp")
        with open(new, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            file.flush()
            os.fsync(file.fileno())
        if self.path.exists():
            shutil.copymode(self.path, new)
        os.replace(new, self.path)


class TensorBoardWriter(_Writer):
    """Writes scalars for TensorBoard, with names as they are.

    The slashes of ``decay_rate/dense/kernel`` make ``decay_rate`` a section. Numbers
    are kept in float32 and reach the disk within ten seconds, or at ``flush``. A
    resumed run adds a file to the directory, and TensorBoard shows all of them as one.

    Args:
      directory: of the event files, made if it is missing.

    Raises:
      ImportError: if tensorboardX is not installed.
      TypeError: if the directory is no path.

    Examples:
      >>> import tempfile
      >>> import optaxwd
      >>> with tempfile.TemporaryDirectory() as directory:  # doctest: +SKIP
      ...     with optaxwd.TensorBoardWriter(directory) as writer:
      ...         writer.write_scalars(0, {"decay_rate/dense/kernel": 1e-4})

    References:
      `tensorboardX <https://tensorboardx.readthedocs.io>`_.
    """

    def __init__(self, directory: str | os.PathLike[str]):
        """Start an event file; see the class."""
        try:
            tensorboard = importlib.import_module("tensorboardX")
            proto = importlib.import_module("tensorboardX.proto.summary_pb2")
        except ImportError as error:
            raise ImportError(
                "TensorBoardWriter needs tensorboardX. Install it with "
                '`pip install "optaxwd[tensorboard]"`.'
            ) from error
        self.directory = resolved(directory, "TensorBoardWriter: directory")
        # Without a suffix two writers within one second write over each other.
        self._file: Any = tensorboard.FileWriter(
            self.directory, flush_secs=10, filename_suffix=f".{time.time_ns()}"
        )
        self._summary: Any = proto.Summary

    def flush(self) -> None:
        """Write out what waits."""
        if not self._closed:
            self._file.flush()

    def close(self) -> None:
        """Write out what waits and close the file, which may be done twice."""
        if not self._closed:
            self._file.close()
        super().close()

    def _write(self, step: int, scalars: dict[str, float]) -> None:
        # add_scalar of SummaryWriter would turn `~` and spaces of names into `_`.
        values = [
            self._summary.Value(tag=key, simple_value=value)
            for key, value in scalars.items()
        ]
        self._file.add_summary(self._summary(value=values), step)
