"""Preconditioner, decay and learning rate put in the order that the coupling says.

Every optimizer and both builders end here; each passes its own name as ``owner``, so
that messages speak of what the user called.
"""

from collections.abc import Callable
from typing import Any

import jax
import optax

from optaxwd import tree
from optaxwd._checks import (
    check_params,
    check_scalar_or_schedule,
    check_transformation,
    one_mask,
)
from optaxwd.optimizers._clipped import clip_before
from optaxwd.optimizers._couplings import (
    RELATIVE,
    TIED,
    check_coupling,
    rate_factor,
)
from optaxwd.precision import apply_precision
from optaxwd.rules import DecayRules
from optaxwd.transforms import (
    decay_stage,
    freeze,
    keep_dtypes,
    parameters_only,
    read_once,
    scale_by_learning_rate,
)
from optaxwd.tree import init_beside_params


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
    form: Any = "additive",
    anchor: Any = None,
    corrected_mask: Any = None,
    weight_decay_mask: Any = None,
    precision: Any = None,
    max_grad_norm: Any = None,
    prefix: str = "",
    stretch: Any = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`optaxwd.with_weight_decay` for ``owner``.

    ``prefix`` stands before the names of the rates in messages; every λ, also those of
    rules, is multiplied by the number or array ``stretch``.
    """
    check_transformation(preconditioner, "preconditioner", owner)
    check_scalar_or_schedule(learning_rate, f"{prefix}learning_rate", owner)
    mask = one_mask(mask, weight_decay_mask, owner)
    before = coupling == "l2" or (coupling in TIED and form == "additive")
    decay = _decay(
        learning_rate,
        weight_decay,
        owner=owner,
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        mask=mask,
        cautious=cautious,
        penalty=penalty,
        form=form,
        anchor=anchor,
        corrected_mask=corrected_mask,
        after_learning_rate=not before,
        scaled_later=before,
        prefix=prefix,
        stretch=stretch,
    )
    to_step = scale_by_learning_rate(learning_rate)
    if cautious and not before:
        first = clip_before(preconditioner, max_grad_norm, owner)
        chain = _chain_with_direction(first, to_step, decay)
        return _checked(chain, mask, owner, precision)
    if coupling == "l2":
        stages = (decay, preconditioner, to_step)
    elif before:
        stages = (preconditioner, decay, to_step)
    else:
        stages = (preconditioner, to_step, decay)
    return complete(stages, mask, owner, precision, max_grad_norm)


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
    form: Any = "additive",
    anchor: Any = None,
    corrected_mask: Any = None,
    weight_decay_mask: Any = None,
    precision: Any = None,
    max_grad_norm: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Build :func:`optaxwd.decouple` for ``owner``."""
    check_transformation(optimizer, "optimizer", owner)
    if learning_rate is not None:
        check_scalar_or_schedule(learning_rate, "learning_rate", owner)
    elif coupling in TIED or coupling in RELATIVE:
        raise ValueError(
            f"{owner}: coupling={coupling!r} ties the decay to the learning rate, got "
            "learning_rate=None. Pass the one that the optimizer was built with, or "
            "use coupling='constant'."
        )
    mask = one_mask(mask, weight_decay_mask, owner)
    decay = _decay(
        learning_rate,
        weight_decay,
        owner=owner,
        coupling=coupling,
        peak_learning_rate=peak_learning_rate,
        mask=mask,
        cautious=cautious,
        penalty=penalty,
        form=form,
        anchor=anchor,
        corrected_mask=corrected_mask,
        after_learning_rate=coupling != "l2",
        scaled_later=False,
    )
    stages = (decay, optimizer) if coupling == "l2" else (optimizer, decay)
    return complete(stages, mask, owner, precision, max_grad_norm)


