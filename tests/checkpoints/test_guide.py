"""The guide to checkpoints: its code runs, and its messages are those of the code."""

import pathlib
import re

import pytest
from helpers import assert_identical, cast, run_python_blocks

import optaxwd

GUIDE = (pathlib.Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("guide"))
        return run_python_blocks(GUIDE)


def test_its_code_runs(names):
    assert names["latest"] == 3
    assert_identical(names["resumed"], names["run"])
    assert_identical(names["same"], names["run"])
    assert_identical(names["back"], names["their_state"])
    assert int(names["state"][2].decay_count) == 1


def test_its_messages_are_those_of_the_code(names):
    params = names["params"]
    state = optaxwd.adamw(0.1).init(params)
    said = []
    for saved, target in (
        (state, optaxwd.adamw(0.1, anchor="init").init(params)),
        (state, optaxwd.lionw(0.1).init(params)),
        ({"state": state}, state),
        (state, optaxwd.adamw(0.1).init(cast(params, "bfloat16"))),
    ):
        with pytest.raises(ValueError) as error:
            optaxwd.restore_state(saved, target)
        said.append(str(error.value))
    with pytest.raises(ValueError) as error:
        optaxwd.convert_state(names["restored"], state)
    said.append(str(error.value))
    rows = re.findall(r"^\| (`.*?) \|", GUIDE.split("## What errors mean")[1], re.M)
    assert len(rows) == len(said)
    for row, message in zip(rows, said, strict=True):
        for part in re.findall(r"`([^`]+)`", row):
            if part != "convert_state":
                assert part.removeprefix("the checkpoint ") in message


def test_the_example_is_named():
    assert "examples/train_resumable.py" in GUIDE
