"""The guide to the auditor runs and is complete; the table of Optax is fresh."""

import pathlib
import re
import subprocess
import sys

import optax
import pytest
from helpers import run_python_blocks

from optaxwd.auditor import CODES, SEVERITIES
from optaxwd.auditor._laws import COUPLINGS

ROOT = pathlib.Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs" / "auditor.md").read_text()
TABLE = ROOT / "docs" / "what_optax_does.md"


def test_its_code_runs():
    run_python_blocks(GUIDE)["test_weight_decay"]()


def test_it_names_every_law_and_every_finding():
    rows = re.findall(r"^\| `([\w-]+)` \| ([^ ;|]+)", GUIDE, re.MULTILINE)
    assert {name for name, _ in rows} == set(COUPLINGS) | set(CODES)
    assert all(word in SEVERITIES for name, word in rows if name in CODES)


@pytest.mark.slow
def test_the_example_of_a_test_suite_passes():
    command = [sys.executable, "-m", "pytest", "-q", "examples/test_my_optimizer.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_table_of_optax_is_what_the_auditor_says(tmp_path):
    if f"optax\n{optax.__version__}:" not in TABLE.read_text():
        pytest.skip(f"the table was made with another Optax than {optax.__version__}")
    fresh = tmp_path / "table.md"
    script = ROOT / "examples" / "audit_optax.py"
    subprocess.run([sys.executable, script, "--output", fresh], check=True)
    assert fresh.read_text() == TABLE.read_text()
