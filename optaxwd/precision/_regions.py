"""Parts of a computation that lead from stored arrays to new ones, entry by entry.

Whoever stores blocks in 8 bits needs the new numbers of a whole block before the first
code. A kernel that makes them from the old codes by itself spares them the way through
memory. What it has to compute is read off the traced transformation, so that any one
has such kernels, and whatever is around it.
"""

import collections
import graphlib
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend.core import Literal

from optaxwd.precision._jaxprs import variables_of

_DTYPES = {"bool", "int32", "uint32", "float16", "bfloat16", "float32"}
# None of them has a shape among its parameters, and Triton compiles them for all these,
# with 16 bits widened to 32.
_ARITHMETIC = {"add", "div", "integer_pow", "mul", "neg", "square", "sub"}
_LOGIC = {"and", "eq", "ge", "gt", "is_finite", "le", "lt", "ne", "not", "or", "xor"}
_CHOICES = {"abs", "clamp", "convert_element_type", "max", "min", "select_n", "sign"}
_OF_ALL = _ARITHMETIC | _LOGIC | _CHOICES | {"ceil", "floor"}
# And these for floats alone.
_OF_FLOATS = {
    *("cbrt", "exp", "exp2", "expm1", "log", "log1p", "logistic", "pow", "rsqrt"),
    *("sqrt", "tanh"),
}

# Of a kernel, of which each stored array has up to five. Kernels of many more take XLA
# longer to compile than what they replace.
_MOST_ARGUMENTS = 64


class Region(NamedTuple):
    """Equations over arrays of one shape, entry by entry.

    Attributes:
      held: which of the stored arrays it loads and stores.
      equations: what it computes, in order.
      arrays: variables with the shape that it reads beside the stored ones.
      scalars: variables of one number that it reads.
      results: variables that others read.
    """

    held: tuple[int, ...]
    equations: tuple[Any, ...]
    arrays: tuple[Any, ...]
    scalars: tuple[Any, ...]
    results: tuple[Any, ...]


def signature_of(region: Region, computation: Any) -> Hashable:
    """Return what regions have in common that compute the same, under other names."""
    names: dict[Any, int] = {}

    def name(atom: Any) -> Hashable:
        if isinstance(atom, Literal):
            return str(atom.aval), repr(atom.val)
        return names.setdefault(atom, len(names)), str(atom.aval)

    loaded = [computation.invars[i] for i in region.held]
    stored = [computation.outvars[i] for i in region.held]
    ports = (loaded, region.arrays, region.scalars, region.results, stored)
    equations = [
        (
            one.primitive,
            frozenset(one.params.items()),
            tuple(map(name, one.invars)),
            tuple(map(name, one.outvars)),
        )
        for one in region.equations
    ]
    return (*(tuple(map(name, port)) for port in ports), *equations)


def split(computation: Any, count: int) -> list[Any] | None:
    """Return regions and the equations that go on outside, each after what it reads.

    What leads to a region from arrays in memory alone is in it, and outside too if it
    is read there: to compute it twice costs no way through memory.

    Args:
      computation: a jaxpr without calls. Its first ``count`` inputs are loaded from
        what is stored, and its first ``count`` outputs are stored in their places.
      count: of the stored arrays. Each is in one region.

    Returns:
      ``None`` if a region had to wait for one of its own results or had more arrays
      than a kernel takes, if what is to be stored is a constant, or if something has
      effects, whose order would change.
    """
    is_variable = len(variables_of(computation.outvars[:count])) == count
    if computation.effects or not is_variable:
        return None
    equations = _live(computation)
    flow = _Flow(
        equations,
        {v: k for k, one in enumerate(equations) for v in one.outvars},
        computation.invars[:count],
        computation.outvars[:count],
        variables_of(computation.outvars[count:]),
    )
    core = _leading_to_stored(flow)
    derived, at_hand = _following(flow, core)
    derived = _without_ends(flow, core, derived)
    others = [one for k, one in enumerate(flow.equations) if k not in derived]
    read = flow.read_by(others)
    inside = _with_sources(flow, derived, core | at_hand)
    computed = [flow.equations[k] for k in sorted(inside)]
    made = {v for k in derived for v in flow.equations[k].outvars}
    steps = [
        _region(flow, held, together, read & made)
        for held, together in _connected(flow, computed)
    ]
    if any(_arguments(one) > _MOST_ARGUMENTS for one in steps):
        return None
    try:
        return _in_order([*others, *steps])
    except graphlib.CycleError:
        return None


