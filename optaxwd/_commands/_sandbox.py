"""``python -m optaxwd sandbox``: open the page to play with weight decay.

Exit codes: 0; 1, no browser could be opened; 2, the arguments are wrong.
"""

import argparse
import pathlib
import shutil
import sys
import tempfile
import webbrowser
from importlib import resources
from typing import Any

_NO_BROWSER, _FAILED = 1, 2
_NAME = "sandbox.html"


def add_sandbox_command(commands: Any) -> None:
    """Add the command to a parser's ``commands``."""
    text = "open a page to play with weight decay on two coordinates"
    command = commands.add_parser(
        "sandbox",
        help=text,
        description=f"{text.capitalize()}. It is one file and needs no network.",
        epilog="Exit codes: 0; 1, no browser could be opened; 2, wrong arguments.",
    )
    command.set_defaults(run=run)
    instead = command.add_mutually_exclusive_group()
    instead.add_argument(
        "--path", action="store_true", help="print where the page is, open nothing"
    )
    instead.add_argument(
        "--output",
        metavar="FILE",
        help="copy the page to a file or folder, open nothing; for a browser that may "
        "not read where Python packages are",
    )


def run(options: argparse.Namespace) -> int:
    """Open, copy or name the page, and return the exit code."""
    page = _page()
    if options.path:
        print(page)
        return 0
    if options.output is not None:
        return _copy(page, options.output)
    if _open(page.as_uri()):
        print(f"sandbox: {page}", file=sys.stderr)
        return 0
    print(
        f"error: sandbox: no browser could be opened. Open {page} in one, or copy it "
        "with --output FILE.",
        file=sys.stderr,
    )
    return _NO_BROWSER


def _page() -> pathlib.Path:
    """Return the page as a file that stays, also if the package is in an archive."""
    page = resources.files("optaxwd._commands") / _NAME
    if isinstance(page, pathlib.Path):
        return page
    copy = pathlib.Path(tempfile.mkdtemp(prefix="optaxwd-")) / _NAME
    copy.write_bytes(page.read_bytes())
    return copy


def _copy(page: pathlib.Path, output: str) -> int:
    try:
        print(shutil.copy(page, output))
    except OSError as error:
        print(
            f"error: sandbox: --output {output} cannot be written: {error}",
            file=sys.stderr,
        )
        return _FAILED
    return 0


def _open(address: str) -> bool:
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False
