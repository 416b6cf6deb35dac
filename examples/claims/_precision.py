"""Run in float64 without changing it for others."""

import contextlib
import importlib
from typing import Any

import jax


def float64() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which JAX computes in float64."""
    current = getattr(jax, "enable_x64", None)
    if current is None:  # before JAX 0.8
        current = importlib.import_module("jax.experimental").enable_x64
    return current(True)
