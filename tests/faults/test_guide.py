"""What docs/what_happens_when.md says is true: its code runs, its names exist."""

import pathlib
import re

from helpers import run_python_blocks

import optaxwd

GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "what_happens_when.md"


def test_its_code_runs():
    run_python_blocks(GUIDE.read_text())


def test_every_optimizer_has_a_row_about_nan():
    _, section, *_ = re.split(r"^## ", GUIDE.read_text(), flags=re.MULTILINE)
    for name in optaxwd.list_optimizers():
        family = name.startswith(("sgd", "rmsprop", "rotational_"))
        assert f"`{name}`" in section or family, name
