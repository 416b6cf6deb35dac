"""A map over trees that gives several trees at once."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax


@dataclasses.dataclass(frozen=True)
class _Row:
    """What one leaf gives; not a pytree, so that it is a leaf itself."""

    values: tuple[Any, ...]


def map_to_trees(
    function: Callable[..., tuple[Any, ...]],
    number: int,
    tree: Any,
    *rest: Any,
    is_leaf: Callable[[Any], bool] | None = None,
) -> list[Any]:
    """Return the ``number`` trees of what ``function`` returns for every leaf.

    The trees and ``is_leaf`` are those of :func:`jax.tree.map`.
    """
    rows = jax.tree.map(
        lambda *leaves: _Row(function(*leaves)), tree, *rest, is_leaf=is_leaf
    )
    return [jax.tree.map(lambda row, i=i: row.values[i], rows) for i in range(number)]
