"""The mutants apply, a fault that is none survives, and the tests kill the others."""

import subprocess
import sys

import pytest

from tests.mutation.catalogue import MUTANTS
from tests.mutation.record import ROOT, Mutant

A_TEST = "tests/transforms/test_decay.py::test_an_update_of_none_passes"


def run(*arguments):
    """Run Python in a process of its own: mutants are put into loaded modules."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_there_are_many_and_each_has_a_name():
    assert len(MUTANTS) >= 60
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_and_compiles(mutant):
    original = (ROOT / "optaxwd" / mutant.file).read_text()
    assert mutant.source() != original and mutant.tests
    compile(mutant.source(), mutant.file, "exec")
    for test in mutant.tests:
        path, _, name = test.partition("::")
        function = name.split("[")[0].split("::")[-1]
        assert f"def {function}(" in (ROOT / path).read_text(), test


@pytest.mark.parametrize("old", ["no such text", "return update\n"])
def test_text_that_does_not_stand_there_once_is_an_error(old):
    mutant = Mutant("stale", "transforms/_engine.py", old, "", ())
    with pytest.raises(ValueError, match="stale: the old text stands . times in"):
        mutant.source()


def status_of(mutant):
    """Return what a process of its own says became of ``mutant``."""
    program = f"""
from tests.mutation.record import Mutant
from tests.mutation.runner import run
print(run({mutant!r}).status)
"""
    done = run("-c", program)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


IF_NONE = "if update is None:"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "status"),
    [
        ("transforms/_engine.py", IF_NONE, f"{IF_NONE}  # the same", "SURVIVED"),
        ("transforms/_engine.py", IF_NONE, "if undefined:", "killed"),
        ("transforms/_engine.py", "import jax\n", "import jaxx\n", "NO TEST FAILED"),
        ("__main__.py", "import sys\n", "import jaxx\n", "NOT IMPORTED"),
    ],
)
def test_the_runner_runs_what_it_is_given(file, old, new, status):
    assert status_of(Mutant("a fault", file, old, new, (A_TEST,))) == status


@pytest.mark.parametrize(
    "every",
    [
        pytest.param(8, marks=pytest.mark.slow),
        pytest.param(1, marks=pytest.mark.nightly),
    ],
)
def test_mutants_are_killed(every):
    """One in eight, or all."""
    done = run("-m", "tests.mutation", "--every", str(every))
    assert done.returncode == 0, done.stdout + done.stderr
