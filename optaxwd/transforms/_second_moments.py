"""Mean square gradients, read from the state of a preconditioner that keeps them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd.transforms._nadam import ScaleByNadamState


class _Kind(NamedTuple):
    """Where a state keeps its second moments, and whether it corrects their bias."""

    field: str
    corrects: bool


# AMSGrad's maximum is over moments that are corrected already, and RMSProp divides by
# the moments as they are. The table of telemetry differs: it has every state whose `nu`
# is a mean of squares, this one what the update divides by, where the law allows it.
_KINDS = {
    optax.ScaleByAdamState: _Kind("nu", corrects=True),
    ScaleByNadamState: _Kind("nu", corrects=True),
    optax.ScaleByAmsgradState: _Kind("nu_max", corrects=False),
    optax.ScaleByRmsState: _Kind("nu", corrects=False),
}


def find_second_moments(state: Any, owner: str) -> Any:
    """Return the one state inside ``state`` that keeps second moments, or raise.

    Moments that :func:`compress_state` has turned into codes are refused.
    """
    nodes = jax.tree.leaves(state, is_leaf=lambda node: type(node) in _KINDS)
    found = [node for node in nodes if type(node) in _KINDS]
    if optax.tree.get_all_with_path(state, "compression_count"):
        _check_not_compressed(found, owner)
    if len(found) > 1:
        names = ", ".join(type(node).__name__ for node in found)
        raise ValueError(
            f"{owner}: the preconditioner must keep one set of second moments, got "
            f"{len(found)} ({names}). Wrap each of its parts by itself, with a mean of "
            "its own."
        )
    if not found:
        raise ValueError(
            f"{owner}: the preconditioner must keep second moments, got the state "
            f"{type(state).__name__}. It can be scale_by_adam or scale_by_nadam, or "
            "Optax's scale_by_amsgrad or scale_by_rms without bias_correction, also "
            "inside of a chain. For SGD use sgds."
        )
    return found[0]


def corrects_bias(moments: Any) -> bool:
    """Return whether the preconditioner divides its moments by 1 - b2^t."""
    return _KINDS[type(moments)].corrects


def mean_second_moment(moments: Any) -> jax.Array:
    """Return the mean over all entries of all leaves, in float32 or wider.

    A mean over nothing is 0.
    """
    leaves = jax.tree.leaves(_moments_of(moments))
    # Where the dtypes of a state are kept, those of complex parameters are complex.
    real = [jnp.real(leaf) for leaf in leaves if tree.is_inexact(leaf)]
    dtype = jnp.result_type(jnp.float32, *real)
    total = sum((jnp.sum(leaf, dtype=dtype) for leaf in real), jnp.zeros([], dtype))
    # As a float: the size of a large model does not fit into an int32.
    return total / max(float(sum(leaf.size for leaf in real)), 1.0)


def _check_not_compressed(found: list[Any], owner: str) -> None:
    for moments in found:
        for path, leaf in tree.leaves_with_paths(_moments_of(moments)):
            if getattr(leaf, "dtype", None) == jnp.uint8:
                raise ValueError(
                    f"{owner}: second moments must be floating-point numbers, got "
                    f"{leaf.dtype} codes at '{tree.path_string(path)}'. Put "
                    f"compress_state around {owner}, not inside of it."
                )


def _moments_of(state: Any) -> Any:
    return getattr(state, _KINDS[type(state)].field)
