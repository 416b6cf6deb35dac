"""Root second moments √v̂, read from any state that keeps them as Optax does."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optaxwd import tree
from optaxwd.numerics import widen
from optaxwd.telemetry._sums import reduces_together

# Names of states, of Optax and of this library, whose `nu` is a mean of squares. Adam's
# serves AdaMax and Yogi too, whose `nu` is none: the derivative tells. The table
# of stable decay differs: it has what the update divides by, as AMSGrad's `nu_max`.
_KEEPS_MOMENTS = {
    "ScaleByAdamState",
    "ScaleByAmsgradState",
    "ScaleByBeliefState",
    "ScaleByNadamState",
    "ScaleByRStdDevState",
    "ScaleByRmsState",
    "ScaleByRmsWithCountState",
}


# In place of a b2, where the slope is none.
_NO_MEAN = 2.0


class RootMoments(NamedTuple):
    """What is recorded of √v̂, of a leaf or of several; scalars or vectors.

    Attributes:
      entries: number of entries; 0 where `nu` is no mean of squares.
      total: Σ √v̂.
      least: min √v̂.
      largest: max √v̂.
    """

    entries: Any
    total: Any
    least: Any
    largest: Any


def keeps_moments(state: Any) -> bool:
    """Return whether a state has fields ``nu``."""
    return bool(_nodes(state))


def root_moments(
    state: Any, params: Any, decays: list[Any] | None = None
) -> list[RootMoments | None]:
    """Return what there is for every leaf of ``params``; ``None`` where nothing is.

    Args:
      state: an optimizer's state; its fields ``nu`` are second moments v, matched with
        the parameters by path and shape.
      params: the parameters.
      decays: for each such field the b2 that corrects its bias, v̂ = v / (1 − b2^t);
        ``None``: v̂ is v.
    """
    moments = _nodes(state)
    known = {
        path: (leaf, _correction(node, b2))
        for node, b2 in zip(moments, decays or [None] * len(moments), strict=True)
        for path, leaf in tree.leaves_with_paths(node.nu)
    }
    found = []
    for path, param in tree.leaves_with_paths(params):
        nu, correction = known.get(path, (None, 1.0))
        fits = tree.is_inexact_array(nu) and tree.is_inexact_array(param)
        fits = fits and nu.shape == param.shape and nu.size > 0
        found.append(_root_moments(nu, correction) if fits else None)
    return found


def moment_decays(update: Callable[[Any], Any], state: Any) -> list[Any]:
    """Return the b2 of each field of second moments that is corrected for its bias.

    The new moments are linear in the old ones, with b2 as slope, so a derivative tells
    it. Moments without a count beside them, as those of RMSProp, are not corrected.

    Args:
      update: takes a state, returns the next one.
      state: the state before the step.
    """

    def next_moments(values: list[Any]) -> list[Any]:
        remaining = iter(values)
        replaced = jax.tree.map(
            lambda x: x._replace(nu=next(remaining)) if _is_node(x) else x,
            state,
            is_leaf=_is_node,
        )
        return [node.nu for node in _nodes(update(replaced))]

    # In bfloat16 a b2 of 0.999 is 1.
    moments = [jax.tree.map(_wide, node.nu) for node in _nodes(state)]
    try:
        _, slopes = jax.jvp(next_moments, (moments,), (jax.tree.map(_one, moments),))
    except Exception:
        # What cannot be differentiated has moments of some other kind.
        return [None] * len(moments)
    return [
        _slope(slope) if "count" in node._fields else None
        for node, slope in zip(_nodes(state), slopes, strict=True)
    ]


def _wide(x: Any) -> Any:
    return widen(x) if tree.is_inexact(x) else x


def _one(x: Any) -> Any:
    """Return the tangent 1, or that of an array that has no derivative."""
    if tree.is_inexact(x):
        return jnp.ones_like(x)
    return np.zeros(jnp.shape(x), jax.dtypes.float0)


def _slope(slopes: Any) -> Any:
    arrays = [x for x in jax.tree.leaves(slopes) if tree.is_inexact(x) and x.size]
    if not arrays:
        return None
    slopes = jnp.real(min(arrays, key=lambda x: x.size))
    least, largest = jnp.min(slopes), jnp.max(slopes)
    is_decay = (least == largest) & (least > 0) & (least < 1)
    return jnp.where(is_decay, largest, _NO_MEAN)


def _correction(node: Any, b2: Any) -> Any:
    """Return 1 − b2^t, which is negative for what is no mean of squares."""
    return 1.0 if b2 is None else 1 - jnp.asarray(b2, jnp.float32) ** node.count


@jax.jit
def _root_moments(nu: jax.Array, correction: Any) -> RootMoments:
    is_mean = correction > 0
    correction = jnp.where(is_mean, correction, 1)
    roots = jnp.sqrt(jnp.real(nu).astype(jnp.float32) / correction)
    roots = jax.lax.stop_gradient(roots)
    entries = jnp.where(is_mean, jnp.float32(nu.size), 0)
    if not reduces_together():
        return RootMoments(entries, jnp.sum(roots), jnp.min(roots), jnp.max(roots))
    starts = (jnp.float32(0), jnp.float32(jnp.inf), jnp.float32(-jnp.inf))
    reduced = jax.lax.reduce(
        (roots,) * 3,
        starts,
        lambda x, y: (x[0] + y[0], jnp.minimum(x[1], y[1]), jnp.maximum(x[2], y[2])),
        tuple(range(roots.ndim)),
    )
    return RootMoments(entries, *reduced)


def _nodes(state: Any) -> list[Any]:
    return [x for x in jax.tree.leaves(state, is_leaf=_is_node) if _is_node(x)]


def _is_node(node: Any) -> bool:
    return type(node).__name__ in _KEEPS_MOMENTS
