"""Command line: ``python -m optaxwd`` with ``audit``, ``plan`` or ``sandbox``."""

import argparse
import io
import sys
from collections.abc import Sequence

from optaxwd._commands import (
    add_audit_command,
    add_plan_command,
    add_sandbox_command,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Greek letters on a terminal that has none are no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    parser = argparse.ArgumentParser(
        prog="python -m optaxwd", description="Weight decay for Optax."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    add_audit_command(commands)
    add_plan_command(commands)
    add_sandbox_command(commands)
    options = parser.parse_args(arguments)
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
