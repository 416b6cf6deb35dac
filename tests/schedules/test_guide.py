"""What docs/planning.md says is true: its code runs, its tables are the library's."""

import pathlib
import re

from helpers import run_python_blocks

import optaxwd
from optaxwd.schedules._conventions import CONVENTIONS

GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "planning.md"


def test_its_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_python_blocks(GUIDE.read_text())
    assert (tmp_path / "plan.png").exists()


def test_the_table_of_conventions_is_the_library_s():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", GUIDE.read_text(), re.M)
    found = {}
    for name, *words in rows:
        found.setdefault(name, tuple(words))  # rules of scaling have rows further down
    for name, convention in CONVENTIONS.items():
        assert found[name] == (convention.meaning, convention.used_by)


def test_every_schedule_and_rule_is_there():
    text = GUIDE.read_text()
    for name in optaxwd.__all__:
        if name.endswith("_schedule"):
            assert f"`{name}(" in text
    for rule in optaxwd.compare_scaling_rules(0.1).changes:
        assert f"| `{rule}` |" in text
