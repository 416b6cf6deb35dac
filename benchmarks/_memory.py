"""Memory that one candidate takes while it steps, in a process of its own."""

import contextlib
import pathlib
import resource
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

import optaxwd
from benchmarks import _torch
from benchmarks._cases import CASES, LEAVES_OF_STEPS, Case
from benchmarks._steps import build_runners
from benchmarks._tensors import Tensors, make_tensors

_STEPS = 3
_SMALL = 100_000
_STATUS = pathlib.Path("/proc/self/status")


def watch_memory(options: dict[str, Any]) -> dict[str, Any]:
    """Step one candidate and return the peak of memory above what was there before.

    The peak holds one tree of gradients, the parameters, the state, and whatever a step
    needs beside them.

    Args:
      options: ``case``, ``candidate`` and ``size`` (parameters).
    """
    case = CASES[options["case"]]
    case = case._replace(candidates=(case[options["candidate"]],))
    tensors = make_tensors(options["size"], LEAVES_OF_STEPS)
    tensors = tensors._replace(grads=tensors.grads[:1])
    library = case.candidates[0].origin
    reason = _torch.reason_to_skip()
    if library == "torch" and reason is not None:
        return {"skipped": reason}
    # Compilers and what is imported late take memory too, which is not measured.
    _steps_of(case, make_tensors(_SMALL, LEAVES_OF_STEPS))
    # torch reads the gradients where NumPy has put them, before the peak starts.
    shared = library == "torch" and case.candidates[0].law.max_norm is None
    given = sum(leaf.nbytes for leaf in tensors.grads[0]) if shared else 0
    before = reset_peak()
    runner = _steps_of(case, tensors)
    return {
        "count": tensors.count,
        "peak_bytes": peak() - before + given,
        "state_bytes": runner.state_bytes(),
        "device_peak_bytes": device_peak(library),
    }


def _steps_of(case: Case, tensors: Tensors) -> Any:
    """Return the runner of a case's only candidate after a few steps."""
    (runner,) = build_runners(case, tensors)[0].values()
    for _ in range(_STEPS):
        runner.step()
        runner.wait()
    return runner


def watch_audit(options: dict[str, Any]) -> dict[str, Any]:
    """Audit an optimizer over a large model; return seconds and the peak of memory.

    Args:
      options: ``size`` (parameters).
    """
    tensors = make_tensors(options["size"], LEAVES_OF_STEPS)
    params = {
        name: jnp.array(leaf)
        for name, leaf in zip(tensors.names, tensors.params, strict=True)
    }
    count, size = tensors.count, sum(leaf.nbytes for leaf in params.values())
    before = reset_peak()
    start = time.perf_counter()
    optaxwd.audit(CASES["adamw"]["optaxwd"].build(), params)
    seconds = time.perf_counter() - start
    return {
        "count": count,
        "seconds": seconds,
        "peak_share": (peak() - before) / size,
    }


def reset_peak() -> int:
    """Let the peak start anew where the system can, and return the memory in use."""
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """Return the largest memory that this process has had, in bytes."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_peak(library: str) -> int | None:
    """Return the largest memory that was in use on an accelerator, if it tells."""
    if library == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use")
