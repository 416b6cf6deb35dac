"""The leaves of the audited parameters, and small stand-ins for them to probe."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optaxwd.auditor._errors import AuditError
from optaxwd.tree import described_leaves, is_inexact, is_inexact_array

# Axes are cut to these lengths, or one less; 128, because Adafactor factors its second
# moment only from there on.
LEVELS = (32, 129)
# Below this a leaf is probed as it is.
SMALL = 4096
# Above this, all leaves together, full shapes are not probed.
FULL_LIMIT = 2**18
# Of larger leaves only so many entries are watched.
WATCHED = 1024


@dataclasses.dataclass(frozen=True)
class ProbeLeaf:
    """One leaf: what it is, and the shape in which it is probed.

    Attributes:
      path: its canonical path.
      owner: class of the module that holds it, if any.
      shape: its own shape.
      dtype: its own dtype; ``None`` for what is not a parameter.
      probe_shape: the shape probed.
      value: what it holds; only its shape and dtype may be known.
    """

    path: str
    owner: str | None
    shape: tuple[int, ...]
    dtype: Any
    probe_shape: tuple[int, ...]
    value: Any

    @property
    def is_parameter(self) -> bool:
        """Whether it is a floating-point or complex array or number."""
        return self.dtype is not None

    @property
    def is_complex(self) -> bool:
        """Whether its entries are complex."""
        return self.is_parameter and bool(
            jnp.issubdtype(self.dtype, jnp.complexfloating)
        )

    @property
    def double(self) -> Any:
        """The dtype in which laws are told."""
        return np.complex128 if self.is_complex else np.float64

    @property
    def size(self) -> int:
        """Number of real numbers probed: two for each complex entry."""
        return int(np.prod(self.probe_shape)) * (2 if self.is_complex else 1)

    @property
    def watched(self) -> slice:
        """Which of the numbers probed are looked at."""
        return slice(None, None, -(-self.size // WATCHED) or 1)

    def from_reals(self, reals: np.ndarray) -> np.ndarray:
        """Return ``reals`` as an array of the probed shape, in double precision."""
        reals = np.ascontiguousarray(reals, np.float64)
        array = reals.view(np.complex128) if self.is_complex else reals
        return array.reshape(self.probe_shape)

    def to_reals(self, array: Any) -> np.ndarray:
        """Return ``array`` as a vector of real numbers, in double precision."""
        array = np.asarray(array)
        if self.is_complex:
            return array.astype(np.complex128).ravel().view(np.float64)
        if np.iscomplexobj(array):
            raise AuditError(f"the update of '{self.path}', a real leaf, is complex.")
        return array.astype(np.float64).ravel()


@dataclasses.dataclass(frozen=True)
class ProbeTree:
    """All leaves, in JAX's order, with the structure they came in."""

    structure: Any
    all_leaves: tuple[ProbeLeaf, ...]

    @property
    def leaves(self) -> list[ProbeLeaf]:
        """The leaves that are parameters."""
        return [leaf for leaf in self.all_leaves if leaf.is_parameter]

    @property
    def reduced(self) -> bool:
        """Whether any leaf is probed in a smaller shape than its own."""
        return any(leaf.shape != leaf.probe_shape for leaf in self.all_leaves)

    @property
    def size(self) -> int:
        """Number of real numbers probed."""
        return sum(leaf.size for leaf in self.leaves)

    def build(self, parameters: list[Any], *, gradient: bool = False) -> Any:
        """Return the tree with ``parameters`` in their places.

        What is not a parameter is passed as it is, and has zeros for a gradient.
        """
        rest = iter(parameters)
        values = [
            next(rest) if leaf.is_parameter else _other(leaf.value, gradient)
            for leaf in self.all_leaves
        ]
        return jax.tree.unflatten(self.structure, values)

    def with_level(self, level: int) -> "ProbeTree":
        """Return the tree with large leaves cut to ``level`` along each axis."""
        leaves = [
            dataclasses.replace(leaf, probe_shape=_cut(leaf.shape, level))
            for leaf in self.all_leaves
        ]
        return ProbeTree(self.structure, tuple(leaves))


def probe_tree(params: Any) -> ProbeTree:
    """Return the leaves of ``params``, which may be shapes only."""
    described = described_leaves(params)
    paths = _distinct([leaf.path for leaf in described])
    leaves = [
        ProbeLeaf(
            path,
            leaf.owner,
            tuple(getattr(leaf.value, "shape", ())),
            _dtype(leaf.value),
            tuple(getattr(leaf.value, "shape", ())),
            leaf.value,
        )
        for path, leaf in zip(paths, described, strict=True)
    ]
    for leaf in leaves:
        _check(leaf)
    if not any(leaf.is_parameter for leaf in leaves):
        raise AuditError(
            f"params has no floating-point leaf, got {_shortened(params)}. Pass the "
            "tree of parameters that the optimizer updates."
        )
    return ProbeTree(jax.tree.structure(params), tuple(leaves))


def sample(leaf: ProbeLeaf) -> np.ndarray | None:
    """Return the first entries of what ``leaf`` holds, ``None`` if not to be had."""
    value = leaf.value
    if isinstance(value, jax.ShapeDtypeStruct):
        return None
    if not getattr(value, "is_fully_addressable", True):
        return None
    corner = tuple(slice(0, length) for length in leaf.probe_shape)
    array = np.asarray(value[corner] if leaf.shape else value)
    return leaf.to_reals(array)


def _dtype(value: Any) -> Any:
    if is_inexact_array(value):
        return np.dtype(value.dtype)
    if is_inexact(value):
        return np.dtype(np.complex64 if isinstance(value, complex) else np.float32)
    return None


def _distinct(paths: list[str]) -> list[str]:
    """Return ``paths`` with a number after those that came before."""
    seen: dict[str, int] = {}
    distinct = []
    for path in paths:
        seen[path] = seen.get(path, 0) + 1
        distinct.append(path if seen[path] == 1 else f"{path} ({seen[path]})")
    return distinct


def _check(leaf: ProbeLeaf) -> None:
    """Raise if the leaf is neither a parameter nor an array of integers or bools."""
    if leaf.is_parameter or isinstance(leaf.value, (int, np.generic)):
        return
    dtype = getattr(leaf.value, "dtype", None)
    if dtype is None or jnp.issubdtype(dtype, jax.dtypes.extended):
        what = type(leaf.value).__name__ if dtype is None else str(dtype)
        raise AuditError(
            f"params has a leaf at '{leaf.path}' that no optimizer can update, of type "
            f"{what}. Pass the parameters only: `nnx.state(model, nnx.Param)`, "
            "`eqx.filter(model, eqx.is_inexact_array)`."
        )


def _cut(shape: tuple[int, ...], level: int) -> tuple[int, ...]:
    """Return ``shape`` with axes cut to ``level``, stacked ones to fewer.

    Of unequal axes the shorter stay shorter: some optimizers transpose by that.
    """
    if math.prod(shape) <= SMALL:
        return shape
    longest = max(shape)
    cut = [min(length, level if length == longest else level - 1) for length in shape]
    # Leading axes first: they count layers, heads or taps, the last two are matrices.
    for axis in range(len(cut)):
        while math.prod(cut) > level * level and cut[axis] > 2:
            cut[axis] = max(2, cut[axis] // 2)
    return tuple(cut)


def _other(value: Any, gradient: bool) -> Any:
    if isinstance(value, jax.ShapeDtypeStruct):
        return jnp.zeros(value.shape, value.dtype)
    return jax.tree.map(np.zeros_like, value) if gradient else value


def _shortened(value: Any, limit: int = 80) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[:limit] + "…"
