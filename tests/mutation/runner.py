"""Run tests against source that is mutated in memory; no file is touched.

A loader gives Python the mutated source of one module. Before every run all modules of
this project, the library's and the tests', are forgotten, so that pytest imports them
anew: the mutated one and everything that took names from it.
"""

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import pathlib
import sys
import time
from typing import NamedTuple

import pytest

from tests.mutation.record import ROOT

_OWN = pathlib.Path(__file__).parent
_OPTIONS = ("-x", "-q", "-n0", "--tb=no", "-p", "no:cacheprovider")


class Outcome(NamedTuple):
    """What became of a mutant.

    Attributes:
      status: ``"killed"``, ``"SURVIVED"``, ``"NOT IMPORTED"`` if no test imported the
        mutated module, or ``"NO TEST FAILED"`` if pytest stopped for another reason.
      test: the test that failed first; empty if none did.
      seconds: how long it took.
    """

    status: str
    test: str
    seconds: float


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from the source that it is given."""

    def __init__(self, name, source):
        self.name, self.source, self.loaded = name, source, False

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None and spec.origin is not None
        return importlib.util.spec_from_loader(fullname, self, origin=spec.origin)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        self.loaded = True
        module.__file__ = module.__spec__.origin
        exec(compile(self.source, module.__file__, "exec"), module.__dict__)


class _Failures:
    """Remembers the first test that failed."""

    def __init__(self):
        self.first = ""

    def pytest_runtest_logreport(self, report):
        if report.failed and not self.first:
            self.first = report.nodeid


def _forget():
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        path = pathlib.Path(file) if file else None
        ours = name.split(".")[0] == "optaxwd" or (
            path is not None
            and path.is_relative_to(ROOT / "tests")
            and not path.is_relative_to(_OWN)
        )
        if ours:
            del sys.modules[name]


def run_tests(tests):
    """Return pytest's exit code, the first test that failed, and what was printed."""
    _forget()
    failures, printed = _Failures(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = pytest.main([*_OPTIONS, *tests], plugins=[failures])
    return code, failures.first, printed.getvalue()


def run(mutant):
    """Return the :class:`Outcome` of one mutant."""
    start = time.perf_counter()
    finder = _Finder(mutant.module, mutant.source())
    sys.meta_path.insert(0, finder)
    try:
        code, failed, _ = run_tests(mutant.tests)
    finally:
        sys.meta_path.remove(finder)
        _forget()
    if not finder.loaded:
        status = "NOT IMPORTED"
    elif code == pytest.ExitCode.TESTS_FAILED and failed:
        status = "killed"
    elif code == pytest.ExitCode.OK:
        status = "SURVIVED"
    else:
        status = "NO TEST FAILED"
    return Outcome(status, failed, time.perf_counter() - start)
