"""Scalars and files, as the writers need them."""

import json
import math
import mmap
import os
import pathlib
from typing import Any

import jax
import numpy as np

from optaxwd._checks import is_known, is_static_number


def number(key: Any, value: Any, owner: str) -> float:
    """Return a scalar as a float, or raise unless it and its name can be written."""
    if not isinstance(key, str):
        raise TypeError(
            f"{owner}: names must be texts, got {key!r} of type {type(key).__name__}."
        )
    if not is_known(value):
        raise TypeError(
            f"{owner}: {key!r} must be a number, got the traced {value!r}. Write "
            "outside of `jax.jit`."
        )
    scalar = isinstance(value, jax.Array) and value.ndim == 0 and value.dtype != bool
    if scalar or is_static_number(value):
        kind = getattr(value, "dtype", type(value))
        if not np.issubdtype(kind, np.complexfloating):
            return float(value)
    raise TypeError(
        f"{owner}: {key!r} must be a real number or a scalar array of one, got "
        f"{value!r} of type {type(value).__name__}."
    )


def resolved(path: Any, name: str) -> pathlib.Path:
    """Return an absolute path, which stays where it is when the program moves."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"{name} must be a path, got {path!r} of type {type(path).__name__}."
        )
    return pathlib.Path(path).resolve()


def append(path: pathlib.Path, text: str) -> None:
    """Add ``text`` to a file, which is closed again at once."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        file.write(text)


def ends(path: pathlib.Path) -> tuple[bytes, int, bytes]:
    """Return the first byte, and where and what the text after the last newline is."""
    if not path.stat().st_size:
        return b"", 0, b""
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
    ):
        start = text.rfind(b"\n") + 1
        return text[:1], start, text[start:]


def parsed(line: bytes) -> dict[str, float] | None:
    """Return the numbers of a JSON object, ``None`` if the line is anything else."""
    try:
        record = json.loads(line)
        return {
            key: math.nan if value is None else float(value)
            for key, value in record.items()
        }
    except (AttributeError, TypeError, ValueError):
        return None
