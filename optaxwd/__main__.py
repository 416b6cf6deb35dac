"""Command line: ``python -m optaxwd audit`` and ``python -m optaxwd plan``."""

import argparse
import sys
from collections.abc import Sequence

from optaxwd._commands import add_audit_command, add_plan_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m optaxwd", description="Weight decay for Optax."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    add_audit_command(commands)
    add_plan_command(commands)
    options = parser.parse_args(arguments)
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
