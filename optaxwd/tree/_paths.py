"""One canonical path per leaf, the same in every library's containers."""

import functools
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

Path: TypeAlias = tuple[str, ...]

# Packages, and modules of Flax, that define containers and arrays: these own nothing.
_PLAIN_PACKAGES = {"builtins", "jax", "jaxlib", "numpy", "optax"}
_PLAIN_MODULES = ("flax.core", "flax.nnx.statelib")

# Boxes around one array, with the names of its axes and the like, that are no part of a
# path. By name, because importing optaxwd must import none of these.
_BOXES = (
    ("flax.nnx", "Variable"),
    ("flax.core.meta", "AxisMetadata"),
    ("haliax", "NamedArray"),
)


class Leaf(NamedTuple):
    """A leaf and where it stands.

    Attributes:
      path: its canonical path, as patterns see it.
      value: the leaf itself.
      owner: name of the class of the nearest object above it that is not a plain
        container, such as ``"LayerNorm"``; ``None`` if there is none.
      empty: whether it is not a leaf but a node that holds nothing.
    """

    path: str
    value: Any
    owner: str | None = None
    empty: bool = False


class LeafPaths(list[str]):
    """A list of paths that prints one to a line."""

    def __str__(self) -> str:
        """Return the paths, one to a line."""
        return "\n".join(self)


def leaf_paths(params: Any) -> LeafPaths:
    """Return the path of every leaf, as the patterns of ``DecayRules`` see it.

    Components are joined by ``/``: keys of dicts, indices of lists and tuples, names of
    attributes. The trailing ``value`` of a Flax NNX ``Variable`` is left out, so that
    paths are the same when ``nnx.Optimizer`` initialises and when it updates. A Haiku
    key keeps its own slashes: ``mlp/~/linear_0/w``.

    Args:
      params: any pytree, also of ``jax.ShapeDtypeStruct``.

    Returns:
      A list of texts in JAX's leaf order; printed, one to a line.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> params = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}
      >>> print(optaxwd.leaf_paths(params))
      dense/bias
      dense/kernel

    References:
      JAX, `Working with pytrees <https://docs.jax.dev/en/latest/working-with-pytrees.html>`_,
      for key paths.
    """
    return LeafPaths(path_string(path) for path, _ in leaves_with_paths(params))


def path_string(path: Path) -> str:
    """Return ``path`` as text: ``('dense', 'kernel')`` is ``dense/kernel``."""
    return "/".join(path) or "(root)"


def is_inexact(leaf: Any) -> bool:
    """Return whether ``leaf`` is a floating-point or complex array or number."""
    return isinstance(leaf, (float, complex)) or is_inexact_array(leaf)


def is_inexact_array(leaf: Any) -> bool:
    """Return whether ``leaf`` is a floating-point or complex array, or its shape."""
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and _is_inexact_dtype(dtype)


@functools.lru_cache(maxsize=256)
def _is_inexact_dtype(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.inexact))


def leaves_with_paths(tree: Any, *, keep_empty: bool = False) -> list[tuple[Path, Any]]:
    """Return every leaf of ``tree`` with its canonical path, in JAX's leaf order.

    The trailing ``value`` of an NNX ``Variable`` is dropped: ``nnx.Optimizer`` calls
    ``init`` with ``Variable`` leaves and ``update`` with bare arrays, and both must
    give the same paths.

    Args:
      tree: any pytree.
      keep_empty: also list nodes that hold nothing (``None``, an empty dict,
        ``optax.MaskedNode``), each as one entry.

    Returns:
      A list of ``(path, leaf)``.
    """
    return [
        (tuple(map(_key_string, keys)), leaf)
        for keys, leaf in _leaves_with_keys(tree, keep_empty=keep_empty)
    ]


def described_leaves(tree: Any, *, keep_empty: bool = False) -> list[Leaf]:
    """Return every leaf of ``tree`` as a :class:`Leaf`, in JAX's leaf order."""
    owners: dict[tuple[Any, ...], tuple[Any, str | None]] = {(): (tree, _owner(tree))}
    return [
        Leaf(
            path_string(tuple(map(_key_string, keys))),
            leaf,
            _owner_above(keys[:-1], owners),
            keep_empty and _is_empty(leaf),
        )
        for keys, leaf in _leaves_with_keys(tree, keep_empty=keep_empty)
    ]


def _leaves_with_keys(tree: Any, *, keep_empty: bool) -> list[tuple[Any, Any]]:
    def stop(node: Any) -> bool:
        return _is_box(node) or (keep_empty and _is_empty(node))

    entries = []
    for keys, node in jax.tree_util.tree_flatten_with_path(tree, is_leaf=stop)[0]:
        if not _is_box(node):
            entries.append((keys, node))
            continue
        inside = jax.tree_util.tree_flatten_with_path(
            node, is_leaf=lambda x: keep_empty and _is_empty(x)
        )
        for inner_keys, leaf in inside[0]:
            entries.append((keys + inner_keys[1:], leaf))
    return entries


def _key_string(key: Any) -> str:
    if isinstance(key, jax.tree_util.DictKey):
        return str(key.key)
    return jax.tree_util.keystr((key,), simple=True)


def _is_empty(node: Any) -> bool:
    if hasattr(node, "dtype"):
        return False
    structure = jax.tree.structure(node)
    return structure.num_leaves == 0 and structure.num_nodes == 1


def _is_box(node: Any) -> bool:
    return _is_box_class(type(node))


@functools.lru_cache(maxsize=1024)
def _is_box_class(kind: type) -> bool:
    return any(
        base.__name__ == name and base.__module__.startswith(module)
        for base in kind.__mro__
        for module, name in _BOXES
    )


def _owner(node: Any) -> str | None:
    return _owner_name(type(node))


@functools.lru_cache(maxsize=1024)
def _owner_name(kind: type) -> str | None:
    """Return the name of a class of modules, ``None`` for a class of containers."""
    plain = issubclass(kind, (dict, list)) or kind is tuple
    plain = plain or kind.__module__.split(".")[0] in _PLAIN_PACKAGES
    plain = plain or kind.__module__.startswith(_PLAIN_MODULES)
    return None if plain else kind.__name__


def _owner_above(
    keys: tuple[Any, ...], owners: dict[tuple[Any, ...], tuple[Any, str | None]]
) -> str | None:
    """Return the owner of what stands at ``keys``, remembering nodes on the way."""
    if keys not in owners:
        _owner_above(keys[:-1], owners)
        parent, owner = owners[keys[:-1]]
        node = _child(parent, keys[-1])
        owners[keys] = (node, _owner(node) or owner)
    return owners[keys][1]


def _child(node: Any, key: Any) -> Any:
    """Return the child at a JAX key, or ``None`` where the key does not tell."""
    try:
        if isinstance(key, jax.tree_util.GetAttrKey):
            return getattr(node, key.name)
        if isinstance(key, jax.tree_util.DictKey):
            return node[key.key]
        if isinstance(key, jax.tree_util.SequenceKey):
            return node[key.idx]
        if isinstance(key, jax.tree_util.FlattenedIndexKey):
            return jax.tree.leaves(node, is_leaf=lambda x: x is not node)[key.key]
    except (AttributeError, KeyError, IndexError, TypeError):
        pass
    return None
