"""Which outputs of a traced function depend on which inputs."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend


def dependent_outputs(
    function: Callable[..., Any], inputs: Sequence[Any], *others: Any
) -> list[bool]:
    """Return for each leaf of ``function(inputs, *others)`` if it reads ``inputs``.

    The function is traced and not run. What loops compute counts as dependent as soon
    as anything that goes in does.

    Args:
      function: of a list of arrays and of other pytrees of arrays.
      inputs: arrays or their shapes.
      others: pytrees of arrays or of their shapes.
    """
    traced = jax.make_jaxpr(function)(inputs, *others)
    flags = [i < len(inputs) for i in range(len(traced.jaxpr.invars))]
    return _follow(traced.jaxpr, flags)


def _follow(jaxpr: Any, flags: Sequence[bool]) -> list[bool]:
    known = dict(zip(jaxpr.invars, flags, strict=True))

    def depends(variable: Any) -> bool:
        # Literals cannot be looked up, and constants are not in the table.
        if isinstance(variable, jax.extend.core.Literal):
            return False
        return known.get(variable, False)

    for equation in jaxpr.eqns:
        outputs = _through(equation, [*map(depends, equation.invars)])
        known.update(zip(equation.outvars, outputs, strict=True))
    return [*map(depends, jaxpr.outvars)]


def _through(equation: Any, flags: list[bool]) -> list[bool]:
    """Return which results of one operation depend."""
    everything = [any(flags)] * len(equation.outvars)
    if not any(flags):
        return everything
    if equation.primitive.name == "cond":
        index, *operands = flags
        followed = [_follow(x.jaxpr, operands) for x in equation.params["branches"]]
        return [index or any(column) for column in zip(*followed, strict=True)]
    if equation.primitive.name in ("scan", "while"):
        return everything
    for value in equation.params.values():
        inner = getattr(value, "jaxpr", value)
        if hasattr(inner, "eqns") and len(inner.invars) == len(flags):
            return _follow(inner, flags)
    return everything
