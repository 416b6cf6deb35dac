"""Step time over parameters: all candidates of all cases, checked and then timed."""

import gc
from typing import Any

import jax

from benchmarks import _torch
from benchmarks._bandwidth import bandwidth_runner
from benchmarks._cases import (
    ATTEMPTS,
    CHECKED_STEPS,
    DEFAULT_FLAGS,
    DRIFT,
    LEAVES_OF_STEPS,
    WITH_FLAG,
    Candidate,
    Case,
)
from benchmarks._equality import Equality, check, stride_of
from benchmarks._programs import JaxRunner, on_device, step_of
from benchmarks._tensors import Tensors, make_tensors
from benchmarks._timing import Effort, Timed, in_turns, measure, turn_of

LIMIT = "limit"


def effort_of(options: dict[str, Any]) -> Effort:
    """Return how long to measure; on accelerators calls may return early."""
    wait_each = jax.default_backend() == "cpu"
    return Effort(options["rounds"], options["seconds"], wait_each)


def time_steps(options: dict[str, Any]) -> dict[str, Any]:
    """Measure one size in this process.

    Args:
      options: ``size`` (parameters), ``one_pass``, ``rounds``, ``seconds``,
        ``process`` (its number), and ``brief``: only cases that have a floor.
    """
    tensors = make_tensors(options["size"], LEAVES_OF_STEPS)
    cases = WITH_FLAG if options["one_pass"] else DEFAULT_FLAGS
    if options["brief"]:
        cases = {name: case for name, case in cases.items() if case.bytes is not None}
    effort = effort_of(options)
    return {
        "count": tensors.count,
        "cases": {
            name: _time_case(case, tensors, effort, options["process"])
            for name, case in cases.items()
        },
    }


def _time_case(
    case: Case, tensors: Tensors, effort: Effort, process: int
) -> dict[str, Any]:
    tensors = tensors.rounded(case.dtype)
    runners, skipped = build_runners(case, tensors, process)
    equality = check_all(case, runners, tensors)
    if case.limit:
        runners[LIMIT] = bandwidth_runner(tensors.count)
    timed = time_in_turns(runners, case.reference, effort)
    runners.clear()
    gc.collect()
    return {
        "reference": case.reference,
        "skipped": skipped,
        "equality": {name: one._asdict() for name, one in equality.items()},
        **timed._asdict(),
    }


def time_in_turns(runners: dict[str, Any], reference: str, effort: Effort) -> Timed:
    """Measure runners under the thresholds that hold for all of them."""
    turns = {name: turn_of(runner, effort) for name, runner in runners.items()}
    return measure(turns, reference, effort.rounds, limit=DRIFT, attempts=ATTEMPTS)


def build_runners(
    case: Case, tensors: Tensors, process: int = 0
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what can be run, and why the others cannot, by candidate.

    Where arrays lie in memory moves a time by up to a fifth, and who comes first gets
    other places: so every other process builds in reverse order.
    """
    reason = _torch.reason_to_skip()
    grads = [on_device(tensors, tree, case.dtype) for tree in tensors.grads]
    runners: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    for one in in_turns(case.candidates, process):
        if one.origin != "torch":
            runners[one.name] = jax_runner(one, tensors, case.dtype, grads)
        elif reason is None:
            runners[one.name] = _torch.TorchRunner(
                one.build, tensors, case.dtype, one.law.max_norm
            )
        else:
            skipped[one.name] = reason
    return runners, skipped


def jax_runner(
    candidate: Candidate, tensors: Tensors, dtype: str, grads: list[Any]
) -> JaxRunner:
    """Return a candidate's steps over its own copy of the parameters."""
    optimizer = candidate.build()
    params = on_device(tensors, tensors.params, dtype)
    return JaxRunner(step_of(optimizer), params, optimizer.init(params), grads)


def check_all(
    case: Case, runners: dict[str, Any], tensors: Tensors
) -> dict[str, Equality]:
    """Take the first steps with every runner and compare all with the reference."""
    found = {}
    for name, runner in runners.items():
        for _ in range(CHECKED_STEPS):
            runner.step()
        runner.wait()
        leaves = runner.parameters(stride_of(tensors.count))
        candidate = case[name]
        found[name] = check(
            leaves, tensors, candidate.law, candidate.tolerance, CHECKED_STEPS
        )
    return found
