"""Records of experiments: one JSON file each, enough to judge and draw again."""

import importlib.metadata
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

from examples.claims._claim import Claim, Size

_PACKAGES = ("optaxwd", "jax", "optax", "numpy", "scipy", "scikit-learn")


def path_of(claim: Claim, size: Size, folder: pathlib.Path) -> pathlib.Path:
    """Return where the record of an experiment is kept."""
    return folder / f"{claim.name.lower()}_{size}.json"


def make(
    claim: Claim, size: Size, folder: pathlib.Path, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Run an experiment and keep its record."""
    start = time.monotonic()
    numbers = claim.run(size, progress)
    record = {
        "claim": claim.name,
        "size": size,
        "settings": claim.settings,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "seconds": round(time.monotonic() - start, 1),
        "numbers": numbers,
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, allow_nan=False)
    part = path_of(claim, size, folder).with_suffix(".part")
    part.write_text(text)
    part.rename(path_of(claim, size, folder))
    return record


def read(claim: Claim, size: Size, folder: pathlib.Path) -> dict[str, Any] | None:
    """Return the record of an experiment, ``None`` if there is none of this library.

    Nor if the settings have changed since.
    """
    path = path_of(claim, size, folder)
    if not path.exists():
        return None
    record = json.loads(path.read_text())
    same_library = record["versions"]["optaxwd"] == importlib.metadata.version(
        "optaxwd"
    )
    same_settings = record["settings"] == json.loads(json.dumps(claim.settings))
    return record if same_library and same_settings else None
