"""Numbers of every size, and their neighbours in narrower floats by ml_dtypes."""

import ml_dtypes
import numpy as np

NARROW = {
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}


def numbers(size=200_000, seed=0):
    """Return float32 of every exponent, many in float16's range, and many ties."""
    random = np.random.default_rng(seed)
    anything = random.integers(0, 2**32, size, dtype=np.uint32)
    exponents = random.integers(127 - 30, 127 + 18, size, dtype=np.uint32)
    sign = random.integers(0, 2, size, dtype=np.uint32) << 31
    moderate = sign | exponents << 23 | random.integers(0, 2**23, size, dtype=np.uint32)
    ties = [
        moderate & ~np.uint32((2 << k) - 1) | np.uint32(1 << k) for k in (12, 15, 20)
    ]
    bits = [anything, moderate, moderate & np.uint32(0xFF800000), *ties]
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], np.float32)
    return np.concatenate([np.concatenate(bits).view(np.float32), special])


def bits(x):
    return np.asarray(x).view(np.uint32)


def cast(x, dtype):
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(dtype)


def neighbours(x, dtype):
    """Return the largest number of ``dtype`` <= x and the smallest >= x, in float64."""
    near = cast(x, dtype)
    wide = near.astype(np.float64)
    info = ml_dtypes.finfo(dtype)
    with np.errstate(all="ignore"):
        up = np.nextafter(near, info.dtype.type(np.inf)).astype(np.float64)
        down = np.nextafter(near, info.dtype.type(-np.inf)).astype(np.float64)
    return np.where(wide <= x, wide, down), np.where(wide >= x, wide, up)
