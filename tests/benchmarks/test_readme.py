"""The table of times in the README is that of the results that are kept."""

import json
import pathlib
import re

import pytest

from benchmarks._results import Cost, Results

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RESULTS, LARGE = (
    Results(json.loads((ROOT / folder / "results.json").read_text()))
    for folder in re.findall(r"\]\((benchmarks/results/[\w-]+)/report.md\)", README)
)
ROWS = {
    "AdamW": ("adamw", "optaxwd"),
    "clip + AdamW": ("clip + adamw", "optaxwd"),
    "AdamW in one pass": ("one pass: adamw", "optaxwd"),
    "clip + AdamW in one pass": ("one pass: clip + adamw", "optaxwd"),
    'bfloat16 parameters, `"split"` (not the same work: it loses no step)': (
        "bfloat16 parameters",
        "optaxwd split",
    ),
    "8-bit states": ("compressed states", "optaxwd 8-bit states"),
}


def told():
    form = r"^\| ([^|]+) \| ([\d.]+) / ([\d.]+) \| ([^|]+) \| ([^|]+) \|$"
    return {name: words for name, *words in re.findall(form, README, re.M)}


def test_every_row_is_checked():
    assert set(told()) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_the_numbers_are_those_that_were_measured(name):
    case, candidate = ROWS[name]
    theirs, ours, over_optax, over_torch = told()[name]
    for library, words in (("optax", theirs), (candidate, ours)):
        got = RESULTS.fact(case, library, "bytes accessed", leaves=16)
        assert got == pytest.approx(float(words), abs=0.1)
    for peer, words in (("optax", over_optax), ("torch fused", over_torch)):
        ratio = RESULTS.ratio(
            "steps", case, Cost(candidate), Cost(peer), size=10_000_000
        )
        if words == "–":
            assert ratio is None
            continue
        assert words.startswith(str(ratio))
        faster = {"optax": "Optax", "torch fused": "torch"}[peer]
        assert (f"{faster} is faster" in words) == (
            ratio.median > 1 and not ratio.is_tie
        )
        assert ("a tie" in words) == ratio.is_tie


def test_the_large_number_is_what_was_measured():
    costs = Cost("optaxwd"), Cost("optax")
    ratio = LARGE.ratio("steps", "clip + adamw", *costs, size=30_000_000)
    assert f"clip + AdamW takes {ratio} of Optax's time" in README
