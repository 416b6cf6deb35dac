"""Random numbers whose key is in the state: one stream per step and leaf."""

import dataclasses
import zlib
from typing import Any

import jax
import jax.numpy as jnp

from optaxwd import tree
from optaxwd._checks import is_int


@dataclasses.dataclass(frozen=True)
class KeySource:
    """The key of a transform, which its state keeps as plain numbers.

    Checkpoints know arrays of numbers, and not all of them know PRNG keys. The noise of
    a leaf is that of the key, the step and the path of the leaf: it does not depend on
    what other leaves there are, nor on how many devices hold it.

    Attributes:
      key: an integer, or a PRNG key of either kind.
      impl: the algorithm of a new-style key; ``None``: JAX's default.
    """

    key: Any
    impl: Any = None

    @classmethod
    def build(cls, key: Any, owner: str) -> "KeySource":
        """Return the source of ``key``, where ``None`` stands for 0, or raise."""
        if key is None:
            return cls(0)
        if is_int(key):
            return cls(key)
        if isinstance(key, jax.Array) and jnp.issubdtype(
            key.dtype, jax.dtypes.prng_key
        ):
            if key.ndim == 0:
                return cls(key, str(jax.random.key_impl(key)))
        elif getattr(key, "dtype", None) == jnp.uint32 and getattr(key, "ndim", 0) == 1:
            return cls(key)
        raise ValueError(
            f"{owner}: key must be an integer or one PRNG key, got {key!r}. Pass "
            "jax.random.key(0)."
        )

    def init(self) -> jax.Array:
        """Return what the state keeps: ``[n]`` uint32."""
        if self.impl is not None:
            return jax.random.key_data(self.key)
        if is_int(self.key):
            return jax.random.key_data(jax.random.key(self.key))
        return jnp.asarray(self.key)

    def keys(self, data: jax.Array, count: jax.Array, like: Any) -> Any:
        """Return a tree like ``like`` of the keys of one step.

        Args:
          data: what the state keeps.
          count: the step.
          like: a tree; its paths name the streams.
        """
        step = jax.random.fold_in(jax.random.wrap_key_data(data, impl=self.impl), count)
        names = [tree.path_string(path) for path, _ in tree.leaves_with_paths(like)]
        return jax.tree.unflatten(
            jax.tree.structure(like),
            [jax.random.fold_in(step, zlib.crc32(name.encode())) for name in names],
        )
