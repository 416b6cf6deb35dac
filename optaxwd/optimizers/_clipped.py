"""``max_grad_norm``: the gradients clipped before the first stage sees them."""

from typing import Any

import jax
import optax

from optaxwd._checks import check_positive
from optaxwd.numerics import widen
from optaxwd.rules import DecayRules
from optaxwd.transforms import OnePass, clip_factor, scale_gradients


def clip_before(
    stage: optax.GradientTransformation,
    max_grad_norm: Any,
    owner: str,
    *,
    mask: Any = None,
    widened: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Clip what ``stage`` gets by its global norm, without a state.

    Args:
      stage: the first stage of an optimizer, which sees all gradients.
      max_grad_norm: the largest norm that passes; ``None``: all do.
      owner: the optimizer to name in messages.
      mask: rules; the gradients that they freeze count in no norm.
      widened: whether ``stage`` gets float32 in place of narrower gradients.
    """
    inner = optax.with_extra_args_support(stage)
    if max_grad_norm is None:
        return inner
    check_positive(max_grad_norm, "max_grad_norm", owner)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        if widened:
            updates = jax.tree.map(widen, updates)
        factor = clip_factor(_without_frozen(updates, params, mask), max_grad_norm)
        if isinstance(inner, OnePass):
            extra_args = {**extra_args, "_gradient_factor": factor}
        else:
            updates = scale_gradients(updates, factor)
        return inner.update(updates, state, params, **extra_args)

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _without_frozen(updates: Any, params: Any, mask: Any) -> Any:
    if not (isinstance(mask, DecayRules) and mask.freezes):
        return updates
    frozen = mask.frozen(updates if params is None else params, check=False)
    return jax.tree.map(
        lambda is_frozen, update: None if is_frozen else update, frozen, updates
    )
