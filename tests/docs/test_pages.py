"""The code of every page runs, and what it asserts holds."""

import pathlib
import re

import pytest
from helpers import run_python_blocks

DOCS = pathlib.Path(__file__).parent.parent.parent / "docs"

# Pages whose numbers or text another test compares with more than the page itself.
TESTED_ELSEWHERE = {
    "auditor": "auditor/test_guide.py",
    "checkpoints": "checkpoints/test_guide.py",
    "distributed": "examples/test_distributed.py",
    "low_precision": "precision/test_guide.py",
    "performance": "test_performance.py",
    "planning": "schedules/test_guide.py",
    "porting/big_vision": "porting/test_big_vision.py",
    "porting/keras": "porting/test_keras.py",
    "porting/levanter": "porting/test_levanter.py",
    "porting/maxtext": "porting/test_maxtext.py",
    "porting/mosaicml": "porting/test_mosaicml.py",
    "porting/timm": "porting/test_timm.py",
    "porting_masks": "test_porting.py",
    "telemetry": "telemetry/test_guide.py",
    "what_happens_when": "faults/test_guide.py",
    "what_weight_decay_does": "claims/test_guide.py",
    "which_decay": "test_which_decay.py",
}
PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix(): path.read_text()
    for path in sorted(DOCS.rglob("*.md"))
    if "_build" not in path.parts
}
WITH_CODE = [name for name, text in PAGES.items() if "```python" in text]


def test_each_page_with_code_is_tested_once():
    tests = DOCS.parent / "tests"
    for name, test in TESTED_ELSEWHERE.items():
        assert name in WITH_CODE
        assert f'"{name}.md"' in (tests / test).read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in WITH_CODE if name not in TESTED_ELSEWHERE]
)
def test_code_runs_and_prints_what_the_page_says(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_python_blocks(PAGES[name])
    printed = " ".join(capsys.readouterr().out.split())
    for output in re.findall(r"```output\n(.*?)```", PAGES[name], re.DOTALL):
        assert " ".join(output.split()) in printed
