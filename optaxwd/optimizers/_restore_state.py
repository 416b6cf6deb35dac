"""Optimizer states from checkpoints that were read without a target."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optaxwd import tree

_OWNER = "restore_state"


def restore_state(restored: Any, like: Any) -> Any:
    """Return what a checkpoint holds in the structure of ``like``, nothing cast.

    Read without a target, a checkpoint gives dicts, lists and arrays: no NamedTuples,
    no ``optax.MaskedNode``. Here each array goes back to its place by its path, and
    what has no arrays comes from ``like``. A path, a shape or a dtype that differs is
    an error: with a target, Orbax casts to its dtypes, also the codes of
    :func:`compress_state` to floats, and ``flax.serialization.from_bytes`` looks at
    neither dtypes nor shapes.

    Args:
      restored: what Orbax or ``flax.serialization.msgpack_restore`` give, or a state:
        anything whose names are the fields, keys and indices of ``like``.
      like: the tree to restore, arrays or their shapes: ``jax.eval_shape(tx.init,
        params)``, a ``TrainState``, or a dict of parameters and a state. It says which
        arrays are sharded over several devices, and how; shapes without a sharding
        leave an array where it is.

    Returns:
      A tree with the structure of ``like`` and the values of ``restored``. PRNG keys of
      ``like`` may be stored as their data (:func:`jax.random.key_data`).

    Raises:
      ValueError: if a path is missing or left over, a shape or a dtype differs, or
        ``like`` is sharded over an abstract mesh, which names no devices.

    Examples:
      >>> import flax.serialization
      >>> import jax
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> params = {"w": jnp.ones(2)}
      >>> tx = optaxwd.adamw(0.1)
      >>> _, state = tx.update(params, tx.init(params), params)
      >>> data = flax.serialization.to_bytes(state)
      >>> restored = flax.serialization.msgpack_restore(data)
      >>> sorted(restored["0"])
      ['count', 'mu', 'nu']
      >>> state = optaxwd.restore_state(restored, jax.eval_shape(tx.init, params))
      >>> int(state[0].count), state[0].mu["w"].tolist()
      (1, [0.10000000149011612, 0.10000000149011612])

    References:
      `Orbax <https://orbax.readthedocs.io>`_ and `flax.serialization
      <https://flax.readthedocs.io>`_, which write what is restored.
    """
    wanted = dict(tree.leaves_with_paths(like))
    found = {}
    for path, value in tree.leaves_with_paths(restored):
        # Orbax keeps the level between a Flax NNX Variable and its array.
        inside = path[-1:] == ("value",) and path not in wanted
        found[path[:-1] if inside and path[:-1] in wanted else path] = value
    _check_paths(found, wanted)
    spread = any(map(_is_spread, wanted.values()))
    values = [
        _restored(path, found[path], leaf, spread) for path, leaf in wanted.items()
    ]
    return jax.tree.unflatten(jax.tree.structure(like), values)


def check_same_array(path: str, value: Any, like: Any, owner: str) -> None:
    """Raise unless ``value`` has the shape and the dtype of ``like``."""
    if _describe(value) != _describe(like):
        raise ValueError(
            f"{owner}: {path} is {_describe(value)}, but the target has "
            f"{_describe(like)}. Both must be states for the same parameters, in the "
            "same precision."
        )


def _check_paths(found: dict[Any, Any], wanted: dict[Any, Any]) -> None:
    missing = [path for path in wanted if path not in found]
    left_over = [path for path in found if path not in wanted]
    wrong = []
    if missing:
        wrong.append(f"lacks {_first(missing)}, which the target has")
    if left_over:
        wrong.append(f"holds {_first(left_over)}, which the target has not")
    if wrong:
        raise ValueError(
            f"{_OWNER}: the checkpoint {', and '.join(wrong)}. Build the target with "
            "the optimizer, the wrappers, the precision and the parameters that were "
            "saved; convert_state then moves the state to another optimizer."
        )


def _first(paths: list[Any]) -> str:
    others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{tree.path_string(paths[0])}{others}"


def _restored(path: Any, value: Any, like: Any, spread: bool) -> Any:
    """Return ``value`` as an array that is placed as ``like`` says, or raise."""
    if _is_key(like) and not _is_key(value):
        value = _wrapped(path, value, like)
    check_same_array(tree.path_string(path), value, like, _OWNER)
    if _is_spread(like):
        if isinstance(getattr(like.sharding, "mesh", None), jax.sharding.AbstractMesh):
            raise ValueError(
                f"{_OWNER}: {tree.path_string(path)} of the target is sharded over an "
                f"abstract mesh, which names no devices: {like.sharding}. Pass arrays, "
                "such as `tx.init(params)`, in place of their shapes."
            )
        return jax.device_put(value, like.sharding)
    if spread and isinstance(value, jax.Array) and not _is_key(value):
        # Orbax commits a count to the device that it was saved from, and such an array
        # does not go together with arrays that are on all devices.
        value = np.asarray(value)
    return jnp.array(value) if isinstance(value, (np.ndarray, np.generic)) else value


def _is_spread(leaf: Any) -> bool:
    """Return whether ``leaf`` says that it is on several devices."""
    sharding = getattr(leaf, "sharding", None)
    return sharding is not None and sharding.num_devices > 1


def _is_key(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def _wrapped(path: Any, data: Any, like: Any) -> Any:
    """Return the PRNG keys of ``data``, of the algorithm of ``like``."""
    impls = []

    def key_data(keys: Any) -> Any:
        impls.append(jax.random.key_impl(keys))  # shapes do not tell, traced arrays do
        return jax.random.key_data(keys)

    shape = jax.eval_shape(key_data, like)
    check_same_array(f"the key data of {tree.path_string(path)}", data, shape, _OWNER)
    return jax.random.wrap_key_data(jnp.array(data), impl=impls[0])


def _describe(leaf: Any) -> str:
    """Return dtype and shape, ``float32[2, 3]``, or the type of what is no array."""
    if isinstance(leaf, (bool, int, float, complex)):
        return f"{jnp.result_type(leaf)}[]"
    if not (hasattr(leaf, "dtype") and hasattr(leaf, "shape")):
        return f"a {type(leaf).__name__}"
    return f"{leaf.dtype}{list(leaf.shape)}"
