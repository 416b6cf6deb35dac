"""A preconditioner put before the rotation that the decay rate stands for."""

from collections.abc import Callable
from typing import Any

import optax

from optaxwd._checks import check_scalar_or_schedule, is_static_number
from optaxwd._typing import Scalar
from optaxwd.optimizers._assemble import complete
from optaxwd.optimizers._couplings import check_coupling, rate_factor
from optaxwd.rules import LeafDecay
from optaxwd.transforms import (
    Turning,
    decay_stage,
    keep_dtypes,
    rates_at,
    root,
    rotation_stage,
    unless_turned,
)


def refuse_l2(coupling: Any, whose: str, owner: str) -> None:
    """Raise on an L2 penalty, where each leaf would turn at a rate of its own."""
    if coupling == "l2":
        raise ValueError(
            f"{owner}: coupling='l2' has no one rotation to set: with an L2 penalty "
            f"that {whose} depends on the size of the gradients. Use another coupling."
        )


def assemble_rotation(
    preconditioner: optax.GradientTransformation,
    learning_rate: Any,
    weight_decay: Any,
    per_root_rate: Scalar,
    *,
    owner: str,
    coupling: str,
    peak_learning_rate: Any,
    mask: Any,
    channel_axis: Any,
    stacked: Any,
    center: bool,
    norm_decay: Scalar,
    norm_eps: Scalar,
    precision: Any = None,
    max_grad_norm: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Build a rotational variant: the rotation is ``per_root_rate`` times √R."""
    check_scalar_or_schedule(learning_rate, "learning_rate", owner)
    check_scalar_or_schedule(weight_decay, "weight_decay", owner)
    check_coupling(coupling, owner=owner)
    in_gradient = coupling == "l2"
    factor = rate_factor(
        learning_rate,
        peak_learning_rate,
        coupling="learning_rate" if in_gradient else coupling,
        scaled_later=False,
        owner=owner,
    )

    def turning_at(count: Any) -> Callable[[LeafDecay], Turning]:
        rate_of = rates_at(weight_decay, factor, count, owner)

        def turning_of(decay: LeafDecay) -> Turning:
            rate = rate_of(decay)
            strength: Any = rate * decay.multiplier
            known = is_static_number(strength)
            by_root = float(strength) ** 0.5 if known else root(strength)
            return Turning(per_root_rate * by_root, 0.0 if in_gradient else rate)

        return turning_of

    turn = rotation_stage(
        turning_at,
        learning_rate,
        mask=mask,
        channel_axis=channel_axis,
        stacked=stacked,
        center=center,
        norm_decay=norm_decay,
        eps=norm_eps,
        owner=owner,
    )
    if not in_gradient:
        return complete((preconditioner, turn), mask, owner, precision, max_grad_norm)
    decay = decay_stage(
        weight_decay,
        mask=mask,
        penalty="l2",
        form="additive",
        anchor=None,
        cautious=False,
        after_learning_rate=False,
        factor=1.0,
        owner=owner,
    )
    decay = keep_dtypes(decay, keep_updates=True)
    others = unless_turned(decay, mask, channel_axis, stacked, owner)
    return complete(
        (others, preconditioner, turn), mask, owner, precision, max_grad_norm
    )
