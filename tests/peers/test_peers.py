"""Optax's own tests pass on ours, and what says so can fail."""

import filecmp
import importlib
import importlib.util
import os
import pathlib
import subprocess
import sys

import optax._src
import pytest

from tests.peers import _load, _source
from tests.peers._judge import judge
from tests.peers._run import Outcome
from tests.peers._stand_ins import CALLS, STAND_INS
from tests.peers._suites import SUITES

ROOT = pathlib.Path(__file__).parents[2]


NAMES = [suite.module.rpartition(".")[2] for suite in SUITES]
# Every optimizer to every target and in every wrapper: half of the time.
LONGEST = "_common_test"


@pytest.mark.parametrize(
    "suites",
    [
        pytest.param([n for n in NAMES if n != LONGEST], marks=pytest.mark.slow),
        pytest.param([], marks=pytest.mark.nightly),
    ],
    ids=["shorter", "all"],
)
def test_optax_s_tests_pass_on_ours(suites):
    command = [sys.executable, "-m", "tests.peers", *suites]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_source_distribution_has_the_same_tests(tmp_path):
    try:
        root = _source.fetch_source(tmp_path)
    except OSError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    for suite in SUITES:
        installed = importlib.util.find_spec(suite.module).origin
        fetched = root.joinpath(*suite.module.split(".")).with_suffix(".py")
        assert filecmp.cmp(installed, fetched, shallow=False), suite.module


def test_tests_that_a_wheel_leaves_out_are_fetched(tmp_path, monkeypatch):
    (tmp_path / "optax/_src").mkdir(parents=True)
    (tmp_path / "optax/_src/left_out_test.py").write_text("from optax._src import base")
    monkeypatch.setattr(_source, "fetch_source", lambda folder: folder)
    monkeypatch.setattr(optax._src, "__path__", [*optax._src.__path__])
    _source.provide_tests("optax._src.left_out_test", tmp_path)
    monkeypatch.delitem(sys.modules, "optax._src.left_out_test", raising=False)
    assert importlib.util.find_spec("optax._src.left_out_test") is not None


def test_source_that_cannot_be_fetched_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(_source, "VERSION", "0.0.0.dev0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(OSError, match=r"pip cannot fetch the source of optax 0\.0\.0"):
        _source.fetch_source(tmp_path)


def test_shadow_shows_ours_and_leaves_optax_alone():
    shadow = _load.Shadow(optax)
    assert shadow._src.alias.adamw is shadow.adamw is STAND_INS["adamw"]
    assert shadow.chain is optax.chain
    assert optax.adamw is not STAND_INS["adamw"]


def test_stand_ins_count_their_calls():
    import jax.numpy as jnp

    before = CALLS["sgd"]
    tx = STAND_INS["sgd"](0.1)
    tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    assert CALLS["sgd"] == before + 3


def test_tables_keep_what_is_ours():
    aliases = [{"opt_name": "adamw", "opt_kwargs": {}}, {"opt_name": "lamb"}]
    assert _load.with_ours(aliases) == aliases[:1]
    contract = [{"opt_name": "lamb", "wrapper_name": None, "wrapper_kwargs": None}]
    names = [row["opt_name"] for row in _load.with_ours(contract)]
    assert "adamw" in names and "muonh" in names and "lamb" not in names
    assert _load.with_ours((1, 2)) == (1, 2)


PASSED, FAILED = Outcome("a.passes", "passed", 1), Outcome("a.fails", "failed", 1, "so")


@pytest.mark.parametrize(
    ("outcomes", "exceptions", "expected"),
    [
        ([PASSED], {}, None),
        ([PASSED, FAILED], {"*.fails": "why"}, None),
        ([PASSED, FAILED._replace(calls=0)], {}, None),
        ([PASSED, FAILED], {}, "a.fails failed: so"),
        ([PASSED], {"*.passes": "why"}, "a.passes passed, though *.passes excepts it"),
        ([PASSED], {"*.gone": "why"}, "the entry *.gone is of no test"),
        ([PASSED._replace(calls=0)], {}, "no test called ours and passed"),
        ([], {}, "no test called ours and passed"),
    ],
)
def test_verdict(outcomes, exceptions, expected):
    errors = judge(outcomes, exceptions, {}).errors
    assert (expected in errors) if expected else not errors


def test_idle_reasons_to_leave_out_are_errors():
    left = Outcome("b.slow", "left out")
    assert not judge([PASSED, left], {}, {"b.*": "why"}).errors
    assert judge([PASSED], {}, {"b.*": "why"}).errors == ["the entry b.* is of no test"]
    assert not judge([PASSED], {}, {"b.*": "why"}, partial=True).errors
