"""A tree laid over another by canonical paths."""

from collections.abc import Collection, Container
from typing import Any

import jax

from optaxwd.tree._paths import Path, leaves_with_paths, path_string


def broadcast_prefix(prefix: Any, tree: Any, *, name: str) -> Any:
    """Return a tree shaped like ``tree`` whose leaves are those of ``prefix``.

    Each leaf of ``prefix`` covers all leaves of ``tree`` at or below its path. Paths
    are compared, not node types, so a plain dict may cover a Flax ``State`` and a
    ``State`` of ``Variable`` one of bare arrays. Below an empty node of ``tree``, such
    as the ``optax.MaskedNode`` that ``optax.partition`` puts for another group,
    ``prefix`` may have anything.

    Args:
      prefix: a tree with the structure of ``tree``, or a prefix of it.
      tree: the tree to cover.
      name: what ``prefix`` is, for the messages.

    Returns:
      A tree with the structure of ``tree``.

    Raises:
      ValueError: if a leaf of ``tree`` is not covered, or a leaf of ``prefix``
        covers nothing; the message names the path.
    """
    cover = dict(leaves_with_paths(prefix))
    used, empty = set(), set()
    values = []
    for path, leaf in leaves_with_paths(tree, keep_empty=True):
        above = _covering_path(path, cover)
        used.add(above)
        if jax.tree.structure(leaf).num_leaves == 0:
            empty.add(path)
            continue
        if above is None:
            raise ValueError(
                f"{name} does not cover the parameter '{path_string(path)}'; it has "
                f"{_some_paths(cover)}. Give it the structure of the parameters, or a "
                "prefix of it."
            )
        values.append(cover[above])
    for path in cover:
        if path not in used and _covering_path(path, empty) is None:
            raise ValueError(
                f"{name} has a leaf at '{path_string(path)}', where there is no "
                f"parameter; the parameters are "
                f"{_some_paths([path for path, _ in leaves_with_paths(tree)])}. Give "
                "it their structure, or a prefix of it."
            )
    return jax.tree.unflatten(jax.tree.structure(tree), values)


def _covering_path(path: Path, cover: Container[Path]) -> Path | None:
    for length in range(len(path), -1, -1):
        if path[:length] in cover:
            return path[:length]
    return None


def _some_paths(paths: Collection[Path], limit: int = 8) -> str:
    shown = [f"'{path_string(path)}'" for path in list(paths)[:limit]]
    more = len(paths) - len(shown)
    return (", ".join(shown) or "no leaf") + (f" and {more} more" if more else "")
