"""The learning rate and λ that a state says were used last."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax

from optaxwd.tree import Path

# By hyper-parameter: the field of a recorder, and that of a stage of this library.
_FIELDS = {
    "learning_rate": ("recorded_learning_rate", "current_learning_rate"),
    "weight_decay": ("recorded_weight_decay", "current_weight_decay"),
}
# Trees like the parameters or like another state, where nothing new is to be found.
_CLOSED = ("baseline_state", "measures", "recorded_groups", "mu", "nu", "anchor")


class Node(NamedTuple):
    """A part of a state, and where it stands.

    Attributes:
      path: keys and field names from the root.
      fields: what it holds, by name.
      is_tuple: whether it is a named tuple, so that the names are surely not those of
        parameters.
    """

    path: Path
    fields: Mapping[str, Any]
    is_tuple: bool


def nodes(state: Any, path: Path = ()) -> Iterator[Node]:
    """Yield every part of a state that has names for its fields, outer ones first.

    What a checkpoint restored without a target has in place of a named tuple is a dict,
    and so are parameters, whose names may be any.
    """
    fields = _fields(state)
    if fields is None:
        for key, child in _children(state):
            yield from nodes(child, (*path, key))
        return
    yield Node(path, fields, isinstance(state, tuple))
    for name, child in fields.items():
        if name not in _CLOSED:
            yield from nodes(child, (*path, name))


def current_rates(state: Any, name: str) -> list[tuple[Path, Any]]:
    """Return where a hyper-parameter is found in a state, and its value there.

    A recorder that was told the value stands for all inside of it, and so does
    ``optax.inject_hyperparams``.

    Args:
      state: of an optimizer, or anything that contains one.
      name: ``"learning_rate"``, ``"weight_decay"``, or that of a hyper-parameter.
    """
    found: list[tuple[Path, Any]] = []
    for path, fields, is_tuple in nodes(state):
        if any(path[: len(outer)] == outer for outer, _ in found):
            continue
        value = hyperparameters(fields).get(name)
        for field in _FIELDS.get(name, ()):
            found_here = fields.get(field)
            is_scalar = getattr(found_here, "ndim", 0) == 0
            if value is None and (is_tuple or is_scalar):
                value = found_here
        if value is not None:
            found.append((path, value))
    return found


def hyperparameters(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what ``optax.inject_hyperparams`` keeps, if these are its fields."""
    injected = fields.get("hyperparams")
    if isinstance(injected, Mapping) and "inner_state" in fields:
        return injected
    return {}


def _fields(node: Any) -> Mapping[str, Any] | None:
    names = getattr(node, "_fields", None)
    if isinstance(node, tuple) and names is not None:
        return dict(zip(names, node, strict=True))
    # What a checkpoint without a target makes of such a tuple.
    if isinstance(node, Mapping) and all(isinstance(key, str) for key in node):
        return node
    return None


def _children(node: Any) -> list[tuple[str, Any]]:
    """Return the children of any other container with their keys."""
    if node is None or hasattr(node, "dtype"):
        return []
    pairs, structure = jax.tree_util.tree_flatten_with_path(
        node, is_leaf=lambda x: x is not node
    )
    if jax.tree_util.treedef_is_leaf(structure):
        return []
    return [(jax.tree_util.keystr(keys, simple=True), x) for keys, x in pairs]
