"""Ours under the names of Optax, and a count of how often each was called."""

import collections
import functools
import inspect
from collections.abc import Callable
from typing import Any

import optax

import optaxwd

CALLS: collections.Counter[str] = collections.Counter()


def _transforms() -> dict[str, Callable[..., Any]]:
    names = (
        "add_decayed_weights",
        "clip_by_global_norm",
        "scale_by_adam",
        "scale_by_learning_rate",
    )
    return {name: getattr(optaxwd, name) for name in names}


def _without_decay() -> dict[str, Callable[..., Any]]:
    """Return what Optax has without decay: ours with λ = 0."""
    partial = functools.partial
    return {
        "adam": partial(optaxwd.adam_l2, weight_decay=0.0),
        "nadam": partial(optaxwd.adam_l2, weight_decay=0.0, nesterov=True),
        "sgd": partial(optaxwd.sgd_l2, weight_decay=0.0),
        "rmsprop": partial(optaxwd.rmsprop_l2, weight_decay=0.0),
        # Without a learning rate, Optax's takes steps of 1.
        "adafactor": partial(optaxwd.adafactorw, learning_rate=1.0, weight_decay=0.0),
        "muon": partial(optaxwd.muonw, weight_decay=0.0),
    }


def _counted(
    name: str, factory: Callable[..., Any], *, needs_params: bool
) -> Callable[..., Any]:
    """Return ``factory`` with its calls, and those of what it makes, in ``CALLS``.

    Optax's optimizers without decay read no parameters. Ours do, also where λ is 0 and
    any values will do; where a test has none, they are given the updates.
    """

    @functools.wraps(factory)
    def build(*args: Any, **kwargs: Any) -> optax.GradientTransformationExtraArgs:
        CALLS[name] += 1
        inner = optax.with_extra_args_support(factory(*args, **kwargs))

        def init(params: optax.Params) -> optax.OptState:
            CALLS[name] += 1
            return inner.init(params)

        def update(
            updates: optax.Updates,
            state: optax.OptState,
            params: optax.Params | None = None,
            **extra_args: Any,
        ) -> tuple[optax.Updates, optax.OptState]:
            CALLS[name] += 1
            if params is None and not needs_params:
                params = updates
            return inner.update(updates, state, params, **extra_args)

        return optax.GradientTransformationExtraArgs(init, update)

    build.__name__ = name
    build.__signature__ = _as_annotated_by_optax(factory)  # type: ignore[attr-defined]
    return build


def _as_annotated_by_optax(factory: Callable[..., Any]) -> inspect.Signature:
    """Return the signature with Optax's type of learning rates.

    A test of Optax asks for that very object before it tries a schedule.
    """
    signature = inspect.signature(factory)
    return signature.replace(
        parameters=[
            p.replace(annotation=optax.ScalarOrSchedule)
            if p.name == "learning_rate"
            else p
            for p in signature.parameters.values()
        ]
    )


OPTIMIZERS = {name: info.factory for name, info in optaxwd.list_optimizers().items()}
STAND_INS = {
    name: _counted(name, factory, needs_params=needs_params)
    for factories, needs_params in (
        (_without_decay(), False),
        ({**OPTIMIZERS, "lion": optaxwd.lionw}, True),
        (_transforms(), True),
    )
    for name, factory in factories.items()
}
