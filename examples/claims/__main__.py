"""Claims about weight decay, tested: run, list and report experiments.

    python -m examples.claims list
    python -m examples.claims run [NAME ...] [--quick | --full | --smoke] [--again]
    python -m examples.claims report [--quick | --full | --smoke]

``run`` keeps one record, one figure (PNG and SVG) and prints one verdict for each, and
skips what has a record already; ``report`` writes a page and a Markdown table of all.
"""

import argparse
import pathlib
import time

from examples.claims import _records, _report
from examples.claims._all import CLAIMS
from examples.claims._claim import SIZES, Claim


def main(arguments=None):
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    return {"run": run, "list": show, "report": report}[options.command](options)


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m examples.claims", description="Claims about weight decay."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name the claims")
    for name, words in (
        ("run", "run experiments and keep their records"),
        ("report", "write a page and a table of the records"),
    ):
        command = commands.add_parser(name, help=words)
        size = command.add_mutually_exclusive_group()
        for one in SIZES:
            size.add_argument(f"--{one}", dest="size", action="store_const", const=one)
        command.set_defaults(size="quick")
        command.add_argument(
            "--output", type=pathlib.Path, default=pathlib.Path("outputs/claims")
        )
        if name == "run":
            command.add_argument("names", nargs="*", metavar="NAME", type=str.upper)
            command.add_argument(
                "--again", action="store_true", help="also what has a record already"
            )
    return parser


def show(options):
    """Print every claim."""
    del options
    for claim in CLAIMS.values():
        print(f"{claim.name:4} {claim.title}: {claim.sentence}")
    return 0


def run(options):
    """Run the experiments that are asked for, or all."""
    unknown = [name for name in options.names if name not in CLAIMS]
    if unknown:
        print(f"error: no claim {', '.join(unknown)}; there are {', '.join(CLAIMS)}")
        return 2
    if options.output.exists() and not options.output.is_dir():
        print(f"error: {options.output} is not a folder; choose another --output")
        return 2
    for claim in [CLAIMS[name] for name in options.names or CLAIMS]:
        record = _records.read(claim, options.size, options.output)
        if record is None or options.again:
            start = time.monotonic()

            def progress(text, name=claim.name, start=start):
                print(f"{name} [{time.monotonic() - start:3.0f} s] {text}", flush=True)

            record = _records.make(claim, options.size, options.output, progress)
        _conclude(claim, record, options)
    return 0


def _conclude(claim: Claim, record, options):
    """Draw the figure and print the verdict."""
    stem = _records.path_of(claim, options.size, options.output).with_suffix("")
    figure = claim.draw(record["numbers"])
    for kind in ("png", "svg"):
        figure.savefig(stem.with_suffix(f".{kind}"), dpi=150)
    verdict = claim.judge(record["numbers"])
    print(f"{claim.name} {claim.title}: {verdict.outcome.upper()} ({verdict.when})")
    for line in (verdict.estimate, verdict.finding, verdict.advice):
        print(f"  {line}")
    print(f"  figure: {stem}.png")


def report(options):
    """Write the report of what has been run, by the present code."""
    claims = list(CLAIMS.values())
    found = {
        claim.name: _records.read(claim, options.size, options.output)
        for claim in claims
    }
    records = {name: record for name, record in found.items() if record is not None}
    if not records:
        print(
            f"error: no records of size {options.size} in {options.output}; run first"
        )
        return 2
    print(_report.write(claims, records, options.output))
    missing = [name for name in found if name not in records]
    if missing:
        print(f"without a record: {', '.join(missing)}")
    print(f"page: {(options.output / 'report.html').resolve()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
