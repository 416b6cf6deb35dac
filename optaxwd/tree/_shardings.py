"""Where the arrays of an optimizer's state lie: with their parameters."""

from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from optaxwd.numerics import fit_sharding
from optaxwd.tree._parts import parameters_of
from optaxwd.tree._paths import Path, leaves_with_paths, path_string

_NAME = "state_shardings"


def state_shardings(optimizer: Any, params: Any) -> Any:
    """Return the shardings of an optimizer's state: for each leaf its parameter's.

    Pass them to ``jax.jit`` as ``out_shardings`` of ``init``: by itself JAX makes what
    depends on no input, such as moments of zeros, on one device. With them the first
    state has the shardings that all later ones have, so that a step compiles once.

    A leaf belongs to the parameter that its path in the state ends with. One of the
    same shape is sharded alike. One with fewer or smaller axes, such as a factored
    second moment, a scale per block or a number per neuron, has the parameter's mesh
    axes on those that it shares with it, where these divide it. All others, such as
    counts, are on every device.

    Args:
      optimizer: any :class:`optax.GradientTransformation`, ours or not.
      params: its parameters: arrays, or ``jax.ShapeDtypeStruct`` with a ``sharding``,
        all sharded by a ``NamedSharding`` over one mesh, or all on one device.

    Returns:
      A tree with the structure of the state and shardings as leaves.

    Raises:
      TypeError: if ``optimizer`` has no ``init``.
      ValueError: if a parameter has no sharding, or they are not of one mesh.

    Examples:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from jax.sharding import NamedSharding, PartitionSpec
      >>> import optaxwd
      >>> mesh = jax.make_mesh((1,), ("data",))
      >>> rows = NamedSharding(mesh, PartitionSpec("data", None))
      >>> params = {"kernel": jax.device_put(jnp.ones((8, 4)), rows)}
      >>> tx = optaxwd.adamw(1e-3)
      >>> shardings = optaxwd.state_shardings(tx, params)
      >>> state = jax.jit(tx.init, out_shardings=shardings)(params)
      >>> [tuple(x.sharding.spec) for x in (state[0].mu["kernel"], state[0].count)]
      [('data', None), ()]

    References:
      JAX, `Distributed arrays and automatic parallelization
      <https://docs.jax.dev/en/latest/notebooks/Distributed_arrays_and_automatic_parallelization.html>`_.
    """
    if not callable(getattr(optimizer, "init", None)):
        raise TypeError(
            f"{_NAME}: optimizer must have an init, as an optax.GradientTransformation "
            f"has, got {type(optimizer).__name__}."
        )
    everywhere = _replicated(params)
    state = jax.eval_shape(optimizer.init, params)
    shardings = [
        everywhere if param is None else _like(leaf, path, param, everywhere)
        for path, leaf, _, param in parameters_of(state, params)
    ]
    return jax.tree.unflatten(jax.tree.structure(state), shardings)


def _replicated(params: Any) -> Sharding:
    """Return the sharding of what belongs to no parameter."""
    found = {}
    for path, leaf in leaves_with_paths(params):
        sharding = getattr(leaf, "sharding", None)
        if not isinstance(sharding, Sharding):
            raise ValueError(
                f"{_NAME}: the parameter '{path_string(path)}' has no sharding, got "
                f"{type(leaf).__name__}. Put the parameters on devices with "
                "jax.device_put, or give each jax.ShapeDtypeStruct a sharding."
            )
        if isinstance(sharding, NamedSharding):
            sharding = NamedSharding(sharding.mesh, PartitionSpec())
        found.setdefault(sharding, path)
    if len(found) != 1:
        where = ", ".join(f"'{path_string(p)}' on {s}" for s, p in found.items())
        raise ValueError(
            f"{_NAME}: the parameters must all be on one mesh or device, got "
            f"{where or 'no parameter'}. Put them there with jax.device_put."
        )
    return next(iter(found))


def _like(leaf: Any, path: Path, param: Any, everywhere: Sharding) -> Sharding:
    """Return the sharding of a leaf at ``path`` that belongs to ``param``."""
    shape = leaf.shape
    sharding = param.sharding
    if shape == param.shape:
        return sharding
    if not isinstance(sharding, NamedSharding):
        return everywhere
    spec = tuple(sharding.spec) + (None,) * (len(param.shape) - len(sharding.spec))
    along = _shared_axes(shape, param.shape, path)
    axes = PartitionSpec(*(None if axis is None else spec[axis] for axis in along))
    kind = sharding.memory_kind
    return fit_sharding(NamedSharding(sharding.mesh, axes, memory_kind=kind), shape)


def _shared_axes(
    shape: tuple[int, ...], whole: tuple[int, ...], path: Path
) -> list[int | None]:
    """Return which axis of the parameter each axis of another array goes along."""
    more = len(shape) - len(whole)
    if more > 0 and shape[more:] == whole:
        return [None] * more + list(range(len(whole)))
    if len(shape) == len(whole):
        return [i if size > 1 else None for i, size in enumerate(shape)]
    places = _subsequences(shape, whole)
    # Where axes are equally long, rows and columns are told apart by Optax's names.
    if "v_row" in path:
        places = places[:1]
    elif "v_col" in path:
        places = places[-1:]
    return list(places[0]) if len(places) == 1 else [None] * len(shape)


def _subsequences(
    shape: tuple[int, ...], whole: tuple[int, ...], start: int = 0
) -> list[tuple[int, ...]]:
    """Return every way to get ``shape`` from ``whole`` by leaving axes out."""
    if not shape:
        return [()]
    return [
        (i, *rest)
        for i in range(start, len(whole))
        if whole[i] == shape[0]
        for rest in _subsequences(shape[1:], whole, i + 1)
    ]
