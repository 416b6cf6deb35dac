"""Pytrees: one canonical path per leaf, and trees matched by those paths.

A path is the same whatever holds the leaf: a dict, a list, an attribute, or a Flax
NNX ``Variable``, whose own ``value`` is not part of it.
"""

from optaxwd.tree._gradients import check_gradients as check_gradients
from optaxwd.tree._match import broadcast_prefix as broadcast_prefix
from optaxwd.tree._parts import parameters_of as parameters_of
from optaxwd.tree._paths import Leaf as Leaf
from optaxwd.tree._paths import LeafPaths as LeafPaths
from optaxwd.tree._paths import Path as Path
from optaxwd.tree._paths import described_leaves as described_leaves
from optaxwd.tree._paths import is_inexact as is_inexact
from optaxwd.tree._paths import is_inexact_array as is_inexact_array
from optaxwd.tree._paths import leaf_paths as leaf_paths
from optaxwd.tree._paths import leaves_with_paths as leaves_with_paths
from optaxwd.tree._paths import path_string as path_string
from optaxwd.tree._placed import init_beside_params as init_beside_params
from optaxwd.tree._rows import map_to_trees as map_to_trees
from optaxwd.tree._shardings import state_shardings as state_shardings

__all__ = [
    "Leaf",
    "LeafPaths",
    "Path",
    "broadcast_prefix",
    "check_gradients",
    "described_leaves",
    "init_beside_params",
    "is_inexact",
    "is_inexact_array",
    "leaf_paths",
    "leaves_with_paths",
    "map_to_trees",
    "parameters_of",
    "path_string",
    "state_shardings",
]
