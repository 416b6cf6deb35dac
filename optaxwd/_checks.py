"""Argument checks with one message form: what is wrong, the value, what to do."""

import difflib
import math
from collections.abc import Iterable
from numbers import Number
from typing import Any

import jax
import jax.core
import numpy as np

from optaxwd._typing import ScalarOrSchedule


def is_static_number(value: Any) -> bool:
    """Return whether ``value`` is a Python or NumPy number, so known at build time."""
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and np.issubdtype(value.dtype, np.number)
    return isinstance(value, (Number, np.number)) and not isinstance(value, bool)


def is_known(value: Any) -> bool:
    """Return whether ``value`` can be looked at now: all but traced arrays can."""
    return not isinstance(value, jax.core.Tracer)


def check_scalar(
    value: Any, name: str, owner: str, *, kind: str = "a number or a scalar array"
) -> None:
    """Raise unless ``value`` is a finite number >= 0 or a scalar array of one.

    Of a traced array only shape and dtype are known, and only these are checked.
    """
    is_array = isinstance(value, (jax.Array, np.ndarray))
    is_number = is_static_number(value) or (is_array and value.dtype != bool)
    if not is_number:
        raise TypeError(
            f"{owner}: {name} must be {kind}, got {value!r} of type "
            f"{type(value).__name__}."
        )
    if is_array and value.ndim != 0:
        raise ValueError(
            f"{owner}: {name} must be a scalar, got an array of shape {value.shape}. "
            "To choose parameters use `mask`; for a sweep use `jax.vmap`."
        )
    if np.issubdtype(getattr(value, "dtype", type(value)), np.complexfloating):
        raise TypeError(f"{owner}: {name} must be real, got {value!r}.")
    # As a float: while a step is traced, comparing an array gives a tracer.
    if is_known(value) and not 0 <= float(value) < math.inf:
        raise ValueError(f"{owner}: {name} must be finite and >= 0, got {value!r}.")


def check_scalar_or_schedule(value: ScalarOrSchedule, name: str, owner: str) -> None:
    """Raise unless ``value`` is a schedule or passes :func:`check_scalar`."""
    if not callable(value):
        kind = "a number, a scalar array or a schedule (a function of the step count)"
        check_scalar(value, name, owner, kind=kind)


def check_decay_factor(value: Any, name: str, owner: str) -> None:
    """Raise unless ``value``, the rate of a moving average, lies in [0, 1)."""
    check_scalar(value, name, owner)
    if is_known(value) and float(value) >= 1:
        raise ValueError(
            f"{owner}: {name} must be in [0, 1), got {value!r}: a moving average with "
            "rate 1 never sees a gradient and its bias correction divides by zero."
        )


def check_positive(value: Any, name: str, owner: str) -> None:
    """Raise unless ``value`` passes :func:`check_scalar` and is not zero."""
    if isinstance(value, (int, float)) and value != 0 and not 0 < value < math.inf:
        raise ValueError(f"{owner}: {name} must be finite and > 0, got {value!r}.")
    check_scalar(value, name, owner)
    if is_known(value) and float(value) == 0:
        raise ValueError(f"{owner}: {name} must be > 0, got {value!r}.")


def check_number(value: Any, name: str, owner: str, *, positive: bool = False) -> float:
    """Return a number that is known now as a float, or raise as the checks above."""
    if not is_known(value):
        raise TypeError(
            f"{owner}: {name} must be known before a run is compiled, got the traced "
            f"{value!r}. Call {owner} outside of `jax.jit` and `jax.vmap`."
        )
    (check_positive if positive else check_scalar)(value, name, owner)
    return float(value)


def is_int(value: Any) -> bool:
    """Return whether ``value`` is a Python or NumPy integer and no bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_count(value: Any, name: str, owner: str) -> None:
    """Raise unless ``value`` is an integer >= 0, such as a number of axes."""
    if not is_int(value) or value < 0:
        raise ValueError(f"{owner}: {name} must be a whole number >= 0, got {value!r}.")


# Optax counts steps in int32.
LONGEST = 2**31 - 1


def check_steps(value: Any, name: str, owner: str, *, minimum: int = 1) -> int:
    """Return a number of steps as an int, or raise unless it is whole and in range.

    Whole floats such as ``1e6`` pass.
    """
    number = check_number(value, name, owner)
    if not (number == int(number) and minimum <= number <= LONGEST):
        raise ValueError(
            f"{owner}: {name} must be a whole number from {minimum} to {LONGEST}, got "
            f"{value!r}."
        )
    return int(number)


def check_bool(value: Any, name: str, owner: str) -> None:
    """Raise unless ``value`` is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"{owner}: {name} must be True or False, got {value!r} of type "
            f"{type(value).__name__}."
        )


def check_choice(
    value: Any,
    choices: Iterable[str],
    name: str,
    owner: str,
    *,
    aliases: Iterable[str] = (),
) -> None:
    """Raise unless ``value`` is one of ``choices`` or ``aliases``.

    The message lists the choices; its hint knows the aliases too.
    """
    choices, known = tuple(choices), (*choices, *aliases)
    if isinstance(value, str) and value in known:
        return
    close = difflib.get_close_matches(str(value).lower(), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"{owner}: unknown {name} {value!r}; choose one of "
        f"{', '.join(map(repr, choices))}.{hint}"
    )


def is_transformation(value: Any) -> bool:
    """Return whether ``value`` has the ``init`` and ``update`` of a transformation."""
    return callable(getattr(value, "init", None)) and callable(
        getattr(value, "update", None)
    )


def check_transformation(value: Any, name: str, owner: str) -> None:
    """Raise unless ``value`` has the ``init`` and ``update`` of a transformation."""
    if is_transformation(value):
        return
    called = " Call it first: a factory is not a transformation."
    raise TypeError(
        f"{owner}: {name} must be an optax.GradientTransformation, got {value!r} of "
        f"type {type(value).__name__}.{called if callable(value) else ''}"
    )


def check_params(params: Any, owner: str) -> Any:
    """Return the parameters, or raise if ``update`` was called without them."""
    if params is None:
        raise ValueError(
            f"{owner} reads the parameters but got params=None: call "
            "`update(updates, state, params)`."
        )
    return params


def one_mask(mask: Any, weight_decay_mask: Any, owner: str) -> Any:
    """Return the mask, given by either of its two names."""
    if mask is not None and weight_decay_mask is not None:
        raise ValueError(
            f"{owner}: mask={mask!r} and weight_decay_mask={weight_decay_mask!r} are "
            "two names of one argument: pass only one of them."
        )
    return weight_decay_mask if mask is None else mask
