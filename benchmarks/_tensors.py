"""The same tensors for every candidate, made by NumPy."""

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

KINDS = ("kernel", "kernel", "embedding", "bias")
# Clipping to a norm of 1 leaves one tree alone and changes the other two by different
# factors; a common factor would be invisible after Adam.
NORMS = (0.5, 4.0, 1.5)
_COLUMNS = 256  # Whole blocks of 8-bit states.


class Tensors(NamedTuple):
    """Parameters and a few trees of gradients.

    Attributes:
      names: ``"0000/kernel"``, one per leaf.
      params: float32 arrays ``[rows, 256]``, one per leaf.
      grads: as many lists like ``params`` as there are ``NORMS``.
    """

    names: list[str]
    params: list[np.ndarray]
    grads: list[list[np.ndarray]]

    @property
    def count(self) -> int:
        """Number of parameters."""
        return sum(leaf.size for leaf in self.params)

    def rounded(self, dtype: str) -> "Tensors":
        """Return the values that a dtype can hold, in arrays of float32."""
        if dtype == "float32":
            return self
        kind = np.dtype(getattr(ml_dtypes, dtype))

        def cast(leaves: list[np.ndarray]) -> list[np.ndarray]:
            return [leaf.astype(kind).astype(np.float32) for leaf in leaves]

        return self._replace(
            params=cast(self.params), grads=[cast(grads) for grads in self.grads]
        )


def kind_of(name: str) -> str:
    """Return the kind of a leaf, the last part of its name."""
    return name.rpartition("/")[2]


def names_of(leaves: int) -> list[str]:
    """Return the names of that many leaves, in the order in which JAX sorts them."""
    return [f"{i:05d}/{KINDS[i % len(KINDS)]}" for i in range(leaves)]


def shape_of(total: int, leaves: int) -> tuple[int, int]:
    """Return the shape of each of equal leaves that have ``total`` entries or so."""
    return max(round(total / leaves / _COLUMNS), 1), _COLUMNS


def make_tensors(total: int, leaves: int, seed: int = 0) -> Tensors:
    """Return tensors with about ``total`` parameters in that many equal leaves."""
    rng = np.random.default_rng(seed)
    shape = shape_of(total, leaves)

    def normal(scale: float) -> list[np.ndarray]:
        factor = np.float32(scale)
        return [rng.standard_normal(shape, np.float32) * factor for _ in range(leaves)]

    root = (shape[0] * shape[1] * leaves) ** 0.5
    return Tensors(
        names_of(leaves), normal(1.0), [normal(norm / root) for norm in NORMS]
    )


def as_tree(names: list[str], leaves: list[Any]) -> dict[str, dict[str, Any]]:
    """Return leaves as a tree of two levels."""
    return {
        outer: {inner: leaf}
        for (outer, inner), leaf in zip(
            (name.split("/") for name in names), leaves, strict=True
        )
    }
