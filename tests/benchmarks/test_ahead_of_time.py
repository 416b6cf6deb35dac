"""The guide's numbers of GPUs are those of the results that are kept."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
(RESULTS,) = (ROOT / "benchmarks" / "results").glob("h100-ahead-of-time-*.md")
GUIDE = (ROOT / "docs" / "performance.md").read_text()
LEAVES = "1 leaf", "16 leaves", "400 leaves"
ROWS = {
    "`optax.adamw`, `optaxwd.adamw` and its options": [
        ("adamw", "optax"),
        ("adamw", "optaxwd"),
        ("variants", "optaxwd rules, multipliers"),
        ("variants", "optaxwd cautious"),
        ("variants", "optaxwd independent"),
        ("variants", "optaxwd corrected"),
    ],
    "with an anchor": [("variants", "optaxwd anchor")],
    "clipped, both": [("clip + adamw", "optax"), ("clip + adamw", "optaxwd")],
    'bfloat16 parameters, `precision="split"`': [
        ("bfloat16 parameters", "optaxwd split")
    ],
    "bfloat16 states": [("compressed states", "optaxwd bfloat16 states")],
    "8-bit states, by XLA": [("8-bit states", "optaxwd, by XLA")],
    "8-bit states, by kernels": [("8-bit states", "optaxwd, by kernels")],
    "the same at random, by XLA": [("8-bit states at random", "optaxwd, by XLA")],
    "the same at random, by kernels": [
        ("8-bit states at random", "optaxwd, by kernels")
    ],
    'bfloat16 parameters, `"split"`, by XLA': [
        ("8-bit states, bfloat16 parameters", "optaxwd, by XLA")
    ],
    'bfloat16 parameters, `"split"`, by kernels': [
        ("8-bit states, bfloat16 parameters", "optaxwd, by kernels")
    ],
}


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def measured():
    lines = [cells(line) for line in RESULTS.read_text().splitlines() if "|" in line]
    return {tuple(line[:3]): float(line[3]) for line in lines[2:]}


def told():
    section = GUIDE[GUIDE.index("## GPUs") :]
    rows = [cells(line) for line in section.splitlines() if line.startswith("|")]
    return {row[0]: row[2:5] for row in rows if row[0] not in ("step", "---")}


def test_every_row_is_checked():
    assert set(told()) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_the_guide_tells_what_was_compiled(name):
    found = measured()
    for leaves, words in zip(LEAVES, told()[name], strict=True):
        if re.fullmatch(r"[\d.]+", words):
            for case in ROWS[name]:
                assert found[*case, leaves] == pytest.approx(float(words), abs=0.06)
        else:
            assert words in ("", "not compressed")
