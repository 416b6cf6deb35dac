"""The guide runs, and its table is that of the code."""

import pathlib
import re

import pytest
from helpers import run_python_blocks

from optaxwd import plots
from optaxwd.telemetry import QUANTITIES

GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "telemetry.md"


def test_the_guide_runs(capsys):
    run_python_blocks(GUIDE.read_text())
    line, kernel, bias, share = capsys.readouterr().out.splitlines()
    assert line.startswith("η 1.0e-03 · λ 0.100 · decay 1.0e-04/step")
    assert float(kernel) == pytest.approx(1e-4, rel=1e-3) and float(bias) == 0
    assert 0 < float(share) < 1


def test_every_quantity_is_defined():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", GUIDE.read_text(), re.MULTILINE)
    expected = [
        (one.name, " | ".join((one.formula, one.unit or "–", one.meaning)))
        for one in QUANTITIES.values()
    ]
    assert rows == expected


def test_every_figure_is_named():
    text = GUIDE.read_text()
    assert all(f"`plots.{name}`" in text for name in plots.__all__)
