"""Leaves that a transformation never sees: what is frozen, what is no parameter."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree


def without(hidden: Any, whole: Any) -> Any:
    """Return ``whole`` with ``optax.MaskedNode`` where ``hidden`` is true.

    ``whole`` may have nothing there.
    """
    return jax.tree.map(
        lambda is_hidden, leaf: optax.MaskedNode() if is_hidden else leaf, hidden, whole
    )


def without_extra(hidden: Any, whole: Any, extra_args: dict[str, Any]) -> Any:
    """Return the extra arguments as the transformation may see them.

    Trees like the parameters lose what is hidden; ``value_fn``, which line searches
    call with the parameters that they know, gets the hidden ones back.
    """
    structure = jax.tree.structure(whole)

    def restored(value_fn: Any) -> Any:
        def value(params: Any, *args: Any, **kwargs: Any) -> Any:
            full = jax.tree.map(
                lambda is_hidden, old, new: old if is_hidden else new,
                hidden,
                whole,
                params,
            )
            return value_fn(full, *args, **kwargs)

        return value

    def argument(name: str, value: Any) -> Any:
        if name == "value_fn" and callable(value):
            return restored(value)
        alike = jax.tree.structure(value) == structure
        return without(hidden, value) if alike else value

    return {name: argument(name, value) for name, value in extra_args.items()}


def no_update(update: Any, param: Any) -> Any:
    """Return the update that leaves a parameter as it is.

    Zeros, of the dtype of the update, or of the parameter's own where that is no
    floating-point or complex one: no sum takes the ``float0`` that JAX gives for the
    gradient of an integer. ``None``, and what has no numbers, stay as they are.
    """
    like = update if tree.is_inexact(param) else param
    dtype = getattr(like, "dtype", None)
    is_number = isinstance(like, (bool, int, float, complex))
    if update is None or not (is_number or dtype is not None):
        return update
    has_zero = dtype != jax.dtypes.float0 and (
        dtype is None or not jnp.issubdtype(dtype, jax.dtypes.extended)
    )
    return jnp.zeros_like(like) if has_zero else update


def update_without(
    hidden: Any,
    inner: optax.GradientTransformationExtraArgs,
    updates: optax.Updates,
    state: Any,
    params: optax.Params | None,
    extra_args: dict[str, Any],
    *,
    show: Callable[[Any, Any], Any],
) -> tuple[optax.Updates, Any]:
    """Update without what is hidden, which gets ``show(update, param)``."""
    whole = updates if params is None else params
    new, state = inner.update(
        without(hidden, updates),
        state,
        None if params is None else without(hidden, params),
        **without_extra(hidden, whole, extra_args),
    )
    # `updates` may have nothing where a leaf is hidden.
    shown = jax.tree.map(
        lambda is_hidden, new, *old: show(*old) if is_hidden else new,
        hidden,
        new,
        updates,
        whole,
    )
    return shown, state


def _as_it_came(update: Any, param: Any) -> Any:
    del param
    return update


def parameters_only(
    transform: optax.GradientTransformation, *, completes: bool = False
) -> optax.GradientTransformationExtraArgs:
    """Hide the leaves that are no floating-point or complex arrays or numbers.

    The state has ``optax.MaskedNode`` for them. Without parameters to tell by, a leaf
    is hidden whose gradient is ``float0``.

    Args:
      transform: any transformation; a subclass of Optax's type stays one.
      completes: whether updates go to ``optax.apply_updates``: what is hidden then gets
        :func:`no_update`, otherwise the gradient that came.
    """
    inner = optax.with_extra_args_support(transform)

    def init(params: optax.Params) -> Any:
        hidden = _no_parameters(params)
        return inner.init(params if hidden is None else without(hidden, params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        whole = updates if params is None else params
        hidden = _no_parameters(whole, by_gradient=params is None)
        if hidden is None:
            return inner.update(updates, state, params, **extra_args)
        show = no_update if completes else _as_it_came
        return update_without(
            hidden, inner, updates, state, params, extra_args, show=show
        )

    return type(inner)(init, update)


def _no_parameters(whole: Any, *, by_gradient: bool = False) -> Any:
    """Return a tree of bools, or ``None`` if nothing is to be hidden."""

    def is_none(leaf: Any) -> bool:
        if by_gradient:
            return getattr(leaf, "dtype", None) == jax.dtypes.float0
        return not tree.is_inexact(leaf)

    if not any(map(is_none, jax.tree.leaves(whole))):
        return None
    return jax.tree.map(is_none, whole)
