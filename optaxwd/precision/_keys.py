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
      key: an integer, or the data of a PRNG key.
      impl: the algorithm of the key.
    """

    key: Any
    impl: str

    @classmethod
    def build(cls, key: Any, owner: str) -> "KeySource":
        """Return the source of ``key``, where ``None`` stands for 0, or raise."""
        if key is None or is_int(key):
            return cls(key or 0, _default_impl())
        dtype, ndim = getattr(key, "dtype", None), getattr(key, "ndim", None)
        if dtype is not None and ndim == 0:
            if jnp.issubdtype(dtype, jax.dtypes.prng_key):
                return cls(jax.random.key_data(key), str(jax.random.key_impl(key)))
            if jnp.issubdtype(dtype, jnp.integer):
                return cls(key, _default_impl())
        if dtype == jnp.uint32 and ndim == 1:
            return cls(key, _impl_of(key, owner))
        raise ValueError(
            f"{owner}: key must be an integer or one PRNG key, got {key!r}. Pass "
            "jax.random.key(0)."
        )

    def init(self) -> jax.Array:
        """Return what the state keeps: ``[n]`` uint32, a buffer of its own."""
        if jnp.ndim(self.key) == 0:
            return jax.random.key_data(jax.random.key(self.key, impl=self.impl))
        return jnp.array(self.key, copy=True)

    def keys(self, data: jax.Array, count: jax.Array, like: Any, stream: str) -> Any:
        """Return a tree like ``like`` of the keys of one step.

        Args:
          data: what the state keeps.
          count: the step.
          like: a tree; its paths name the arrays that noise is for.
          stream: what kind of arrays; with the same paths others get other noise.
        """
        step = jax.random.fold_in(jax.random.wrap_key_data(data, impl=self.impl), count)
        paths = [tree.path_string(path) for path, _ in tree.leaves_with_paths(like)]
        names = [zlib.crc32(f"{stream}:{path}".encode()) for path in paths]
        return jax.tree.unflatten(
            jax.tree.structure(like), [jax.random.fold_in(step, n) for n in names]
        )


def _default_impl() -> str:
    config: Any = jax.config  # whose type does not know its options
    return config.jax_default_prng_impl


def _impl_of(key: Any, owner: str) -> str:
    """Return the algorithm of an old-style key, which is JAX's default, or raise."""
    impl = _default_impl()
    length = jax.random.key_data(jax.random.key(0, impl=impl)).shape[0]
    if key.shape[0] != length:
        raise ValueError(
            f"{owner}: key must be a PRNG key of JAX's default {impl!r}, which has "
            f"{length} numbers, got {key.shape[0]}. Pass jax.random.key(0, impl=...)."
        )
    return impl
