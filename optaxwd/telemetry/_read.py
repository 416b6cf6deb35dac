"""What a state has recorded, as a flat dict of numbers."""

from typing import Any

import numpy as np

from optaxwd._checks import is_known
from optaxwd.telemetry._groups import names_in
from optaxwd.telemetry._measures import OF_MOMENTS, PREDICTED, UNDEFINED
from optaxwd.telemetry._rates import (
    Node,
    current_rates,
    hyperparameters,
    nodes,
)
from optaxwd.tree import Path

_OWNER = "read_telemetry"
_MAY_BE_UNDEFINED = (*PREDICTED, *OF_MOMENTS)
# What only the state of a recorder has all of.
_SIGNATURE = {"telemetry_count", "recorded_step", "recorded_groups", "measures"}


def read_telemetry(state: Any) -> dict[str, float]:
    r"""Return what :func:`record_decay` has recorded, ready for any tracker.

    Keys are ``quantity/path`` for every leaf (or group), ``quantity`` alone for all
    parameters together, ``step`` for the update that was recorded, counted from 0, and
    ``learning_rate`` and ``weight_decay`` as of the last update, where the state says
    them: that of :func:`record_decay` with these arguments, of the optimizers of this
    library, and of ``optax.inject_hyperparams``, whose other hyper-parameters are
    ``hyperparams/name``. ``docs/telemetry.md`` defines the quantities. A quantity that
    is not defined, such as the rotation at equilibrium of a leaf that does not decay,
    has no key; before the first update there are only the rates.

    Args:
      state: the state of an optimizer, or anything that holds it: what
        ``optax.chain``, ``partition``, ``MultiSteps``, ``inject_hyperparams`` and other
        wrappers make of it, an ``nnx.Optimizer``, a ``TrainState``, a checkpoint that
        was restored without a target. Of several recorders, as under
        ``optax.partition``, the keys without a path end with ``/`` and the label.

    Returns:
      A dict from slash-separated names to Python floats.

    Raises:
      ValueError: if the state holds nothing of that, or is that of several runs at
        once, as under ``jax.vmap``.
      TypeError: if it is called inside of ``jax.jit``.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optax.inject_hyperparams(optax.adamw)(lambda count: 0.1 / (count + 1))
      >>> optaxwd.read_telemetry(tx.init(jnp.ones(2)))["learning_rate"]
      0.10000000149011612

    References:
      As of :func:`record_decay`.
    """
    state = getattr(state, "opt_state", state)
    found = [*nodes(state)]
    recorders = [node for node in found if node.fields.keys() >= _SIGNATURE]
    telemetry: dict[str, float] = {}
    taken = {
        name for node in recorders for name in names_in(node.fields["recorded_groups"])
    }
    for node, label in _labelled([(node.path, node) for node in recorders]):
        label += " (all)" if label[1:] in taken else ""
        _add(telemetry, _recorded(node, label), label)
    for name in _hyperparameters(found):
        for value, label in _labelled(_distinct(current_rates(state, name))):
            telemetry[_key(name) + label] = _number(value, name)
    if not recorders and not telemetry:
        raise ValueError(
            f"{_OWNER}: the state records nothing, got a {type(state).__name__}. Pass "
            "the state of an optimizer inside of record_decay."
        )
    return telemetry


def _recorded(node: Node, label: str) -> dict[str, float]:
    fields = node.fields
    step = _number(fields["recorded_step"], "recorded_step")
    if step < 0:
        return {}
    groups = names_in(fields["recorded_groups"])
    telemetry = {f"step{label}": step}
    for quantity, values in sorted(fields["measures"].items()):
        of_groups = _array(values)
        _check_one_run(of_groups, 1, quantity)
        keys = [*(f"{quantity}/{name}" for name in groups), f"{quantity}{label}"]
        for key, value in zip(keys, of_groups.tolist(), strict=True):
            if quantity not in _MAY_BE_UNDEFINED or value != UNDEFINED:
                # No negative zero: the rate of what does not decay is 0.
                telemetry[key] = value + 0.0
    return telemetry


def _add(telemetry: dict[str, float], more: dict[str, float], label: str) -> None:
    """Add the records of one more recorder; what is there already gets its label."""
    for key, value in more.items():
        telemetry[f"{key} ({label[1:]})" if key in telemetry else key] = value


def _hyperparameters(found: list[Node]) -> list[str]:
    """Return the two rates, and the names of all numbers that are injected."""
    names = ["learning_rate", "weight_decay"]
    for node in found:
        injected = hyperparameters(node.fields)
        names += [name for name, x in injected.items() if hasattr(x, "dtype")]
    return [*dict.fromkeys(names)]


def _key(name: str) -> str:
    rates = ("learning_rate", "weight_decay")
    return name if name in rates else f"hyperparams/{name}"


def _distinct(places: list[tuple[Path, Any]]) -> list[tuple[Path, Any]]:
    """Return one of several places that say the same."""
    values = {_number(value, "a hyper-parameter") for _, value in places}
    return places[:1] if len(values) == 1 else places


def _labelled(places: list[tuple[Path, Any]]) -> list[tuple[Any, str]]:
    """Return each with what tells its place from the others', if there are any."""
    if len(places) == 1:
        return [(places[0][1], "")]
    # Labels that users gave are the keys of dicts, which no field of a state is.
    paths = [path for path, _ in places]
    differing = [
        tuple(key for i, key in enumerate(path) if _differs(paths, i)) for path in paths
    ]
    short = [path[:1] for path in differing]
    chosen = short if len(set(short)) == len(short) else differing
    return [
        (value, "/" + ("/".join(path) or "outermost"))
        for (_, value), path in zip(places, chosen, strict=True)
    ]


def _differs(paths: list[Path], i: int) -> bool:
    return len({path[i : i + 1] for path in paths}) > 1


def _number(value: Any, name: str) -> float:
    array = _array(value)
    _check_one_run(array, 0, name)
    return float(array)


def _array(value: Any) -> np.ndarray:
    if not is_known(value):
        raise TypeError(
            f"{_OWNER}: the state must hold values, got the traced {value!r}. Return "
            "the state from the compiled step, and read it outside."
        )
    # Flax NNX keeps the arrays of a state in boxes of its own.
    return np.asarray(value if isinstance(value, (int, float)) else value[...])


def _check_one_run(array: np.ndarray, axes: int, name: str) -> None:
    if array.ndim != axes:
        raise ValueError(
            f"{_OWNER}: the state is that of several runs, got {name} of shape "
            f"{array.shape}. Pass one run: jax.tree.map(lambda x: x[0], state)."
        )
