"""Run Optax's own tests with our functions under Optax's names.

    python -m tests.peers [--processes N] [SUITE ...]

The tests are those of the installed Optax; nothing of them is in this project. The exit
code is 1 if a test failed without an argument in ``_suites.py``, or an argument there
is idle. The whole is some five minutes of work, divided among the processes; with
``JAX_DISABLE_MOST_OPTIMIZATIONS=1`` it is less.
"""

import argparse
import concurrent.futures
import multiprocessing
import tempfile
import time
from collections.abc import Sequence

from tests.peers._judge import judge
from tests.peers._run import Outcome, run_part
from tests.peers._source import VERSION
from tests.peers._suites import EXCEPTIONS, LEFT_OUT, SUITES, Suite


def main(argv: list[str] | None = None) -> int:
    """Run the suites, print what came of them, and return the exit code."""
    parser = argparse.ArgumentParser("python -m tests.peers")
    names = [suite.module.rpartition(".")[2] for suite in SUITES]
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {names}")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(argv)
    if unknown := set(options.suites) - set(names):
        parser.error(f"unknown suites {unknown}; choose from {names}")
    chosen = options.suites or names
    start = time.monotonic()
    outcomes = run(
        [s for s, name in zip(SUITES, names, strict=True) if name in chosen],
        options.processes,
    )
    verdict = judge(outcomes, EXCEPTIONS, LEFT_OUT, partial=bool(options.suites))
    print(f"Optax {VERSION}'s own tests, on ours, in {time.monotonic() - start:.0f} s:")
    for kind, count in sorted(verdict.counts.items()):
        print(f"{count:5d} {kind}")
    for pattern, count in verdict.excepted.items():
        print(f"excepted: {count} of {pattern}: {EXCEPTIONS[pattern]}")
    for error in verdict.errors:
        print(f"error: {error}")
    return 1 if verdict.errors else 0


def run(suites: Sequence[Suite], processes: int) -> list[Outcome]:
    """Return the outcomes of all suites, run in other processes than this one.

    What loading a test module changes is gone with its process.
    """
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ProcessPoolExecutor(processes, context) as pool,
    ):
        parts = [
            pool.submit(run_part, suite.module, part, suite.parts, folder)
            for suite in suites
            for part in range(suite.parts)
        ]
        return [outcome for part in parts for outcome in part.result()]


if __name__ == "__main__":
    raise SystemExit(main())