def assemble_within(
    stage: Callable[..., optax.GradientTransformationExtraArgs],
    preconditioner: optax.GradientTransformation,
    learning_rate: Any,
    weight_decay: Any,
    *,
    owner: str,
    coupling: str = "learning_rate",
    peak_learning_rate: Any = None,
    mask: Any = None,
    precision: Any = None,
    max_grad_norm: Any = None,
    stretch: Any = 1.0,
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    """Build an optimizer whose decay must see inside the preconditioner.

    ``stage`` adds the decay, and takes ``options``, to what it wraps: the
    preconditioner, or that with the learning rate, as the coupling says. ``stretch`` as
    in :func:`assemble`.
    """
    check_scalar_or_schedule(learning_rate, "learning_rate", owner)
    check_scalar_or_schedule(weight_decay, "weight_decay", owner)
    check_coupling(coupling, owner=owner)
    if coupling == "l2":
        raise ValueError(
            f"{owner}: coupling='l2' puts decay into the gradient, but this decay is "
            "made from what the preconditioner finds. Use another coupling."
        )
    before = coupling in TIED
    factor = rate_factor(
        learning_rate,
        peak_learning_rate,
        coupling=coupling,
        scaled_later=before,
        owner=owner,
        stretch=stretch,
    )
    to_step = scale_by_learning_rate(learning_rate)
    decayed = stage(
        preconditioner if before else optax.chain(preconditioner, to_step),
        weight_decay,
        mask=mask,
        after_learning_rate=not before,
        factor=factor,
        owner=owner,
        **options,
    )
    stages = (decayed, to_step) if before else (decayed,)
    return complete(stages, mask, owner, precision, max_grad_norm)


def _decay(
    learning_rate: Any,
    weight_decay: Any,
    *,
    owner: str,
    coupling: str,
    peak_learning_rate: Any,
    corrected_mask: Any,
    scaled_later: bool,
    prefix: str = "",
    stretch: Any = 1.0,
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    """Return the decay stage that ``coupling`` asks for, its arguments checked."""
    check_scalar_or_schedule(weight_decay, f"{prefix}weight_decay", owner)
    check_coupling(
        coupling, cautious=options["cautious"], form=options["form"], owner=owner
    )
    if corrected_mask is not None and coupling != "corrected":
        raise ValueError(
            f"{owner}: corrected_mask says which parameters take the corrected rate, "
            f"got coupling={coupling!r}. Use coupling='corrected', or leave it out."
        )

    def factor_of(coupling: str) -> Any:
        return rate_factor(
            learning_rate,
            peak_learning_rate,
            coupling=coupling,
            scaled_later=scaled_later,
            owner=owner,
            prefix=prefix,
            stretch=stretch,
        )

    decay = decay_stage(
        weight_decay,
        factor=factor_of(coupling),
        factor_mask=corrected_mask,
        other_factor=factor_of("learning_rate") if corrected_mask is not None else 1.0,
        owner=owner,
        **options,
    )
    return keep_dtypes(decay, keep_updates=True) if coupling == "l2" else decay


def complete(
    stages: tuple[optax.GradientTransformation, ...],
    mask: Any,
    owner: str,
    precision: Any = None,
    max_grad_norm: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Clip, then chain ``stages``; precision, frozen rules and checks go around."""
    first = clip_before(stages[0], max_grad_norm, owner)
    return _checked(optax.chain(first, *stages[1:]), mask, owner, precision)


def _chain_with_direction(
    preconditioner: optax.GradientTransformation,
    to_step: optax.GradientTransformation,
    decay: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Chain the three, and show the decay the direction before the learning rate.

    A step may be zero where the direction is not: at a learning rate of 0, or by
    underflow in float16. The gate of cautious decay must not take that for agreement.
    """
    stages = [*map(optax.with_extra_args_support, (preconditioner, to_step, decay))]

    def init(params: optax.Params) -> tuple[Any, ...]:
        return tuple(stage.init(params) for stage in stages)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        first, second, third = stages
        direction, inner = first.update(updates, state[0], params, **extra_args)
        direction = jax.tree.map(read_once, direction)
        step, scaled = second.update(direction, state[1], params, **extra_args)
        extra_args = {**extra_args, "direction": direction}
        step, decayed = third.update(step, state[2], params, **extra_args)
        return step, (inner, scaled, decayed)

    return optax.GradientTransformationExtraArgs(init, update)


def _checked(
    chain: optax.GradientTransformationExtraArgs,
    mask: Any,
    owner: str,
    precision: Any,
) -> optax.GradientTransformationExtraArgs:
    if precision is not None:
        chain = apply_precision(chain, precision, owner)
    if isinstance(mask, DecayRules) and mask.freezes:
        chain = freeze(chain, mask)
    return guard(chain, mask, owner)


def guard(
    optimizer: optax.GradientTransformation, mask: Any, owner: str
) -> optax.GradientTransformationExtraArgs:
    """Show ``optimizer`` nothing but parameters, each with its gradient, or raise.

    So the stages inside need no guard; the public transforms made of them have one.
    """
    inner = parameters_only(optimizer, completes=True)
    rules = mask if isinstance(mask, DecayRules) else None

    def init(params: optax.Params) -> Any:
        if rules is not None:
            # On the whole tree: where leaves are hidden, a rule may match nothing.
            rules.decide(params)
        return inner.init(params)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        check_params(params, owner)
        frozen = None
        if rules is not None and rules.freezes:
            frozen = rules.frozen(params, check=False)
        tree.check_gradients(updates, params, owner, optional=frozen)
        return inner.update(updates, state, params, **extra_args)

    return init_beside_params(optax.GradientTransformationExtraArgs(init, update))
