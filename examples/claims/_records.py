"""Records of experiments: one JSON file each, enough to judge and draw again."""

import hashlib
import importlib.metadata
import inspect
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from examples.claims._claim import Claim, Size

_PACKAGES = ("optaxwd", "jax", "optax", "numpy", "scipy", "scikit-learn")


def path_of(claim: Claim, size: Size, folder: pathlib.Path) -> pathlib.Path:
    """Return where the record of an experiment is kept."""
    return folder / f"{claim.name.lower()}_{size}.json"


def code(claim: Claim) -> str:
    """Return a fingerprint of the experiment, of what all share, and of the library."""
    fingerprint = hashlib.sha256(importlib.metadata.version("optaxwd").encode())
    shared = sorted(pathlib.Path(__file__).parent.glob("_*.py"))
    for path in (pathlib.Path(inspect.getfile(claim.run)), *shared):
        fingerprint.update(path.read_bytes())
    return fingerprint.hexdigest()[:16]


def as_lists(values: Any) -> Any:
    """Return an array as lists of numbers, to seven decimals."""
    return np.round(np.asarray(values, np.float64), 7).tolist()


def make(
    claim: Claim, size: Size, folder: pathlib.Path, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Run an experiment and keep its record."""
    folder.mkdir(parents=True, exist_ok=True)
    start, made_by = time.monotonic(), code(claim)
    numbers = claim.run(size, progress)
    record = {
        "claim": claim.name,
        "size": size,
        "settings": claim.settings,
        "code": made_by,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "seconds": round(time.monotonic() - start, 1),
        "numbers": numbers,
    }
    text = json.dumps(record, indent=1, allow_nan=False)
    part = path_of(claim, size, folder).with_suffix(".part")
    part.write_text(text)
    part.rename(path_of(claim, size, folder))
    return record


def read(claim: Claim, size: Size, folder: pathlib.Path) -> dict[str, Any] | None:
    """Return the record of an experiment, ``None`` if this code has not made one."""
    path = path_of(claim, size, folder)
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text())
    except json.JSONDecodeError:
        return None
    expected = {"claim": claim.name, "size": size, "code": code(claim)}
    known = isinstance(record, dict) and "numbers" in record
    return record if known and expected.items() <= record.items() else None