def _arguments(region: Region) -> int:
    others = (*region.arrays, *region.scalars, *region.results)
    return 5 * len(region.held) + len(others)


class _Flow(NamedTuple):
    """A computation between arrays that are loaded and stored.

    Attributes:
      equations: of the whole, in order.
      maker: of each variable that an equation makes, which one.
      loaded: variables of the stored arrays.
      stored: variables that are stored in their places.
      returned: all other variables that come out.
    """

    equations: list[Any]
    maker: dict[Any, int]
    loaded: list[Any]
    stored: list[Any]
    returned: list[Any]

    def read_by(self, equations: list[Any]) -> set[Any]:
        """Return the variables that equations read or that come out."""
        read = {v for one in equations for v in variables_of(one.invars)}
        return read.union(self.returned)


def _live(computation: Any) -> list[Any]:
    """Return the equations that something depends on."""
    needed = set(variables_of(computation.outvars))
    live = []
    for one in reversed(computation.eqns):
        if not needed.isdisjoint(one.outvars):
            live.append(one)
            needed |= set(variables_of(one.invars))
    return live[::-1]


def _leading_to_stored(flow: _Flow) -> set[int]:
    """Return which equations lead to what is stored, entry by entry."""
    found: set[int] = set()
    for old, new in zip(flow.loaded, flow.stored, strict=True):
        waiting = [new]
        while waiting:
            k = flow.maker.get(waiting.pop())
            if k is None or k in found:
                continue
            if _is_entrywise(flow.equations[k], old.aval.shape):
                found.add(k)
                waiting += _arrays(flow.equations[k])
    return found


def _following(flow: _Flow, core: set[int]) -> tuple[set[int], set[int]]:
    """Return what a region can compute from what it loads and reads anyway.

    Of AdamW, the core are the equations of both moments. The direction m/√v follows,
    so it goes along; its sum with λ·θ does not, because θ would have to be read.

    First what derives from something loaded, then what derives from other arrays alone:
    of Lion the gradient times 1 − b1. Nothing that comes late, which is after a result
    of a region, nor what has to come first: the region would wait for itself.
    """
    derived: set[int] = set()
    at_hand: set[int] = set()
    made, late = set(flow.loaded), set()
    first = _leading_to_inputs(flow, core)
    near = {v for k in core for v in _arrays(flow.equations[k])}
    for k, one in enumerate(flow.equations):
        arrays = _arrays(one)
        sources = made.intersection(arrays)
        goes_along = k in core or (
            arrays
            and k not in first
            and late.isdisjoint(variables_of(one.invars))
            and all(v in made or v in near for v in arrays)
            and _is_entrywise(one, arrays[0].aval.shape)
        )
        if goes_along:
            (derived if sources else at_hand).add(k)
            (made if sources else near).update(one.outvars)
        elif sources or not late.isdisjoint(variables_of(one.invars)):
            late.update(one.outvars)
    return derived, at_hand


def _leading_to_inputs(flow: _Flow, core: set[int]) -> set[int]:
    """Return what comes before a region, because that reads what it leads to."""
    waiting = [v for k in core for v in variables_of(flow.equations[k].invars)]
    waiting += flow.stored
    found: set[int] = set()
    for v in waiting:  # which grows
        k = flow.maker.get(v)
        if k is not None and k not in core and k not in found:
            found.add(k)
            waiting += variables_of(flow.equations[k].invars)
    return found


def _without_ends(flow: _Flow, core: set[int], derived: set[int]) -> set[int]:
    """Return what is left without what others can compute from what they read anyway.

    A result costs a way through memory. Of a direction and its sign, both read outside,
    the direction is enough: of two that follow from each other the first one stays.
    """
    made = {v for k in derived for v in flow.equations[k].outvars}.union(flow.loaded)
    others = [one for k, one in enumerate(flow.equations) if k not in derived]
    read = flow.read_by(others)
    kept: set[int] = set()
    read_inside: set[Any] = set()
    for k in sorted(derived, reverse=True):
        arrays = made.intersection(_arrays(flow.equations[k]))
        is_end = k not in core and read_inside.isdisjoint(flow.equations[k].outvars)
        if not (is_end and read.issuperset(arrays)):
            kept.add(k)
            read_inside |= arrays
    return kept


