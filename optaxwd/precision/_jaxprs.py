"""Traced computations: their variables, one equation at a time, and without calls."""

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal, Primitive, jaxpr_as_fun

_CALLS = {"closed_call", "jit", "pjit"}


def variables_of(atoms: Iterable[Any]) -> list[Any]:
    """Return what is no literal."""
    return [atom for atom in atoms if not isinstance(atom, Literal)]


def value_of(atom: Any, known: dict[Any, Any]) -> Any:
    """Return the value of a variable or of a literal."""
    if isinstance(atom, Literal):
        aval: Any = atom.aval
        return np.asarray(atom.val, aval.dtype)
    return known[atom]


def results_of(equation: Any, known: dict[Any, Any], computation: Any) -> list[Any]:
    """Return what an equation of a computation makes of values that are known."""
    primitive = equation.primitive
    # Names in profiles, and what a context asks for: where to compute, and how to draw.
    scope = jax.named_scope(str(equation.source_info.name_stack))
    if type(primitive).get_bind_params is Primitive.get_bind_params:
        values = [value_of(atom, known) for atom in equation.invars]
        with scope, equation.ctx.manager:
            made = primitive.bind(*values, **equation.params)
        return made if primitive.multiple_results else [made]

    # It has functions among its parameters, whose form differs between versions.
    read = variables_of(equation.invars)
    # What arguments are called in messages; it has to be as long as they are.
    names = computation.debug_info._replace(
        arg_names=("",) * len(read), result_paths=("",) * len(equation.outvars)
    )
    alone = computation.replace(
        constvars=[],
        invars=read,
        outvars=equation.outvars,
        eqns=[equation],
        debug_info=names,
    )
    with scope:
        return jaxpr_as_fun(ClosedJaxpr(alone, ()))(*(known[v] for v in read))


def without_calls(traced: Any, arguments: list[Any]) -> Any:
    """Return a traced computation with the equations of compiled functions in place.

    What these functions were compiled with, such as shardings, is lost.

    Args:
      traced: a closed jaxpr.
      arguments: like those that it was traced with.
    """
    return jax.make_jaxpr(lambda *values: _run(traced, values))(*arguments)


def _run(traced: Any, arguments: Iterable[Any]) -> list[Any]:
    computation = traced.jaxpr
    known = dict(zip(computation.constvars, traced.consts, strict=True))
    known |= zip(computation.invars, arguments, strict=True)
    for one in computation.eqns:
        if one.primitive.name in _CALLS:
            inner = one.params.get("jaxpr", one.params.get("call_jaxpr"))
            made = _run(inner, [value_of(atom, known) for atom in one.invars])
        else:
            made = results_of(one, known, computation)
        known |= zip(one.outvars, made, strict=True)
    return [value_of(atom, known) for atom in computation.outvars]
