"""One way of rounding over a tree: the low-precision leaves, and no others."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd.numerics import as_float32
from optaxwd.precision._keys import KeySource
from optaxwd.precision._roundings import ROUNDINGS, Rounding

_NARROW = (jnp.bfloat16, jnp.float16)


class RoundUpdatesState(NamedTuple):
    """State of :func:`round_updates` and of :func:`with_precision`.

    Attributes:
      rounding_count: number of updates so far; shape ``()``, dtype int32; ``None``
        where nothing is random.
      rounding_key: data of the PRNG key, ``[n]`` uint32; ``None`` likewise.
      residual: a tree like the parameters of what their dtype cannot hold, with their
        shapes and shardings: int16 for ``"split"``, bfloat16 for ``"compensated"``,
        the float32 parameters themselves for ``"master"``, ``optax.EmptyState`` where
        nothing is kept. ``optax.MaskedNode`` for a parameter that loses nothing.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> state = optaxwd.round_updates("split").init(jnp.ones(2, jnp.bfloat16))
      >>> state.residual.dtype.itemsize  # bytes per parameter
      2

    References:
      As of :func:`round_updates`.
    """

    rounding_count: Any
    rounding_key: Any
    residual: Any


@dataclasses.dataclass(frozen=True)
class Rounder:
    """A way of rounding, the key that it may need, and whom messages name."""

    rounding: Rounding
    source: KeySource
    owner: str

    @classmethod
    def build(cls, name: str, key: Any, owner: str) -> "Rounder":
        """Return the rounder called ``name``, one of ``ROUNDINGS``."""
        return cls(ROUNDINGS[name], KeySource.build(key, owner), owner)

    def init(self, params: Any) -> RoundUpdatesState:
        """Return the state of the first step, or raise."""
        self._check(params)
        count = key = None
        if self.rounding.is_random:
            count, key = jnp.zeros([], jnp.int32), self.source.init()
        return RoundUpdatesState(count, key, jax.tree.map(self._keep, params))

    def complete(self, params: Any, state: Any) -> Any:
        """Return the parameters with what the state keeps for them, in float32."""
        return jax.tree.map(completed, params, state.residual)

    def step(
        self, steps: Any, params: Any, state: Any
    ) -> tuple[Any, RoundUpdatesState]:
        """Return the updates that land where ``steps`` lead, rounded."""
        count, keys = state.rounding_count, jax.tree.map(lambda _: None, params)
        if self.rounding.is_random:
            narrow = jax.tree.map(lambda p: p if is_narrow(p) else None, params)
            keys = self.source.keys(state.rounding_key, count, narrow, "parameters")
            count = optax.safe_increment(count)

        def leaf(step: Any, param: Any, kept: Any, key: Any) -> tuple[Any, Any]:
            if step is None or not is_narrow(param):
                return step, kept
            return self.rounding.step(param, kept, as_float32(step), key)

        updates, residual = tree.map_to_trees(
            leaf, 2, steps, params, state.residual, keys, is_leaf=lambda x: x is None
        )
        return updates, RoundUpdatesState(count, state.rounding_key, residual)

    def _keep(self, param: Any) -> Any:
        if not is_narrow(param):
            return optax.MaskedNode()
        keep = self.rounding.keep
        return optax.EmptyState() if keep is None else keep(param)

    def check_dtypes(self, params: Any, state: Any) -> None:
        """Raise if parameters are wider or narrower than those of ``init``."""
        kept = jax.tree.structure(params).flatten_up_to(state.residual)
        for (path, param), own in zip(
            tree.leaves_with_paths(params), kept, strict=True
        ):
            was_narrow = not isinstance(own, optax.MaskedNode)
            if not hasattr(param, "dtype") or was_narrow == is_narrow(param):
                continue
            before = "16 bits" if was_narrow else "32 bits or more"
            raise ValueError(
                f"{self.owner}: parameters had {before} in init, got {param.dtype} at "
                f"'{tree.path_string(path)}'. Apply updates with optax.apply_updates, "
                "which keeps dtypes, or make a new state."
            )

    def _check(self, params: Any) -> None:
        for path, param in tree.leaves_with_paths(params):
            if not tree.is_inexact_array(param) or is_narrow(param):
                continue
            if param.dtype.itemsize < 4:
                raise TypeError(
                    f"{self.owner}: parameters must be bfloat16, float16 or wider, got "
                    f"{param.dtype} at '{tree.path_string(path)}'. Keep them in "
                    "bfloat16 and cast them in the forward pass."
                )


def is_narrow(leaf: Any) -> bool:
    """Return whether ``leaf`` is an array of 16-bit floats, so loses small steps."""
    return getattr(leaf, "dtype", None) in _NARROW


def widen_narrow(leaf: Any) -> Any:
    """Return an array of 16-bit floats in float32, and anything else as it is."""
    return as_float32(leaf) if is_narrow(leaf) else leaf


def completed(param: Any, kept: Any) -> Any:
    """Return a parameter with what is kept for it, whose dtype tells how."""
    if not is_narrow(param) or not hasattr(kept, "dtype"):
        return widen_narrow(param)
    return _OF_RESIDUAL[kept.dtype].complete(param, kept)


_OF_RESIDUAL = {
    jnp.dtype(jnp.int16): ROUNDINGS["split"],
    jnp.dtype(jnp.bfloat16): ROUNDINGS["compensated"],
    jnp.dtype(jnp.float32): ROUNDINGS["master"],
}
