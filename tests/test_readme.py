"""What the README says is true: its code runs, its table is the library's."""

import pathlib
import re

import optax

import optaxwd

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_every_python_block_runs():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_table_of_couplings_is_true():
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d.]+) \|$", README, re.MULTILINE)
    assert [name for name, _ in rows] == [
        "l2",
        "learning_rate",
        "independent",
        "constant",
        "corrected",
    ]
    for coupling, theta in rows:
        tx = optaxwd.with_weight_decay(
            optax.identity(),
            lambda count: 0.1,
            0.5,
            coupling=coupling,
            peak_learning_rate=0.2,
        )
        update, _ = tx.update(1.0, tx.init(2.0), 2.0)
        assert f"{2.0 + float(update):g}" == theta


def test_what_it_links_to_is_there():
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    local = [target for target in targets if not target.startswith("http")]
    assert local
    assert not [target for target in local if not (ROOT / target).exists()]
