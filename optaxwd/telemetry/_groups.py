"""Which leaves are summed together, and under which name."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax

from optaxwd import tree
from optaxwd.rules import DecayRules

Groups: TypeAlias = DecayRules | Callable[[str, Any], str | None] | None

_OWNER = "record_decay"
# Tells a name from an empty node of the parameters.
_MARK = "group="


def check_groups(groups: Any) -> None:
    """Raise unless ``groups`` is one of the three that are known."""
    if groups is None or isinstance(groups, DecayRules) or callable(groups):
        return
    raise TypeError(
        f"{_OWNER}: groups must be None (every leaf by itself), a DecayRules (a group "
        "for each rule) or a function (path, leaf) -> name, got "
        f"{groups!r} of type {type(groups).__name__}."
    )


def group_names(groups: Groups, params: Any) -> list[str | None]:
    """Return the group of every leaf, in JAX's leaf order; ``None`` for no group.

    What is not a floating-point or complex array is in none.
    """
    leaves = tree.leaves_with_paths(params)
    if isinstance(groups, DecayRules):
        texts = [pattern.text for pattern, _ in groups.rules]
        names = [
            "default" if decision.rule is None else texts[decision.rule]
            for decision in groups.decide(params, check=False)
        ]
    elif groups is None:
        names = [tree.path_string(path) for path, _ in leaves]
    else:
        names = [
            _checked(groups(tree.path_string(path), leaf), tree.path_string(path))
            if tree.is_inexact(leaf)
            else None
            for path, leaf in leaves
        ]
    return [
        name if tree.is_inexact(leaf) else None
        for name, (_, leaf) in zip(names, leaves, strict=True)
    ]


def names_tree(groups: Groups, params: Any) -> Any:
    """Return a tree like ``params`` that names the group of every leaf.

    The names are keys of dicts that hold nothing: a state can hold no text. In the
    shape of the parameters it is what :func:`optax.tree.map_params` expects.
    """
    names = group_names(groups, params)
    ends = [{} if name is None else {_MARK + name: ()} for name in names]
    return jax.tree.unflatten(jax.tree.structure(params), ends)


def names_in(tree_of_names: Any) -> list[str]:
    """Return the names of the groups in sorted order, in which values stand."""
    ends = tree.leaves_with_paths(tree_of_names, keep_empty=True)
    names = {path[-1] for path, _ in ends if path and path[-1].startswith(_MARK)}
    return sorted(name.removeprefix(_MARK) for name in names)


def _checked(name: Any, path: str) -> str | None:
    if name is None or (isinstance(name, str) and name):
        return name
    raise TypeError(
        f"{_OWNER}: groups must return the name of a group, or None for a leaf that is "
        f"in none, got {name!r} for '{path}'."
    )
