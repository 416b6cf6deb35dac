"""Whether gradients are those of these parameters."""

from typing import Any

import jax
import numpy as np

from optaxwd.tree._paths import is_inexact, leaves_with_paths, path_string


def check_gradients(
    updates: Any, params: Any, owner: str, *, optional: Any = None
) -> None:
    """Raise unless there is a gradient, of its shape, for every parameter.

    Nothing is asked of leaves that are no floating-point or complex arrays or numbers.

    Args:
      updates: the gradients.
      params: the parameters.
      owner: the transform to name in messages.
      optional: a tree like the parameters of bools, true for a leaf that may have no
        gradient; ``None``: there is none.
    """
    leaves, structure = jax.tree.flatten(params)
    try:
        gradients = structure.flatten_up_to(updates)
    except ValueError as error:
        raise ValueError(_difference(updates, params, owner, error)) from None
    skipped = [False] * len(leaves)
    if optional is not None:
        skipped = structure.flatten_up_to(optional)
    for index, (gradient, param) in enumerate(zip(gradients, leaves, strict=True)):
        if skipped[index] or not is_inexact(param):
            continue
        if not jax.tree_util.all_leaves([gradient]):
            raise ValueError(_missing(_path(params, index), gradient, owner))
        if np.shape(gradient) != np.shape(param):
            raise ValueError(
                f"{owner}: the gradient at '{_path(params, index)}' has shape "
                f"{np.shape(gradient)}, the parameter {np.shape(param)}. Take "
                "gradients with respect to these parameters."
            )


def _path(params: Any, index: int) -> str:
    return path_string(leaves_with_paths(params)[index][0])


def _missing(path: str, found: Any, owner: str) -> str:
    return (
        f"{owner}: the gradients have {found!r} at '{path}', where there is a "
        "parameter. Give a gradient for each, zeros too, freeze what has none by a "
        "rule ('frozen'), or leave it out of the parameters as well."
    )


def _difference(updates: Any, params: Any, owner: str, error: ValueError) -> str:
    given = {path_string(path) for path, _ in leaves_with_paths(updates)}
    wanted = {path_string(path) for path, _ in leaves_with_paths(params)}
    parts = []
    if wanted - given:
        parts.append(f"no leaf at {_listed(wanted - given)}")
    if given - wanted:
        parts.append(f"one at {_listed(given - wanted)}, where there is no parameter")
    said = "; ".join(parts) or str(error)
    return (
        f"{owner}: the gradients have another structure than the parameters: {said}. "
        "Take gradients with respect to these parameters."
    )


def _listed(paths: set[str], limit: int = 8) -> str:
    more = len(paths) - limit
    return ", ".join(f"'{path}'" for path in sorted(paths)[:limit]) + (
        f" and {more} more" if more > 0 else ""
    )
