"""Experiments on claims: verdicts follow their numbers, runs repeat."""

import copy
import json

import jax.numpy as jnp
import numpy as np
import pytest
from synthetic_records import SYNTHETIC

from examples.claims import __main__ as command
from examples.claims import _protocols, c07_quantisation
from examples.claims._all import CLAIMS
from examples.claims._claim import HOLDS, HOLDS_WHEN, NOT_SUPPORTED, Verdict, said
from examples.claims._protocols import Arm
from examples.claims._records import make
from examples.claims._statistics import interval, paired, signs, slope_over_seeds


@pytest.mark.parametrize(("name", "numbers", "outcome"), SYNTHETIC)
def test_a_verdict_follows_its_numbers(name, numbers, outcome):
    verdict = CLAIMS[name].judge(numbers)
    assert verdict.outcome == outcome
    assert verdict.finding and verdict.advice


def test_every_claim_can_come_out_every_way():
    for name in CLAIMS:
        outcomes = {outcome for one, _, outcome in SYNTHETIC if one == name}
        assert outcomes == {HOLDS, HOLDS_WHEN, NOT_SUPPORTED}


def test_intervals():
    # Three values: t(0.975, 2) = 4.3027, standard error 1/√3.
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == 2 and found.count == 3
    assert found.high - found.mean == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert str(found) == "2.0 ± 2.5"
    assert str(interval([0.1234, 0.1235])) == "0.12345 ± 0.00064"
    assert not paired([1, 2, 3], [1, 2.1, 2.9]).excludes_zero
    assert paired([1, 2, 3], [0, 1.1, 1.9]).low > 0
    # Of two such, each at 97.5 %: t(0.9875, 2) = 6.2053.
    wider = found.among(2)
    assert wider.high - wider.mean == pytest.approx(6.205347 / np.sqrt(3), rel=1e-6)
    assert found.among(1).low == pytest.approx(found.low)
    x = np.geomspace(1, 10, 5)
    rows = x[:, None] ** np.array([-0.5, -0.4])
    assert slope_over_seeds(x, rows).mean == pytest.approx(-0.45)
    assert signs([found, paired([0, 0, 0], [1, 1.1, 0.9])]) == (
        "lower in 1 and higher in 0 of 2"
    )


def test_a_verdict_says_which_parts_hold():
    verdict = Verdict({"one": True, "two": False, "three": True}, "", "", "")
    assert verdict.when == "found: one, three; not found: two"
    assert Verdict({"one": True}, "", "", "").when == "found: one"
    assert said((True, "A."), (False, "B."), (True, "C.")) == "A. C."


def test_three_protocols():
    # Two λ, two seeds. The first method is worse at each λ, and better at its own best.
    first = Arm(valid=[[1.0, 1.0], [2.0, 2.0]], measure=[[3.0, 3.1], [5.0, 5.3]])
    second = Arm(valid=[[2.4, 2.4], [1.2, 1.2]], measure=[[1.0, 1.2], [4.0, 4.0]])
    same = _protocols.at_same_weight_decay(first, second)
    assert [gap.mean for gap in same] == pytest.approx([1.95, 1.15])
    assert _protocols.best(first.valid) == 0 and _protocols.best(second.valid) == 1
    assert _protocols.at_own_best(first, second).mean == pytest.approx(-0.95)
    # Both reach 1.2; the second's λ of lowest measure has twice that, the last budget.
    gaps = [gap.mean for gap in _protocols.along_frontier(first, second)]
    assert gaps == pytest.approx([-0.95, 1.95])
    assert _protocols.BUDGETS[-1] == 2
    # Which λ is the best for a seed, the other seed says.
    lucky = Arm(valid=[[1.0, 1.0], [1.0, 1.0]], measure=[[0.0, 9.0], [9.0, 0.0]])
    fixed = Arm(valid=[[1.0, 1.0]], measure=[[0.0, 0.0]])
    assert [gap.mean for gap in _protocols.along_frontier(lucky, fixed)] == [9.0]


