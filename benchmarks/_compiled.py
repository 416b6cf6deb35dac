"""What is compiled, counted, and how long tracing, lowering and compiling take."""

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import optaxwd
from benchmarks._cases import (
    ADAMW,
    CLIP,
    DEFAULT_FLAGS,
    ONE_PASS,
    WITH_FLAG,
    Candidate,
    Case,
)
from benchmarks._laws import MULTIPLIERS
from benchmarks._programs import step_of
from benchmarks._tensors import as_tree, names_of, shape_of
from benchmarks._timing import alternate

_TIMED = (ADAMW, CLIP, ONE_PASS)
_FEW_LEAVES = 100  # Of more, only cases that are timed are counted: it takes minutes.
_PAIR = ("optax", "optaxwd")
_STAGES = ("trace", "lower", "compile")
_RULED_LEAVES = 10_000


def examine_compiled(options: dict[str, Any]) -> dict[str, Any]:
    """Compile the steps of JAX's candidates for one number of leaves.

    What is counted is the same in every process, so that only the first one counts.

    Args:
      options: ``leaves``, ``total`` (parameters), ``one_pass``, ``rounds`` and
        ``process``.
    """
    cases = WITH_FLAG if options["one_pass"] else DEFAULT_FLAGS
    some = [case for case in _TIMED if case.name in cases]
    if options["leaves"] <= _FEW_LEAVES:
        some = list(cases.values())
    facts = {
        case.name: _facts_of(case, options) for case in some if options["process"] == 0
    }
    times = {case.name: _times(case, options) for case in _TIMED if case.name in cases}
    return {"facts": facts, "times": times, "rules_seconds": _rules_seconds()}


def _facts_of(case: Case, options: dict[str, Any]) -> dict[str, Any]:
    return {
        one.name: _facts(one.build(), *_arguments(one, options, case.dtype))
        for one in case.candidates
        if one.origin != "torch"
    }


def _arguments(candidate: Candidate, options: dict[str, Any], dtype: str) -> Any:
    """Return gradients, parameters and state by shape only."""
    leaf = jax.ShapeDtypeStruct(
        shape_of(options["total"], options["leaves"]), jnp.dtype(dtype)
    )
    params = as_tree(names_of(options["leaves"]), [leaf] * options["leaves"])
    return params, params, jax.eval_shape(candidate.build().init, params)


def _facts(
    optimizer: optax.GradientTransformation, grads: Any, params: Any, state: Any
) -> dict[str, float]:
    traced = step_of(optimizer).trace(grads, params, state)
    lowered = traced.lower()
    compiled = lowered.compile()
    program = compiled.as_text() or ""
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    memory = compiled.memory_analysis()
    sizes = {
        f"{kind} bytes": getattr(memory, f"{kind}_size_in_bytes") / count
        for kind in ("argument", "output", "alias", "temp")
    }
    return {
        "bytes accessed": (compiled.cost_analysis() or {})["bytes accessed"] / count,
        "fusions": program.count(" fusion("),
        "copies": program.count(" copy("),
        "array equations": count_equations(traced.jaxpr.jaxpr),
        "StableHLO characters": len(lowered.as_text()),
        "state bytes": _bytes(state) / count,
        **sizes,
    }


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def count_equations(jaxpr: Any) -> int:
    """Return how many equations of a jaxpr make arrays, those of calls included."""
    found = 0
    for equation in jaxpr.eqns:
        inner = [
            getattr(value, "jaxpr", value)
            for value in equation.params.values()
            if hasattr(getattr(value, "jaxpr", value), "eqns")
        ]
        if inner:
            found += sum(map(count_equations, inner))
        else:
            found += any(getattr(var.aval, "ndim", 0) for var in equation.outvars)
    return found


def _times(case: Case, options: dict[str, Any]) -> dict[str, Any]:
    """Return median seconds of each stage, by candidate, measured in turns."""
    kept: dict[str, list[list[float]]] = {}

    def turn_of(one: Candidate) -> Callable[[], float]:
        arguments = _arguments(one, options, case.dtype)
        rows = kept[one.name] = []

        def turn() -> float:
            rows.append(_compile_once(one, arguments))
            return sum(rows[-1])

        return turn

    turns = {one.name: turn_of(one) for one in case.candidates if one.name in _PAIR}
    alternate(turns, 1)  # The first time, JAX imports what it needs.
    for rows in kept.values():
        rows.clear()
    alternate(turns, options["rounds"])
    stages = {
        name: dict(
            zip(_STAGES, map(statistics.median, zip(*rows, strict=True)), strict=True)
        )
        for name, rows in kept.items()
    }
    return {"reference": case.reference, "stages": stages}


def _compile_once(candidate: Candidate, arguments: Any) -> list[float]:
    """Return the seconds of each stage, from scratch."""
    jax.clear_caches()
    at = [time.perf_counter()]
    traced = step_of(candidate.build()).trace(*arguments)
    at.append(time.perf_counter())
    lowered = traced.lower()
    at.append(time.perf_counter())
    lowered.compile()
    at.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(at)]


def _rules_seconds() -> float:
    """Return how long rules take to say what decays among 10,000 leaves."""
    names = names_of(_RULED_LEAVES)
    params = as_tree(names, [jax.ShapeDtypeStruct((2,), jnp.float32)] * len(names))
    rules = optaxwd.DecayRules(
        [(f".*/{kind}", multiplier) for kind, multiplier in MULTIPLIERS.items()]
    )
    start = time.perf_counter()
    rules.multipliers(params)
    return time.perf_counter() - start
