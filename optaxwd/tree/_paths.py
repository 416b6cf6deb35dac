"""One canonical path per leaf, the same in every library's containers."""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

Path: TypeAlias = tuple[str, ...]


def path_string(path: Path) -> str:
    """Return ``path`` as text: ``('dense', 'kernel')`` is ``dense/kernel``."""
    return "/".join(path) or "(root)"


def is_inexact(leaf: Any) -> bool:
    """Return whether ``leaf`` is a floating-point or complex array or number."""
    if isinstance(leaf, (float, complex)):
        return True
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.inexact)


def leaves_with_paths(tree: Any, *, keep_empty: bool = False) -> list[tuple[Path, Any]]:
    """Return every leaf of ``tree`` with its canonical path, in JAX's leaf order.

    The trailing ``value`` of an NNX ``Variable`` is dropped: ``nnx.Optimizer`` calls
    ``init`` with ``Variable`` leaves and ``update`` with bare arrays, and both must
    give the same paths.

    Args:
      tree: any pytree.
      keep_empty: also list nodes that hold no leaf (``None``, an empty dict,
        ``optax.MaskedNode``), each as one entry.

    Returns:
      A list of ``(path, leaf)``.
    """

    def stop(node: Any) -> bool:
        return _is_variable(node) or (keep_empty and _is_empty(node))

    entries = []
    for keys, node in jax.tree_util.tree_flatten_with_path(tree, is_leaf=stop)[0]:
        path = tuple(map(_key_string, keys))
        if not _is_variable(node):
            entries.append((path, node))
            continue
        for inner_keys, leaf in jax.tree_util.tree_flatten_with_path(node)[0]:
            entries.append((path + tuple(map(_key_string, inner_keys[1:])), leaf))
    return entries


def _key_string(key: Any) -> str:
    return jax.tree_util.keystr((key,), simple=True)


def _is_empty(node: Any) -> bool:
    return jax.tree.structure(node).num_leaves == 0


def _is_variable(node: Any) -> bool:
    # By name, because importing optaxwd must not import flax.
    return any(
        base.__name__ == "Variable" and base.__module__.startswith("flax.nnx")
        for base in type(node).__mro__
    )
