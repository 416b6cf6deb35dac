"""Which jobs a run has, and how one is run: each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

SECTIONS = ("steps", "leaves", "compiled", "memory", "audit")
Job = dict[str, Any]
_CHANGES_WHAT_IS_MEASURED = (
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_DISABLE_MOST_OPTIMIZATIONS",
    "JAX_ENABLE_X64",
)


class Size(NamedTuple):
    """How much is measured.

    Attributes:
      processes: per section and size.
      rounds, seconds: of timing; see ``Effort``.
      steps: numbers of parameters of step times.
      leaves: numbers of leaves, at ``total`` parameters.
      compiled: numbers of leaves for which programs are counted.
      compile_rounds: of timing the compiler.
      memory: numbers of parameters whose memory is watched.
      audit: parameters of the model that is audited; 0: none is.
      total: parameters of what is measured over leaves.
      brief: less of what takes long to compile: most cases only at the largest of
        ``steps``, no train steps at the largest of ``leaves``, fewer programs.
    """

    processes: int
    rounds: int
    seconds: float
    steps: Sequence[int]
    leaves: Sequence[int]
    compiled: Sequence[int]
    compile_rounds: int
    memory: Sequence[int]
    audit: int
    total: int = 1_000_000
    brief: bool = False


SIZES = {
    "full": Size(
        processes=5,
        rounds=12,
        seconds=0.05,
        steps=(10**5, 10**6, 10**7, 10**8),
        leaves=(10, 40, 100, 400, 1000, 4000),
        compiled=(1, 16, 400),
        compile_rounds=7,
        memory=(10**7, 10**8),
        audit=10**8,
    ),
    "quick": Size(
        processes=2,
        rounds=4,
        seconds=0.01,
        steps=(10**5, 10**6, 10**7),
        leaves=(10, 100, 400),
        compiled=(16,),
        compile_rounds=2,
        memory=(10**7,),
        audit=0,
        brief=True,
    ),
    "smoke": Size(
        processes=1,
        rounds=2,
        seconds=1e-4,
        steps=(10**4, 2 * 10**4),
        leaves=(2, 4),
        compiled=(2,),
        compile_rounds=1,
        memory=(10**5,),
        audit=0,
        total=10**4,
    ),
}
WATCHED = (
    ("adamw", "optax"),
    ("adamw", "optaxwd"),
    ("adamw", "torch fused"),
    ("clip + adamw", "optax"),
    ("clip + adamw", "optaxwd"),
    ("adamw", "torch foreach"),
    ("compressed states", "optaxwd 8-bit states"),
    ("compressed states", "optaxwd bfloat16 states"),
)


def jobs_of(size: Size, processes: int, sections: Sequence[str]) -> list[Job]:
    """Return all jobs of a run, in the order in which they are run."""
    effort = {"rounds": size.rounds, "seconds": size.seconds}
    rounds = {"rounds": size.compile_rounds, "total": size.total}
    flags = (False, True)
    jobs: dict[str, list[Job]] = {
        "steps": [
            {
                "size": n,
                "one_pass": flag,
                "brief": size.brief and n < max(size.steps),
                **effort,
                "process": i,
            }
            for n in size.steps
            for i in range(processes)
            for flag in flags
        ],
        "leaves": [
            {
                "leaves": n,
                "total": size.total,
                "brief": size.brief and n == max(size.leaves),
                **effort,
                "process": i,
            }
            for n in size.leaves
            for i in range(processes)
        ],
        "compiled": [
            {"leaves": n, "one_pass": flag, **rounds, "process": i}
            for n in size.compiled
            for i in range(processes)
            for flag in flags
            if i == 0 or not flag
        ],
        "memory": [
            {"size": n, "case": case, "candidate": name}
            for n in size.memory
            for case, name in WATCHED[: 5 if size.brief else None]
        ],
        "audit": [{"size": size.audit}] if size.audit else [],
    }
    return [{"section": name, **job} for name in sections for job in jobs[name]]


def describe(job: Job) -> str:
    """Return what a job is, in a few words."""
    words = [job["section"]]
    if "size" in job:
        words.append(f"{job['size']:.0e} parameters".replace("e+0", "e"))
    if "leaves" in job:
        words.append(f"{job['leaves']} leaves")
    if "candidate" in job:
        words.append(f"{job['case']}: {job['candidate']}")
    if "process" in job:
        words.append(f"process {job['process'] + 1}")
    if job.get("one_pass"):
        words.append("one pass")
    return ", ".join(words)


def run_job(job: Job) -> dict[str, Any]:
    """Run a job in a new process and return its result.

    Raises:
      RuntimeError: if it fails, with the end of what it printed.
    """
    # On a GPU, JAX would otherwise leave no memory for torch.
    environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **os.environ}
    for name in _CHANGES_WHAT_IS_MEASURED:
        environment.pop(name, None)
    if job["section"] in ("memory", "audit"):
        # glibc gives memory back when it is freed, so that a peak is what was in use.
        environment["MALLOC_MMAP_THRESHOLD_"] = "65536"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks._worker", json.dumps(job)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = done.stderr[-3000:]
        raise RuntimeError(
            f"{describe(job)!r} failed, got exit code {done.returncode}:\n{tail}"
        )
    return json.loads(done.stdout.splitlines()[-1])
