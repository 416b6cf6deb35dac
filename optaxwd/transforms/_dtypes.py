"""Dtypes that stay what they were."""

from typing import Any

import jax
import jax.numpy as jnp
import optax


def keep_dtypes(
    transform: optax.GradientTransformation, *, keep_updates: bool = False
) -> optax.GradientTransformationExtraArgs:
    """Keep the dtypes of a transform's state, so that a step compiles once.

    Optax promotes: a hyperparameter that is a float32 array (a sweep, a schedule,
    ``inject_hyperparams``) turns bfloat16 moments into float32 at the first update,
    which recompiles a jitted step and breaks ``lax.scan``.

    Args:
      transform: any transform.
      keep_updates: whether updates too keep the dtype that they came with.

    Returns:
      The transform with its new state, and its updates, cast back.
    """
    inner = optax.with_extra_args_support(transform)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        new, new_state = inner.update(updates, state, params, **extra_args)
        if keep_updates:
            new = cast_like(new, updates)
        return new, cast_like(new_state, state)

    return optax.GradientTransformationExtraArgs(inner.init, update)


def cast_like(new: Any, old: Any) -> Any:
    """Return the tree ``new`` in the dtypes of ``old``, leaf by leaf."""
    return jax.tree.map(_cast, new, old)


def promote(new: Any, update: Any, param: Any) -> jax.Array:
    """Return ``new`` in the dtype that ``update`` and ``param`` promote to.

    An update narrower than the parameter takes its dtype, as in Optax: rounded, it
    would lose the decay.
    """
    dtype = jnp.promote_types(jnp.result_type(update), jnp.result_type(param))
    return jnp.asarray(new).astype(dtype)


def _cast(new: Any, old: Any) -> Any:
    dtype = getattr(old, "dtype", None)
    if dtype is None or getattr(new, "dtype", dtype) == dtype:
        return new
    return jnp.asarray(new).astype(dtype)
