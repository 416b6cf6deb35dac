"""Measure optaxwd, optax and torch side by side, and write what was found.

    python -m benchmarks [--quick] [--output DIR] [--processes N] [--parameters N ...]
                         [--only SECTION ...]

Sections: ``steps`` (time over parameters), ``leaves`` (time over leaves), ``compiled``
(bytes, fusions, compile time), ``memory`` and ``audit``. Writes ``results.json`` with
all raw numbers, ``report.md`` and figures. A quick run takes some three minutes on two
idle cores. The exit code is 1 if a candidate does not compute AdamW.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import sys
import time
from typing import Any

import matplotlib

from benchmarks._figures import DRAWINGS
from benchmarks._jobs import SECTIONS, SIZES, describe, jobs_of, run_job
from benchmarks._report import to_markdown
from benchmarks._results import Cost, Results
from benchmarks._targets import TARGETS, UNKNOWN, judge

_FUSION = "xla_cpu_use_multi_output_fusion"


def main(argv: list[str] | None = None) -> int:
    """Run everything and return the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if _FUSION in os.environ.get("XLA_FLAGS", ""):
        parser.error(
            f"XLA_FLAGS has {_FUSION}, which the cases with default flags must not "
            "have; unset it. The others set it by themselves."
        )
    size = SIZES[options.size]
    if options.parameters:
        size = size._replace(steps=options.parameters)
    machine = run_job({"section": "machine"})
    command = ["python", "-m", "benchmarks", *(sys.argv[1:] if argv is None else argv)]
    machine["command"] = shlex.join(command)
    folder = options.output or _folder(machine)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        job
        for job in jobs_of(size, options.processes or size.processes, options.only)
        # The flag is one for CPUs.
        if machine["backend"] == "cpu" or not job.get("one_pass")
    ]
    record: dict[str, Any] = {
        "machine": machine,
        "size": options.size,
        "settings": size._asdict(),
        "seconds": 0.0,
        "runs": [],
    }
    start = time.monotonic()
    for i, job in enumerate(jobs):
        print(
            f"[{time.monotonic() - start:4.0f} s] {i + 1}/{len(jobs)} {describe(job)}",
            flush=True,
        )
        record["runs"].append({"job": job, "result": run_job(job)})
        # Kept after every job: a long run that is stopped leaves what it has.
        record["seconds"] = round(time.monotonic() - start, 1)
        (folder / "results.json").write_text(json.dumps(record))
        print(_news(Results({**record, "runs": record["runs"][-1:]})), end="")
    return conclude(Results(record), folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="optaxwd beside optax and torch."
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", dest="size", action="store_const", const="quick", help="3 minutes"
    )
    size.add_argument(
        "--smoke",
        dest="size",
        action="store_const",
        const="smoke",
        help="whether it runs; the numbers mean nothing",
    )
    parser.set_defaults(size="full")
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        help="folder to write to (default: benchmarks/results/DEVICE-DATE)",
    )
    parser.add_argument(
        "--processes", type=_positive, help="per section and size (default: 5; quick 2)"
    )
    parser.add_argument(
        "--parameters",
        nargs="+",
        type=_positive,
        help="numbers of parameters whose step times are measured",
    )
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections to run"
    )
    return parser


def _positive(text: str) -> int:
    number = int(float(text))
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _folder(machine: dict[str, Any]) -> pathlib.Path:
    device = re.sub(r"[^a-z0-9]+", "-", machine["device"].lower()).strip("-")
    date = machine["date"].replace(":", "").partition("+")[0]
    return pathlib.Path(__file__).parent / "results" / f"{device}-{date}"


def _news(results: Results) -> str:
    """Return what one job has to say: ratios and errors, and what was refused."""
    lines = []
    for job, name, case in results.cases():
        words = []
        for candidate, one in case["equality"].items():
            costs = Cost(candidate), Cost(case["reference"])
            ratio = results.ratio(job["section"], name, *costs)
            time_ = "" if ratio is None else f" {ratio.median:.2f}"
            words.append(f"{candidate}{time_} (error {one['largest']:.0e})")
        words += [f"{skipped} ({why})" for skipped, why in case["skipped"].items()]
        lines.append(f"    {name}: {', '.join(words)}")
    lines += [f"    REFUSED {words}" for words in results.refused()]
    lines += [f"    WRONG {words}" for words in results.failures()]
    return "".join(f"{line}\n" for line in lines)


def conclude(results: Results, folder: pathlib.Path) -> int:
    """Write report and figures, print verdicts, and return the exit code."""
    matplotlib.use("Agg")
    drawn = []
    for name, (section, over, draw) in DRAWINGS.items():
        points = len(results.values(section, over)) if over else 2
        if results.of(section) and points > 1:
            draw(results).savefig(folder / name, dpi=130)
            drawn.append(name)
    (folder / "report.md").write_text(to_markdown(results, drawn))
    for one in (judge(target, results) for target in TARGETS):
        if one.verdict != UNKNOWN:
            words = one.verdict.strip("*")
            print(f"{words:12} {one.target.case}: {one.target.reach}: {one.found}")
    print(f"report: {(folder / 'report.md').resolve()}")
    failures = results.failures()
    for words in failures:
        print(f"error: not equal to the reference: {words}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
