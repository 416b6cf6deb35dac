"""Can the tests fail? Put one fault after another into the library, and see.

python -m tests.mutation            all mutants; exit code 1 if one survives
python -m tests.mutation --list     what they are
python -m tests.mutation -k clip    those whose name or file has this in it
"""

import argparse
import os
import sys

import jax

from tests.mutation.catalogue import MUTANTS
from tests.mutation.record import ROOT
from tests.mutation.runner import run, run_tests


def _arguments():
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--list", action="store_true", help="print the mutants")
    parser.add_argument("-k", default="", metavar="TEXT", help="only those with TEXT")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one in N")
    return parser.parse_args()


def _row(*cells):
    print("{:<58} {:<30} {:>5}  {}".format(*cells), flush=True)


def main():
    """Run what was asked for, and return the exit code."""
    arguments = _arguments()
    chosen = [m for m in MUTANTS if arguments.k in f"{m.name} {m.file}"]
    chosen = chosen[:: arguments.every]
    if arguments.list:
        for mutant in chosen:
            print(f"{mutant.file}: {mutant.name}")
            print(f"  - {mutant.old.strip()}\n  + {mutant.new.strip()}")
        return 0
    if not chosen:
        print(f"no mutant has {arguments.k!r} in its name or file")
        return 1
    os.chdir(ROOT)
    for mutant in chosen:
        mutant.source()
    tests = dict.fromkeys(test for mutant in chosen for test in mutant.tests)
    code, failed, printed = run_tests(tests)
    if code:
        print(printed)
        print(f"without any mutant the tests fail: {failed or code}")
        return 1
    _row("mutant", "file", "s", "killed by")
    survivors, file = [], ""
    for mutant in chosen:
        if mutant.file != file:
            # What is compiled keeps the modules alive that it came from.
            jax.clear_caches()
            file = mutant.file
        status, test, seconds = run(mutant)
        if status != "killed":
            survivors.append(mutant)
        _row(mutant.name, mutant.file, f"{seconds:.1f}", test or status)
    print(f"\n{len(chosen)} mutants, {len(chosen) - len(survivors)} killed")
    for mutant in survivors:
        print(f"survived: {mutant.file}: {mutant.name}")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())
