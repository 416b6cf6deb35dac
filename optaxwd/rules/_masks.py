"""Masks in Optax's sense, turned into one multiplier per leaf."""

from typing import Any

import jax
import numpy as np
import optax

from optaxwd import tree
from optaxwd._typing import Mask


def resolve_multipliers(mask: Mask, params: optax.Params, *, owner: str) -> Any:
    """Return the decay multiplier of every leaf of ``params``.

    Args:
      mask: ``None`` (everything decays), a tree of bools with the structure of
        ``params``, a prefix of such a tree, or a function of ``params`` that returns
        one of these.
      params: the parameters; only structure, shapes and dtypes may matter.
      owner: the transform to name in messages.

    Returns:
      A tree with the structure of ``params`` and Python floats, 1.0 or 0.0.

    Raises:
      ValueError: if the mask has another structure; the message names the path.
      TypeError: if a leaf of the mask is not a bool.
    """
    if mask is None:
        return jax.tree.map(lambda _: 1.0, params)
    prefix = mask(params) if _is_function(mask) else mask
    for path, leaf in tree.leaves_with_paths(prefix):
        if not isinstance(leaf, (bool, np.bool_)):
            raise TypeError(
                f"{owner}: the mask leaf at '{tree.path_string(path)}' must be a bool, "
                f"got {leaf!r} of type {type(leaf).__name__}. True decays, False does "
                "not; anything else would be taken for one of them by its truth value."
            )
    covered = tree.broadcast_prefix(prefix, params, name=f"{owner}: the mask")
    return jax.tree.map(float, covered)


def _is_function(mask: Any) -> bool:
    # An Equinox module full of bools is callable and yet a tree.
    bools = (isinstance(leaf, (bool, np.bool_)) for leaf in jax.tree.leaves(mask))
    return callable(mask) and not any(bools)