def test_C7_quantises_and_reads_between_weight_decays():
    points, distances = c07_quantisation.quantise(jnp.array([3.0, 1.4, -0.6]), 3)
    np.testing.assert_allclose(points, [3, 1, -1])
    np.testing.assert_allclose(distances, [0, 0.4, 0.4], atol=1e-6)
    zeros = c07_quantisation.quantise(jnp.zeros(3), 3)
    np.testing.assert_array_equal(zeros, np.zeros((2, 3)))
    # The best λ is the second; the loss is √2 times the third's.
    arm = {"valid": [[2.0], [1.0], [2.0], [4.0]], "test": np.zeros((4, 1))}
    arm["quantised_test"] = [[[9.0], [1.0], [3.0], [5.0]]]
    assert c07_quantisation.under_heavy_decay(arm, 0, 8**0.5) == pytest.approx([4.0])


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        pytest.param("C8", HOLDS_WHEN, marks=pytest.mark.nightly),
        pytest.param("C3", HOLDS, marks=pytest.mark.slow),
        pytest.param("C9", HOLDS_WHEN, marks=pytest.mark.slow),
        pytest.param("C10", HOLDS_WHEN, marks=pytest.mark.slow),
    ],
)
def test_arithmetic_claims_in_full_size(name, outcome, tmp_path):
    record = make(CLAIMS[name], "full", tmp_path, lambda _: None)
    assert CLAIMS[name].judge(record["numbers"]).outcome == outcome


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_a_run_repeats(name, tmp_path):
    claim = CLAIMS[name]
    records = [make(claim, "smoke", tmp_path / x, lambda _: None) for x in "ab"]
    assert records[0]["numbers"] == records[1]["numbers"]
    assert claim.judge(records[0]["numbers"]).outcome in (
        HOLDS,
        HOLDS_WHEN,
        NOT_SUPPORTED,
    )


@pytest.mark.slow
def test_the_command_line(tmp_path, capsys):
    arguments = ["--smoke", "--output", str(tmp_path)]
    assert command.main(["list"]) == 0
    assert "C9" in capsys.readouterr().out
    assert command.main(["report", *arguments]) == 2
    assert command.main(["run", "c9", *arguments]) == 0
    assert "HOLDS ONLY WHEN" in capsys.readouterr().out
    for kind in ("json", "png", "svg"):
        assert (tmp_path / f"c9_smoke.{kind}").exists()
    # What has a record is not run again, also when it was changed.
    path = tmp_path / "c9_smoke.json"
    record = json.loads(path.read_text())
    changed = copy.deepcopy(record)
    changed["numbers"]["error"]["hand: u"] = 1.0
    path.write_text(json.dumps(changed))
    assert command.main(["run", "C9", *arguments]) == 0
    assert "NOT SUPPORTED" in capsys.readouterr().out
    assert command.main(["run", "C9", "--again", *arguments]) == 0
    assert json.loads(path.read_text())["numbers"] == record["numbers"]
    # But what other code has made is, and what is no record of this size.
    other = json.dumps(changed | {"code": "other"})
    for text in (other, json.dumps(changed | {"size": "full"}), other[:99], "[]"):
        path.write_text(text)
        assert command.main(["run", "C9", *arguments]) == 0
        assert json.loads(path.read_text())["numbers"] == record["numbers"]
    capsys.readouterr()
    assert command.main(["report", *arguments]) == 0
    assert "without a record: C1, " in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    assert 'src="data:image/png;base64,' in page and "http" not in page.split("<h2")[0]
    assert "| C9 Worked examples (smoke) |" in (tmp_path / "report.md").read_text()
    assert command.main(["run", "C99"]) == 2
    capsys.readouterr()
    assert command.main(["run", "C9", "--output", str(path)]) == 2
    assert "is not a folder" in capsys.readouterr().out
