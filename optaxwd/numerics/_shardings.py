"""Shardings of results, and computations that XLA partitions by itself."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def with_auto_axes(function: Callable[..., Any], shardings: Any) -> Callable[..., Any]:
    """Return ``function``, inside of which the axes of a mesh are automatic.

    With explicit axes, JAX asks for the sharding of every result that it cannot tell,
    such as that of a product over a sharded axis or of a split one. Here only those of
    the results are told.

    Args:
      function: takes and returns arrays.
      shardings: shardings of the results, a tree like them, as :func:`sharding_of`
        gives them. What is over no mesh will be everywhere on that of the others.
        Where none has explicit axes, ``function`` is returned.
    """
    meshes = [x.mesh for x in jax.tree.leaves(shardings)]
    explicit = [mesh for mesh in meshes if AxisType.Explicit in mesh.axis_types]
    if not explicit:
        return function
    everywhere = NamedSharding(explicit[0], PartitionSpec())
    placed = jax.tree.map(lambda x: everywhere if x.mesh.empty else x, shardings)
    return jax.sharding.auto_axes(function, out_sharding=placed)


def sharding_of(x: Any) -> Any:
    """Return how an array is sharded over explicit axes: part of its type in JAX."""
    return jax.typeof(x).sharding


def beside(x: jax.Array, like: jax.Array) -> jax.Array:
    """Return ``x``, sharded as ``like`` of the same shape, if XLA partitions both.

    As if a choice were to be made between the two, entry by entry. It is a constant,
    which XLA removes, but only after arrays are partitioned.
    """
    if not jnp.issubdtype(x.dtype, jnp.complexfloating):
        like = jnp.real(like)
    return jnp.where(jnp.zeros([], bool), like.astype(x.dtype), x)


def fit_sharding(sharding: NamedSharding, shape: tuple[int, ...]) -> NamedSharding:
    """Return ``sharding`` without the mesh axes that do not divide ``shape``."""
    spec = tuple(sharding.spec) + (None,) * (len(shape) - len(sharding.spec))
    fitting = [
        names if size % _parts(sharding.mesh, names) == 0 else None
        for names, size in zip(spec, shape, strict=True)
    ]
    while fitting and fitting[-1] is None:
        fitting.pop()
    kind = sharding.memory_kind
    return NamedSharding(sharding.mesh, PartitionSpec(*fitting), memory_kind=kind)


def _parts(mesh: Any, names: Any) -> int:
    names = names if isinstance(names, tuple) else (names,)
    return math.prod(mesh.shape[name] for name in names if name is not None)
