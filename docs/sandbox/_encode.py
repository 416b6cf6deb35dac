"""Arrays as the page carries them: 16 bits a number, differences, gzip, base64.

The error of θ is at most half of a step of its range, of which each method has its own,
and that of rates a 5000th of the rate. ``data.js`` reads the same layout.
"""

import base64
import gzip
from typing import Any

import numpy as np

from docs.sandbox._runs import Runs

_TOP = 2**16 - 1
# Decimal logarithms of the least and the largest rate; code 0 is for 0 and below.
RATE_RANGE = (-8.0, 2.0)


def encode(runs: Runs) -> tuple[dict[str, Any], str]:
    """Return what is needed to read the numbers, and the numbers."""
    others = tuple(axis for axis in range(runs.theta.ndim) if axis != 1)
    low, high = runs.theta.min(others), runs.theta.max(others)
    layout = {
        "shapes": {name: list(x.shape) for name, x in runs._asdict().items()},
        "theta_low": low.tolist(),
        "theta_step": ((high - low) / _TOP).tolist(),
        "rate_range": list(RATE_RANGE),
    }
    codes = [_codes(name, x, layout) for name, x in runs._asdict().items()]
    return layout, _pack([_in_order(x) for x in codes])


def decode(layout: dict[str, Any], text: str) -> Runs:
    """Return the runs that :func:`encode` was given, up to its error."""
    planes = np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8)
    low, high = planes.reshape(2, -1).astype(np.uint16)
    differences = low + (high << 8)
    found, at = [], 0
    for name, shape in layout["shapes"].items():
        size = int(np.prod(shape))
        part = differences[at : at + size].reshape(_order(shape))
        at += size
        codes = np.cumsum(part, axis=-1, dtype=np.uint16)
        found.append(_values(name, _in_order(codes), layout))
    return Runs(*found)


def theta_error(layout: dict[str, Any]) -> np.ndarray:
    """Return the largest error of θ, for each method."""
    return np.asarray(layout["theta_step"]) / 2


def rate_error(layout: dict[str, Any]) -> float:
    """Return the largest relative error of a rate."""
    low, high = layout["rate_range"]
    return 10 ** ((high - low) / (_TOP - 1) / 2) - 1


def _codes(name: str, values: np.ndarray, layout: dict[str, Any]) -> np.ndarray:
    if name == "theta":
        low, step = (_per_method(layout[key]) for key in ("theta_low", "theta_step"))
        return np.rint((values - low) / step).astype(np.uint16)
    low, high = layout["rate_range"]
    positive = values[values > 0]
    if positive.min() < 10**low or positive.max() > 10**high:
        raise ValueError(
            f"sandbox: rates must lie from 10**{low} to 10**{high}, got "
            f"{positive.min()} to {positive.max()}. Widen RATE_RANGE."
        )
    logs = np.log10(np.where(values > 0, values, 1.0))
    codes = 1 + np.rint((logs - low) / (high - low) * (_TOP - 1))
    return np.where(values > 0, codes, 0).astype(np.uint16)


def _values(name: str, codes: np.ndarray, layout: dict[str, Any]) -> np.ndarray:
    numbers = codes.astype(np.float64)
    if name == "theta":
        low, step = (_per_method(layout[key]) for key in ("theta_low", "theta_step"))
        return low + step * numbers
    low, high = layout["rate_range"]
    rates = 10 ** (low + (numbers - 1) / (_TOP - 1) * (high - low))
    return np.where(codes > 0, rates, 0.0)


def _pack(arrays: list[np.ndarray]) -> str:
    differences = [np.diff(x, axis=-1, prepend=np.uint16(0)).ravel() for x in arrays]
    numbers = np.concatenate(differences)
    planes = np.stack([numbers & 255, numbers >> 8]).astype(np.uint8)
    return base64.b64encode(gzip.compress(planes.tobytes(), 9, mtime=0)).decode()


def _in_order(codes: np.ndarray) -> np.ndarray:
    """Swap ratio and coordinate, there and back: along the ratio most codes repeat."""
    return np.swapaxes(codes, -2, -3)


def _order(shape: list[int]) -> list[int]:
    *outer, ratio, coordinate, point = shape
    return [*outer, coordinate, ratio, point]


def _per_method(values: list[float]) -> np.ndarray:
    return np.asarray(values).reshape(-1, *[1] * 6)
