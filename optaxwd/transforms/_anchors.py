"""Anchors: what parameters decay to, if not to zero."""

from typing import Any

import jax
import numpy as np

from optaxwd import tree


def check_anchor(anchor: Any, owner: str) -> bool:
    """Return whether ``anchor`` is the parameters given to ``init``, or raise."""
    if isinstance(anchor, str) and anchor == "init":
        return True
    texts = [leaf for leaf in jax.tree.leaves(anchor) if isinstance(leaf, str)]
    if texts:
        raise ValueError(
            f"{owner}: anchor must be None, 'init' or a tree like the parameters, got "
            f"{anchor!r}."
        )
    return False


def lay_over(anchor: Any, params: Any, owner: str) -> Any:
    """Return ``anchor`` in the structure of ``params``; ``None`` stays ``None``."""
    if anchor is None:
        return None
    covered = tree.broadcast_prefix(anchor, params, name=f"{owner}: the anchor")
    for (path, param), leaf in zip(
        tree.leaves_with_paths(params), jax.tree.leaves(covered), strict=True
    ):
        if tree.is_inexact(param) and np.shape(leaf) != np.shape(param):
            raise ValueError(
                f"{owner}: the anchor has shape {np.shape(leaf)} at "
                f"'{tree.path_string(path)}', the parameter {np.shape(param)}. Give it "
                "the shapes of the parameters."
            )
    return covered
