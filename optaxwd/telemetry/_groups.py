"""Which leaves are summed together, and under which name."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from optaxwd import tree
from optaxwd.rules import DecayRules

Groups: TypeAlias = DecayRules | Callable[[str, Any], str | None] | None

_OWNER = "record_decay"


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


def names_of(groups: Groups, params: Any) -> Any:
    """Return the names of all groups as the keys of a dict that holds nothing.

    A state can hold no text. Without parameters it is a number, which is what
    :func:`optax.tree.map_params` can lay over any names: the parameters that it asks
    with would stand for arrays that match them.
    """
    if not jax.tree.leaves(params):
        return jnp.zeros([], jnp.int32)
    return dict.fromkeys(sorted({x for x in group_names(groups, params) if x}), ())


def names_in(names: Any) -> list[str]:
    """Return the names that a state keeps, in the order in which values stand."""
    return sorted(names) if isinstance(names, Mapping) else []


def _checked(name: Any, path: str) -> str | None:
    if name is None or (isinstance(name, str) and name):
        return name
    raise TypeError(
        f"{_OWNER}: groups must return the name of a group, or None for a leaf that is "
        f"in none, got {name!r} for '{path}'."
    )
