"""Ways to store the moments in a state: 8-bit codes, or bfloat16.

Each stands for itself in the state beside the leaf that it stores: a note, which tells
whether the leaf is stored otherwise than its transformation made it, and how.
"""

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import optax

from optaxwd.numerics import dequantize, quantize, round_stochastic, scale_shape, widen


class Stored(NamedTuple):
    """A leaf as it is stored.

    Attributes:
      leaf: an array.
      note: what stands for it beside the state.
      key: to round the next one at random; ``None``: to the nearest.
    """

    leaf: Any
    note: Any
    key: Any


class Storage(Protocol):
    """How leaves are stored."""

    has_kernels: ClassVar[bool]

    @property
    def is_random(self) -> bool:
        """Whether :meth:`store` draws random numbers."""
        ...

    def accepts(self, leaf: Any) -> bool:
        """Return whether an array can be stored so."""
        ...

    def start(self, leaf: Any, chosen: bool) -> tuple[Any, Any]:
        """Return a leaf of the first state as it is stored, and its note."""
        ...

    def holds(self, stored: Any, note: Any) -> bool:
        """Return whether a leaf is stored so, and not as its transformation made it."""
        ...

    def load(self, stored: Any, note: Any) -> Any:
        """Return the leaf that the transformation gets to see."""
        ...

    def store(self, leaf: Any, note: Any, key: Any) -> tuple[Any, Any]:
        """Return a leaf as it is stored and its note, of the dtypes that they had."""
        ...


@dataclasses.dataclass(frozen=True)
class Int8:
    """Codes of 8 bits; the note is the scales, in the dtype that the leaf had.

    Attributes:
      is_random: whether to round at random, and not to the nearest.
    """

    is_random: bool
    has_kernels: ClassVar[bool] = True

    def accepts(self, leaf: Any) -> bool:
        """Return whether ``leaf`` is float32 or narrower, and made of whole blocks."""
        is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
        is_suited = is_float and leaf.dtype.itemsize in (2, 4)
        return is_suited and scale_shape(leaf.shape) is not None

    def start(self, leaf: Any, chosen: bool) -> tuple[Any, Any]:
        """Quantize what is chosen."""
        return _quantize(leaf, leaf.dtype) if chosen else (leaf, optax.MaskedNode())

    def holds(self, stored: Any, note: Any) -> bool:
        """Return whether there are scales."""
        del stored
        return not isinstance(note, optax.MaskedNode)

    def load(self, stored: Any, note: Any) -> Any:
        """Return numbers of the dtype of the scales."""
        return dequantize(stored, widen(note)).astype(note.dtype)

    def store(self, leaf: Any, note: Any, key: Any) -> tuple[Any, Any]:
        """Round to a code."""
        return _quantize(leaf, note.dtype, key)


class BFloat16:
    """Numbers in bfloat16, rounded at random.

    Those that their transformation keeps in bfloat16 itself are noted by an
    ``optax.EmptyState``, all others by an ``optax.MaskedNode``, which is what trees of
    shardings are mapped over notes with.
    """

    is_random = True
    has_kernels: ClassVar[bool] = False

    def accepts(self, leaf: Any) -> bool:
        """Return whether ``leaf`` is float32."""
        return leaf.dtype == jnp.float32

    def start(self, leaf: Any, chosen: bool) -> tuple[Any, Any]:
        """Round what is chosen to the nearest: mostly it is 0."""
        if getattr(leaf, "dtype", None) == jnp.bfloat16:
            return leaf, optax.EmptyState()
        stored = leaf.astype(jnp.bfloat16) if chosen else leaf
        return stored, optax.MaskedNode()

    def holds(self, stored: Any, note: Any) -> bool:
        """Return whether this is in bfloat16, and was not before."""
        is_own = isinstance(note, optax.EmptyState)
        return getattr(stored, "dtype", None) == jnp.bfloat16 and not is_own

    def load(self, stored: Any, note: Any) -> Any:
        """Return float32."""
        del note
        return stored.astype(jnp.float32)

    def store(self, leaf: Any, note: Any, key: Any) -> tuple[Any, Any]:
        """Round up or down, with the leaf for a mean."""
        rounded = round_stochastic(key, leaf.astype(jnp.float32), jnp.bfloat16)
        return rounded.astype(jnp.bfloat16), note


Compression: TypeAlias = Literal["int8", "int8_stochastic", "bfloat16"]

STORAGES: dict[Compression, Storage] = {
    "int8": Int8(is_random=False),
    "int8_stochastic": Int8(is_random=True),
    "bfloat16": BFloat16(),
}


def _quantize(leaf: Any, dtype: Any, key: Any = None) -> tuple[jax.Array, jax.Array]:
    # The largest of a block is a number of that dtype, so nothing is lost at the end.
    codes, scales = quantize(widen(leaf.astype(dtype)), key)
    return codes, scales.astype(dtype)
