"""Load a module of Optax's tests so that it finds ours where it looks for Optax's."""

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest import mock

from absl.testing import parameterized

from tests.peers._stand_ins import OPTIMIZERS, STAND_INS

# Where the usual learning rate of 0.01 does not bring an optimizer to Optax's targets.
_OPTIONS: dict[str, dict[str, float]] = {
    # It cannot read the peak of a learning rate that inject_hyperparams traces.
    "adamc": {"peak_learning_rate": 1e-2},
    # Its bound on the norm is set after 1000 steps; by then it must have arrived.
    "adamcpr": {"learning_rate": 5e-2},
    # Smaller steps stand still in Rosenbrock's valley: decay shrinks them for good.
    "amos": {"learning_rate": 0.1, "expected_scale": 1.0},
    # With the default λ of 1 no parameter leaves ±1/λ, and targets lie beyond.
    "rotational_lion": {"learning_rate": 3e-3, "weight_decay": 1e-3},
    # Rosenbrock's valley is too steep for the steps of SGD.
    **{
        name: {"learning_rate": 1e-3}
        for name in ("rotational_sgd", "sgd_l2", "sgdp", "sgds", "sgdw")
    },
}


class Shadow(types.ModuleType):
    """A module of Optax, seen with our functions under Optax's names.

    Optax itself is not touched: its own modules go on using their own functions.
    """

    def __init__(self, module: types.ModuleType) -> None:
        super().__init__(module.__name__)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name in STAND_INS:
            return STAND_INS[name]
        value = getattr(self._module, name)
        return Shadow(value) if _is_optax(value) else value


def _is_optax(value: Any) -> bool:
    return isinstance(value, types.ModuleType) and (
        value.__name__.partition(".")[0] == "optax"
    )


def load(name: str) -> types.ModuleType:
    """Return the test module ``name``, with shadows for all that it imports of Optax.

    Its tables of optimizers are changed too, by :func:`with_ours`.
    """
    # Once as it is, so that what it imports itself imports no shadow.
    spec = importlib.import_module(name).__spec__
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    shadows = {
        key: Shadow(value) for key, value in sys.modules.items() if _is_optax(value)
    }
    product = _with_our_tables(parameterized.product)
    with (
        mock.patch.dict(sys.modules, shadows),
        mock.patch.object(parameterized, "product", product),
    ):
        spec.loader.exec_module(module)
    return module


def _with_our_tables(product: Callable[..., Any]) -> Callable[..., Any]:
    def ours(*tables: Any, **axes: Any) -> Any:
        return product(*map(with_ours, tables), **axes)

    return ours


def with_ours(table: Sequence[Any]) -> Sequence[Any]:
    """Return a table of optimizers with only those that are ours, and all of ours.

    Optax's wrappers stay where they wrap one of ours. The common contract, whose table
    has wrappers, is for every optimizer there is; that of the aliases for aliases.
    """
    first = table[0]
    if not isinstance(first, Mapping) or "opt_name" not in first:
        return table
    kept = [row for row in table if row["opt_name"] in STAND_INS]
    if "wrapper_name" not in first:
        return kept
    alone = {"wrapper_name": None, "wrapper_kwargs": None}
    ours = [
        {
            "opt_name": name,
            "opt_kwargs": {"learning_rate": 1e-2, **_OPTIONS.get(name, {})},
            **alone,
        }
        for name in OPTIMIZERS
    ]
    return kept + ours
