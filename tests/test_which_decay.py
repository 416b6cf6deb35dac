"""The guide to the decays: its code runs, and nothing is missing from it."""

import inspect
import pathlib
import re

import pytest
from helpers import run_python_blocks
from test_contracts import CONTRACTS

import optaxwd

DOCS = pathlib.Path(__file__).parent.parent / "docs"
GUIDE = (DOCS / "which_decay.md").read_text()


def test_its_code_runs():
    names = run_python_blocks(GUIDE)
    assert names["step"]() == 1.8


@pytest.mark.parametrize("name", optaxwd.list_optimizers())
def test_every_optimizer_is_in_it(name):
    assert f"`{name}" in GUIDE


# What takes part in no law of decay.
PLAIN = {"add_decayed_weights", "clip_by_global_norm", "freeze", "record_decay"} | {
    f"scale_by_{what}" for what in ("adam", "nadam", "learning_rate")
}
# These have a guide of their own.
PRECISION = {
    name
    for name in CONTRACTS
    if getattr(optaxwd, name).__module__.startswith("optaxwd.precision")
}


@pytest.mark.parametrize("name", sorted(set(CONTRACTS) - PLAIN - PRECISION))
def test_every_transformation_is_in_it(name):
    assert f"`{name}" in GUIDE


@pytest.mark.parametrize("name", sorted(PRECISION))
def test_low_precision_is_in_the_other_guide(name):
    assert f"`{name}(" in (DOCS / "low_precision.md").read_text()


def test_every_penalty_and_anchor_is_in_it():
    named = set(re.findall(r"[`=(.](\w+)\(", GUIDE))
    assert {"elastic_net", "huber", "p_norm", "Penalty"} <= named
    assert {"InitialParameters", "TargetNorm", "anchored"} <= named


def test_every_option_that_it_names_exists():
    options = set(re.findall(r"`(\w+)=", GUIDE))
    known = set(inspect.signature(optaxwd.with_weight_decay).parameters)
    assert options and options <= known


def test_every_law_has_its_source():
    laws = GUIDE.split("## Sources")[1]
    cited = set(re.findall(r"arxiv.org/abs/([\d.]+)", laws))
    for name, info in optaxwd.list_optimizers().items():
        paper = re.search(r"arxiv.org/abs/([\d.]+)", info.reference)
        if paper and name not in {"adam_l2", "adafactorw", "lionw", "muonw"}:
            assert paper.group(1) in cited, name
