"""A state that is placed where its parameters are, also by a compiled ``init``."""

from typing import Any

import jax
import jax.core
import optax

from optaxwd.numerics import beside
from optaxwd.tree._parts import parameters_of
from optaxwd.tree._paths import is_inexact_array


def init_beside_params(
    transform: optax.GradientTransformationExtraArgs,
) -> optax.GradientTransformationExtraArgs:
    """Return ``transform`` with an ``init`` that shards its state as the parameters.

    JAX makes what depends on no input on one device, and moments of zeros depend on
    none.
    """

    def init(params: optax.Params) -> Any:
        state = transform.init(params)
        if not any(map(_is_traced, jax.tree.leaves(params))):
            return state
        leaves = [
            _beside(leaf, param) for _, leaf, _, param in parameters_of(state, params)
        ]
        return jax.tree.unflatten(jax.tree.structure(state), leaves)

    # A subclass says more about what it is.
    return type(transform)(init, transform.update)


def _beside(leaf: Any, param: Any) -> Any:
    if not _is_traced(param) or not is_inexact_array(param):
        return leaf
    if param.shape != leaf.shape:
        return leaf
    return beside(leaf, param)


def _is_traced(param: Any) -> bool:
    return isinstance(param, jax.core.Tracer)
