"""What is audited: an optimizer, a factory of optimizers, or a whole step."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from optaxwd._checks import is_transformation
from optaxwd.auditor._errors import AuditError, describe, own_traceback
from optaxwd.auditor._learning_rates import peak

# What probes use where nothing else is given.
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.1

_DECAY_NAMES = ("weight_decay", "weight_decay_rate", "wd", "decay", "lam")
_RATE_NAMES = ("learning_rate", "lr", "eta")
_PARAMS_NAMES = ("params", "parameters", "theta", "p")
_GRADS_NAMES = ("grads", "gradients", "grad", "g")


@dataclasses.dataclass(frozen=True)
class Subject:
    """Something to audit.

    Attributes:
      kind: ``"optimizer"``, ``"factory"`` or ``"step"``.
      make: ``(learning_rate, weight_decay) -> GradientTransformation``; of the other
        two kinds it returns the same one whatever it is given.
      extra_args: passed to `update` by name.
    """

    kind: str
    make: Callable[[Any, Any], optax.GradientTransformationExtraArgs]
    extra_args: Mapping[str, Any]

    @property
    def is_factory(self) -> bool:
        """Whether learning rate and weight decay can be chosen."""
        return self.kind == "factory"


def as_subject(
    optimizer: Any,
    extra_args: Mapping[str, Any],
    *,
    learning_rate: Any = LEARNING_RATE,
    weight_decay: Any = WEIGHT_DECAY,
) -> Subject:
    """Return ``optimizer`` as something to audit.

    Raises:
      AuditError: if it is none of the three, or its factory raises.
    """
    if is_transformation(optimizer):
        made = optax.with_extra_args_support(optimizer)
        return Subject("optimizer", lambda *_: made, extra_args)
    if not callable(optimizer):
        raise AuditError(
            "optimizer must be an optax.GradientTransformation, a factory "
            "(learning_rate, weight_decay) -> GradientTransformation or a function "
            f"step(params, grads) -> params, got {optimizer!r} of type "
            f"{type(optimizer).__name__}."
        )
    call = _factory_call(optimizer)
    if call is None:
        return _step_subject(optimizer, extra_args)
    # Before any tracing, so that a factory that fails is told as such.
    try:
        made = call(learning_rate, weight_decay)
    except Exception as error:
        if _looks_like_a_factory(optimizer):
            raise AuditError(
                f"the factory raised when called with learning_rate={learning_rate!r} "
                f"and weight_decay={weight_decay!r}: {describe(error)}"
            ) from own_traceback(error)
        return _step_subject(optimizer, extra_args)
    if not is_transformation(made):
        if _looks_like_a_factory(optimizer):
            raise AuditError(
                "the factory must return an optax.GradientTransformation, got "
                f"{made!r} of type {type(made).__name__}."
            )
        return _step_subject(optimizer, extra_args)

    def make(learning_rate: Any, weight_decay: Any) -> Any:
        return optax.with_extra_args_support(call(learning_rate, weight_decay))

    return Subject("factory", make, extra_args)


def _factory_call(function: Callable[..., Any]) -> Callable[[Any, Any], Any] | None:
    """Return how to call ``function`` with the two; ``None``: it is a step.

    A factory of Optax, such as ``optax.adamw``, gets them by name: its second
    positional argument is something else.
    """
    names = _parameter_names(function)
    if names is None:
        return function
    if len(names) >= 2 and _step_order(names) is not None:
        return None
    decay = next((name for name in _DECAY_NAMES[:2] if name in names), None)
    if "learning_rate" in names and decay is not None:
        has_peak = "peak_learning_rate" in names
        return lambda eta, lam: function(
            learning_rate=eta,
            **{decay: lam},
            **({"peak_learning_rate": peak(eta)} if has_peak and callable(eta) else {}),
        )
    if names[:2] and names[0] in _DECAY_NAMES and names[1] in _RATE_NAMES:
        return lambda eta, lam: function(lam, eta)
    if "learning_rate" in names and _second_has_a_default(function):
        raise AuditError(
            f"{getattr(function, '__name__', function)!s} has a learning_rate but no "
            f"weight_decay among its arguments ({', '.join(names)}). Call it and audit "
            "what it returns, or pass a function of (learning_rate, weight_decay)."
        )
    return function


def _step_subject(
    step: Callable[[Any, Any], Any], extra_args: Mapping[str, Any]
) -> Subject:
    """Return a step as an optimizer: its update is what it adds to the parameters."""
    reverse = _step_order(_parameter_names(step) or []) == "grads first"

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        new = step(*((updates, params) if reverse else (params, updates)), **extra)
        if jax.tree.structure(new) != jax.tree.structure(params):
            raise TypeError(
                "step(params, grads) must return parameters with the structure "
                f"{jax.tree.structure(params)}, got {jax.tree.structure(new)}. (A "
                "factory must take (learning_rate, weight_decay) and return a "
                "GradientTransformation.)"
            )
        return jax.tree.map(lambda after, before: after - before, new, params), state

    def init(params: Any) -> optax.EmptyState:
        del params
        return optax.EmptyState()

    made = optax.GradientTransformationExtraArgs(init, update)
    return Subject("step", lambda *_: made, extra_args)


def _step_order(names: list[str]) -> str | None:
    """Return which of a step's two arguments comes first; ``None``: it is no step."""
    first, second = (*names, "", "")[:2]
    if first in _PARAMS_NAMES and second in _GRADS_NAMES:
        return "params first"
    if first in _GRADS_NAMES and second in _PARAMS_NAMES:
        return "grads first"
    return None


def _parameter_names(function: Callable[..., Any]) -> list[str] | None:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return None


def _second_has_a_default(function: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(function).parameters.values())
    return len(parameters) > 1 and parameters[1].default is not inspect.Parameter.empty


def _looks_like_a_factory(function: Callable[..., Any]) -> bool:
    names = _parameter_names(function) or []
    known = {*_RATE_NAMES, *_DECAY_NAMES}
    return bool(known & {name.lower() for name in names})
