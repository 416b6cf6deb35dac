"""One pass over memory on CPUs, where XLA is told to fuse loops with several outputs.

XLA for CPUs computes each new moment and each update in a loop of its own, 40 bytes per
float32 parameter for AdamW. With one flag it joins loops that read the same arrays, as
long as none needs what another writes. So every output must be computed from the inputs
alone, and XLA must not see that the computations have parts in common. Then the step
reads and writes every array once: 28 bytes. Without the flag that form is slower.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd._checks import is_known
from optaxwd.transforms._clip import scale_gradients
from optaxwd.transforms._multi_output_fusion import is_flag_set, takes_effect


class OnePass(optax.GradientTransformationExtraArgs):
    """A transform whose ``update`` scales gradients by ``_gradient_factor``."""


def in_one_pass(
    transform: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Return ``transform`` in the form that takes one pass, if the flag is set.

    Args:
      transform: elementwise: every entry of its updates and of its state is made from
        the same entry of gradients, state and parameters, and from scalars.

    Returns:
      A :class:`OnePass` with the same state, or ``transform`` where the flag is not
      set. While values are known, outside of compiled steps, it does what ``transform``
      does. Numbers differ by rounding: sums and products are contracted differently.
    """
    inner = optax.with_extra_args_support(transform)
    if not is_flag_set():
        return inner

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        *,
        _gradient_factor: Any = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        structure = jax.tree.structure(updates)

        def is_part(node: Any) -> bool:
            return jax.tree.structure(node) == structure

        parts, of_parts = jax.tree.flatten(state, is_leaf=is_part)
        are_known = all(map(is_known, jax.tree.leaves((updates, state))))
        if are_known or not takes_effect():
            if _gradient_factor is not None:
                updates = scale_gradients(updates, _gradient_factor)
            return inner.update(updates, state, params, **extra_args)

        def apart(one: Any) -> tuple[Any, Any]:
            factor = one if _gradient_factor is None else _gradient_factor * one
            return inner.update(
                scale_gradients(updates, factor),
                _times(one, state),
                _times(one, params),
                **extra_args,
            )

        # Ones that XLA takes for different numbers until it has fused.
        ones = jax.lax.optimization_barrier((jnp.float32(1),) * (len(parts) + 1))
        new_parts = [
            of_parts.flatten_up_to(apart(one)[1])[index]
            for index, one in enumerate(ones[:-1])
        ]
        return apart(ones[-1])[0], jax.tree.unflatten(of_parts, new_parts)

    return OnePass(inner.init, update)


def _times(one: Any, values: Any) -> Any:
    """Return arrays times 1, which is exact, and all else as it is."""

    def times(value: Any) -> Any:
        if not tree.is_inexact(value) or jnp.ndim(value) == 0:
            return value
        return value * one.astype(jnp.result_type(value))

    return jax.tree.map(times, values)
