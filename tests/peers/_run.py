"""Run suites of Optax's tests in this process and say what came of every test."""

import pathlib
import re
import unittest
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

import jax

from tests.peers._load import load
from tests.peers._source import provide_tests
from tests.peers._stand_ins import CALLS
from tests.peers._suites import LEFT_OUT, matching


class Outcome(NamedTuple):
    """What came of a test: ``passed``, ``failed``, ``skipped`` or ``left out``."""

    name: str
    status: str
    calls: int = 0  # into our functions, while it ran
    message: str = ""


class _Version(str):
    """A version that compares as one: Optax compares strings, and 0.10 < 0.7."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return _numbers(self) < _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


class _Recorder(unittest.TestResult):
    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Outcome] = []

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._before = CALLS.total()
        self._seen = "passed", ""

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._seen = "failed", _last_line(err)

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self._seen = "failed", _last_line(err)

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self._seen = "failed", _last_line(err)

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        self._seen = "skipped", reason

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        status, message = self._seen
        calls = CALLS.total() - self._before
        self.outcomes.append(Outcome(name_of(test), status, calls, message))


def _last_line(err: Any) -> str:
    return f"{err[0].__name__}: {err[1]}".strip()


def name_of(test: unittest.TestCase) -> str:
    """Return the name of a test, the same in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", test.id())


def run_part(module: str, part: int, parts: int, folder: str) -> list[Outcome]:
    """Run every ``parts``-th test of ``module`` and return all outcomes."""
    # Before the first array; the tests of sharding need eight.
    jax.config.update("jax_num_cpu_devices", 8)
    provide_tests(module, pathlib.Path(folder))
    recorder, chosen = _Recorder(), unittest.TestSuite()
    with mock.patch.object(jax, "__version__", _Version(jax.__version__)):
        tests = unittest.defaultTestLoader.loadTestsFromModule(load(module))
        for test in list(_each(tests))[part::parts]:
            name = name_of(test)
            if reason := matching(name, LEFT_OUT):
                recorder.outcomes.append(Outcome(name, "left out", message=reason))
            else:
                chosen.addTest(test)
        chosen.run(recorder)
    return recorder.outcomes


def _each(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _each(test)
        else:
            yield test
