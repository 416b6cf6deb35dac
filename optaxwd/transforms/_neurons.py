"""Neurons: the vectors of weights in a leaf, each on a sphere of its own."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from optaxwd.transforms._channels import Views, entries, views_of
from optaxwd.transforms._norms import dot, nonzero, norm


def neurons_of(channel_axis: Any, stacked: Any, owner: str) -> Callable[..., Any]:
    """Return :func:`views_of`, but of the axes that run within a neuron.

    ``None`` stands for a leaf that does not turn: what has no views, or neurons of only
    one entry.
    """
    views_by_leaf = views_of(channel_axis, stacked, owner)

    def within(param: Any, views: Views | None) -> tuple[int, ...] | None:
        if views is None or entries(param, views.channel) < 2:
            return None
        return views.channel

    def axes_by_leaf(params: Any, decays: Any, *, check: bool = True) -> Any:
        views = views_by_leaf(params, decays, check=check)
        return jax.tree.map(within, params, views)

    return axes_by_leaf


def without_mean(x: jax.Array, within: tuple[int, ...]) -> jax.Array:
    """Return ``x`` less the mean of every neuron."""
    return x - jnp.mean(x, axis=within, keepdims=True)


def direction(
    param: jax.Array, within: tuple[int, ...], *, center: bool
) -> tuple[jax.Array, jax.Array]:
    """Return the unit vector and the norm of every neuron, 0 for one that has none.

    What is left of a constant neuron without its mean is rounding, and no direction.
    """
    vector = without_mean(param, within) if center else param
    exists = _more_than_rounding(vector, param, within)
    length = jnp.where(exists, norm(vector, within), 0)
    return jnp.where(exists, vector / nonzero(length), 0), length


def tangent(
    update: jax.Array, unit: jax.Array, within: tuple[int, ...], *, center: bool
) -> jax.Array:
    """Return the part of ``update`` that turns: without its mean and radial parts.

    Exactly 0 where these are all of it: divided by its own size, rounding would count.
    """
    vector = without_mean(update, within) if center else update
    vector = vector - dot(unit, vector, within) * unit
    return jnp.where(_more_than_rounding(vector, update, within), vector, 0)


def _more_than_rounding(
    rest: jax.Array, whole: jax.Array, within: tuple[int, ...]
) -> jax.Array:
    noise = 16 * jnp.finfo(rest.dtype).eps * norm(whole, within)
    # NaN is no rounding: it must show.
    return ~(norm(rest, within) <= noise)
