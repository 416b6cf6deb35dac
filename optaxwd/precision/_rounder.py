"""One way of rounding over a tree: the low-precision leaves, and no others."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd.numerics import widen
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
        the float32 parameters themselves for ``"master"``. ``optax.MaskedNode`` for a
        parameter that loses nothing; ``None`` if nothing is kept at all.
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
        rounding = ROUNDINGS[name]
        if key is not None and not rounding.is_random:
            raise ValueError(
                f"{owner}: {name!r} rounding draws nothing at random, got key={key!r}. "
                "Leave the key out, or use 'stochastic'."
            )
        return cls(rounding, KeySource.build(key, owner), owner)

    def init(self, params: Any) -> RoundUpdatesState:
        """Return the state of the first step, or raise."""
        self._check(params)
        count = key = None
        if self.rounding.is_random:
            count, key = jnp.zeros([], jnp.int32), self.source.init()
        residual = None
        if self.rounding.keep is not None:
            residual = jax.tree.map(self._keep, params)
        return RoundUpdatesState(count, key, residual)

    def step(
        self, steps: Any, params: Any, state: Any
    ) -> tuple[Any, RoundUpdatesState]:
        """Return the updates that land where ``steps`` lead, rounded."""
        keys = none = jax.tree.map(lambda _: None, params)
        if self.rounding.is_random:
            keys = self.source.keys(state.rounding_key, state.rounding_count, params)
        residual = none if state.residual is None else state.residual

        def leaf(step: Any, param: Any, kept: Any, key: Any) -> tuple[Any, Any]:
            if step is None or not is_narrow(param):
                return step, kept
            return self.rounding.step(param, kept, widen(step), key)

        updates, new = tree.map_to_trees(
            leaf, 2, steps, params, residual, keys, is_leaf=lambda x: x is None
        )
        count = state.rounding_count
        return updates, RoundUpdatesState(
            None if count is None else optax.safe_increment(count),
            state.rounding_key,
            None if state.residual is None else new,
        )

    def _keep(self, param: Any) -> Any:
        keep: Any = self.rounding.keep
        return keep(param) if is_narrow(param) else optax.MaskedNode()

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


def complete(params: Any, state: RoundUpdatesState) -> Any:
    """Return the parameters with what the state keeps for them, in float32."""
    residual = state.residual
    if residual is None:
        return jax.tree.map(lambda p: widen(p) if is_narrow(p) else p, params)

    def leaf(param: Any, kept: Any) -> Any:
        if not is_narrow(param) or isinstance(kept, optax.MaskedNode):
            return param
        return _OF_RESIDUAL[kept.dtype].complete(param, kept)

    return jax.tree.map(leaf, params, residual)


# What is kept tells how.
_OF_RESIDUAL = {
    jnp.dtype(jnp.int16): ROUNDINGS["split"],
    jnp.dtype(jnp.bfloat16): ROUNDINGS["compensated"],
    jnp.dtype(jnp.float32): ROUNDINGS["master"],
}
