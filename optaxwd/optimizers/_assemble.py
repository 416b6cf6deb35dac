"""Preconditioner, decay and learning rate put in the order that the coupling says.

Every optimizer and both builders end here; each passes its own name as ``owner``, so
that messages speak of what the user called.
"""

from typing import Any

import optax

from optaxwd._checks import (
    check_params,
    check_scalar_or_schedule,
    check_transformation,
    one_mask,
)
from optaxwd.optimizers._couplings import (
    TIED,
    check_coupling,
    check_peak,
    rate_factor,
)
from optaxwd.rules import DecayRules
from optaxwd.transforms import (
    decay_stage,
    freeze,
    keep_dtypes,
    scale_by_learning_rate,
)


def assemble(
    preconditioner: optax.GradientTransformation,
    learning_rate: Any,
    weight_decay: Any,
    *,
    owner: str,
    coupling: str = "learning_rate",
    peak_learning_rate: Any = None,
    mask: Any = None,
    cautious: bool = False,
    penalty: Any = "l2",
    anchor: Any = None,
    weight_decay_mask: Any = None,
    prefix: str = "",
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`optaxwd.with_weight_decay` for ``owner``.

    ``prefix`` stands before the names of the rates in messages.
    """
    check_transformation(preconditioner, "preconditioner", owner)
    check_scalar_or_schedule(learning_rate, f"{prefix}learning_rate", owner)
    check_scalar_or_schedule(weight_decay, f"{prefix}weight_decay", owner)
    check_coupling(coupling, cautious=cautious, owner=owner)
    peak_name = f"{prefix}peak_learning_rate"
    check_peak(
        learning_rate,
        peak_learning_rate,
        coupling=coupling,
        owner=owner,
        name=peak_name,
    )
    mask = one_mask(mask, weight_decay_mask, owner)
    before = coupling == "l2" or coupling in TIED
    decay = decay_stage(
        weight_decay,
        mask=mask,
        cautious=cautious,
        penalty=penalty,
        anchor=anchor,
        after_learning_rate=not before,
        factor=rate_factor(
            learning_rate, peak_learning_rate, coupling=coupling, scaled_later=before
        ),
        owner=owner,
    )
    to_step = scale_by_learning_rate(learning_rate)
    if coupling == "l2":
        stages = (keep_dtypes(decay, keep_updates=True), preconditioner, to_step)
    elif before:
        stages = (preconditioner, decay, to_step)
    else:
        stages = (preconditioner, to_step, decay)
    return _complete(stages, mask, owner)


def assemble_around(
    optimizer: optax.GradientTransformation,
    weight_decay: Any,
    *,
    owner: str,
    learning_rate: Any = None,
    coupling: str = "learning_rate",
    peak_learning_rate: Any = None,
    mask: Any = None,
    cautious: bool = False,
    penalty: Any = "l2",
    anchor: Any = None,
    weight_decay_mask: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`optaxwd.decouple` for ``owner``."""
    check_transformation(optimizer, "optimizer", owner)
    check_scalar_or_schedule(weight_decay, "weight_decay", owner)
    check_coupling(coupling, cautious=cautious, owner=owner)
    if learning_rate is not None:
        check_scalar_or_schedule(learning_rate, "learning_rate", owner)
    elif coupling not in ("l2", "constant"):
        raise ValueError(
            f"{owner}: coupling={coupling!r} ties the decay to the learning rate, got "
            "learning_rate=None. Pass the one that the optimizer was built with, or "
            "use coupling='constant'."
        )
    check_peak(
        learning_rate,
        peak_learning_rate,
        coupling=coupling,
        owner=owner,
        name="peak_learning_rate",
    )
    mask = one_mask(mask, weight_decay_mask, owner)
    decay = decay_stage(
        weight_decay,
        mask=mask,
        cautious=cautious,
        penalty=penalty,
        anchor=anchor,
        after_learning_rate=coupling != "l2",
        factor=rate_factor(
            learning_rate, peak_learning_rate, coupling=coupling, scaled_later=False
        ),
        owner=owner,
    )
    if coupling == "l2":
        stages = (keep_dtypes(decay, keep_updates=True), optimizer)
    else:
        stages = (optimizer, decay)
    return _complete(stages, mask, owner)


def _complete(
    stages: tuple[optax.GradientTransformation, ...], mask: Any, owner: str
) -> optax.GradientTransformationExtraArgs:
    """Chain ``stages`` under an error for missing parameters and under frozen rules."""
    chain = optax.chain(*stages)
    if isinstance(mask, DecayRules) and mask.freezes:
        chain = freeze(chain, mask)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        check_params(params, owner)
        return chain.update(updates, state, params, **extra_args)

    return optax.GradientTransformationExtraArgs(chain.init, update)