def _with_sources(flow: _Flow, derived: set[int], sources: set[int]) -> set[int]:
    """Return also those of the sources that lead to what is derived or stored."""
    waiting = [v for k in derived for v in _arrays(flow.equations[k])]
    waiting += flow.stored
    inside = set(derived)
    while waiting:
        k = flow.maker.get(waiting.pop())
        if k in sources and k not in inside:
            inside.add(k)
            waiting += _arrays(flow.equations[k])
    return inside


def _connected(
    flow: _Flow, equations: list[Any]
) -> Iterator[tuple[tuple[int, ...], list[Any]]]:
    """Yield stored arrays that equations bring together, and these equations."""
    inside = {*flow.loaded, *(v for one in equations for v in one.outvars)}
    parent = {v: v for v in inside}

    def root(v: Any) -> Any:
        while parent[v] is not v:
            parent[v] = parent[parent[v]]
            v = parent[v]
        return v

    together = [(*one.invars, *one.outvars) for one in equations]
    for atoms in [*together, *zip(flow.loaded, flow.stored, strict=True)]:
        first, *others = [v for v in variables_of(atoms) if v in inside]
        for v in others:
            parent[root(v)] = root(first)
    held, inner = collections.defaultdict(list), collections.defaultdict(list)
    for i, v in enumerate(flow.loaded):
        held[root(v)].append(i)
    for one in equations:
        inner[root(one.outvars[0])].append(one)
    for v, indices in held.items():
        yield tuple(indices), inner[v]


def _region(
    flow: _Flow, held: tuple[int, ...], equations: list[Any], results: set[Any]
) -> Region:
    made = {flow.loaded[i] for i in held}
    made |= {v for one in equations for v in one.outvars}
    read = [v for one in equations for v in variables_of(one.invars)]
    read += [flow.stored[i] for i in held]
    outside = [v for v in dict.fromkeys(read) if v not in made]
    return Region(
        held,
        tuple(equations),
        tuple(v for v in outside if v.aval.shape),
        tuple(v for v in outside if not v.aval.shape),
        tuple(v for one in equations for v in one.outvars if v in results),
    )


def _in_order(steps: list[Any]) -> list[Any]:
    def written(step: Any) -> Iterable[Any]:
        return step.results if isinstance(step, Region) else step.outvars

    def read(step: Any) -> Iterable[Any]:
        if isinstance(step, Region):
            return (*step.arrays, *step.scalars)
        return variables_of(step.invars)

    maker = {v: n for n, step in enumerate(steps) for v in written(step)}
    needs = {
        n: {maker[v] for v in read(step) if v in maker} for n, step in enumerate(steps)
    }
    return [steps[n] for n in graphlib.TopologicalSorter(needs).static_order()]


def _is_entrywise(equation: Any, shape: tuple[int, ...]) -> bool:
    """Return whether each entry of arrays of ``shape`` is made from those beside it."""
    return all(v.aval.shape == shape for v in equation.outvars) and _is_local(
        equation, shape
    )


def _is_local(equation: Any, shape: tuple[int, ...]) -> bool:
    atoms = [*equation.invars, *equation.outvars]
    if not all(_is_suited(atom, shape) for atom in atoms):
        return False
    name, dtypes = equation.primitive.name, [atom.aval.dtype for atom in atoms]
    if name == "broadcast_in_dim":  # of a number: its shape is the one parameter
        return not equation.invars[0].aval.shape
    if name == "select_n" and (dtypes[0] != jnp.bool_ or len(dtypes) != 4):
        return False
    if name in ("clamp", "max", "min") and dtypes[0] == jnp.bool_:
        return False
    are_floats = all(jnp.issubdtype(dtype, jnp.floating) for dtype in dtypes)
    return name in _OF_ALL or (name in _OF_FLOATS and are_floats)


def _is_suited(atom: Any, shape: tuple[int, ...]) -> bool:
    own, dtype = getattr(atom.aval, "shape", None), getattr(atom.aval, "dtype", None)
    if own not in ((), shape) or (isinstance(atom, Literal) and own):
        return False
    return getattr(dtype, "name", None) in _DTYPES


def _arrays(equation: Any) -> list[Any]:
    return [v for v in variables_of(equation.invars) if v.aval.shape]
