"""A record of a run, made up, in which torch is faster and nothing else is."""

import pytest

from benchmarks._cases import CASES
from benchmarks._leaves import BACKWARD, CALL, TRAIN
from benchmarks._steps import LIMIT

SECONDS = {"optax": 2.0, "optaxwd": 1.5, "torch fused": 1.0, "torch foreach": 1.55}


def equality(passed=True):
    bound = {"largest": 1e-3, "rms": 1e-3, "why": "float32"}
    error = 1e-4 if passed else 0.5
    return {
        "largest": error,
        "rms": error,
        "compared": 10,
        "undecided": 0,
        "passed": passed,
        "bound": bound,
    }


def measured(case, seconds):
    return {
        "reference": case.reference,
        "skipped": {},
        "equality": {one.name: equality() for one in case.candidates},
        "seconds": seconds,
        "drifts": [0.01],
        "refused": False,
        "others": 0.0,
    }


def step_run(size, process, one_pass):
    cases = {}
    for name, case in CASES.items():
        if name.startswith("one pass") == one_pass:
            seconds = {
                one.name: [1e-9 * size * SECONDS.get(one.name, 1.6)] * 4
                for one in case.candidates
            }
            if case.limit:
                seconds[LIMIT] = [0.9e-9 * size] * 4
            cases[name] = measured(case, seconds)
    job = {"section": "steps", "size": size, "process": process, "one_pass": one_pass}
    return {"job": job, "result": {"count": size, "cases": cases}}


def leaf_run(leaves):
    seconds = {name: [1e-5 * leaves * s] * 4 for name, s in SECONDS.items()}
    for name in ("optax", "optaxwd"):
        for rest, factor in ((CALL, 0.5), (TRAIN, 3.0), (BACKWARD, 2.2)):
            seconds[f"{name} {rest}"] = [factor * one for one in seconds[name]]
    cases = {"adamw": measured(CASES["adamw"], seconds)}
    job = {"section": "leaves", "leaves": leaves, "process": 0}
    return {"job": job, "result": {"count": 10**6, "cases": cases}}


def compiled_run(leaves):
    facts = {
        name: {
            one.name: {"bytes accessed": 40.0, "fusions": 3, "state bytes": 2.03}
            for one in case.candidates
            if one.origin != "torch"
        }
        for name, case in CASES.items()
    }
    stages = {"trace": 1.0, "lower": 1.0, "compile": 2.0}
    times = {
        "adamw": {"reference": "optax", "stages": {"optax": stages, "optaxwd": stages}}
    }
    result = {"facts": facts, "times": times, "rules_seconds": 0.1}
    return {"job": {"section": "compiled", "leaves": leaves}, "result": result}


@pytest.fixture
def record():
    """Two sizes, two processes, two numbers of leaves."""
    machine = {
        "backend": "cpu",
        "device": "cpu",
        "cpu": "a processor",
        "cores": 2,
        "system": "a system",
        "python": "3.11",
        "versions": {"jax": "1", "torch": None},
        "date": "2026-01-01T00:00:00+00:00",
        "XLA_FLAGS": "",
        "command": "python -m benchmarks",
    }
    runs = [
        step_run(size, process, one_pass)
        for size in (10**5, 10**6)
        for process in (0, 1)
        for one_pass in (False, True)
    ]
    runs += [leaf_run(10), leaf_run(400), compiled_run(16), compiled_run(400)]
    return {"machine": machine, "runs": runs}
