"""The guide to weight decay runs, and every advice leads to its experiment."""

import pathlib
import re

from helpers import run_python_blocks

from examples.claims._all import CLAIMS
from examples.claims._claim import HOLDS, HOLDS_WHEN, NOT_SUPPORTED

DOCS = pathlib.Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "what_weight_decay_does.md").read_text()
TABLE = (DOCS / "claims.md").read_text()


def test_its_code_runs():
    run_python_blocks(GUIDE)


def test_every_claim_has_a_row_that_the_guide_links_to():
    rows = re.findall(
        r'^\| <a id="(\w+)"></a>(\w+)\. (.*?) \| (.*?) \| .* \|$', TABLE, re.M
    )
    assert [name for _, name, _, _ in rows] == list(CLAIMS)
    for anchor, name, sentence, outcome in rows:
        assert anchor == name.lower()
        assert sentence == CLAIMS[name].sentence
        assert outcome in (HOLDS, HOLDS_WHEN, NOT_SUPPORTED)
    linked = re.findall(r"\[(C\d+)\]\(claims\.md#(c\d+)\)", GUIDE)
    assert all(name.lower() == anchor for name, anchor in linked)
    assert {name for name, _ in linked} == set(CLAIMS)


def test_every_advice_names_an_experiment_or_another_guide():
    sections = GUIDE.split("\n## ")[1:]
    for section in sections:
        for advice in re.split(r"\n(?=- |\d\. |\*\*)", section)[1:]:
            assert re.search(r"\]\((claims|auditor|planning)\.md", advice), advice
