"""Ratios, ties, targets, report and figures, on a record that is made up."""

import copy

import pytest
from matplotlib.figure import Figure

from benchmarks._figures import DRAWINGS
from benchmarks._report import to_markdown
from benchmarks._results import Cost, Ratio, Results, verdict
from benchmarks._targets import MISSED, REACHED, TARGETS, TIED, UNKNOWN, Target, judge


def ratio(median, low=None, high=None):
    return Ratio(median, low or median, high or median, 3)


def test_small_differences_are_ties():
    assert verdict(ratio(1.09), "a", "b") == "tie"
    assert verdict(ratio(0.91), "a", "b") == "tie"
    assert verdict(ratio(0.8), "a", "b") == "a faster by 25 %"
    assert verdict(ratio(1.25), "a", "b") == "**b faster by 25 %**"
    assert verdict(ratio(3.0), "a", "b") == "**b faster 3.0 times**"


def test_ratios_are_taken_within_processes(record):
    # The second process is twice as slow, all of it: its ratio is the same.
    for run in record["runs"]:
        if run["job"]["section"] == "steps" and run["job"]["process"] == 1:
            for case in run["result"]["cases"].values():
                for name, seconds in case["seconds"].items():
                    case["seconds"][name] = [2 * one for one in seconds]
    found = Results(record).ratio(
        "steps", "adamw", Cost("optaxwd"), Cost("optax"), size=10**5
    )
    assert found == pytest.approx((0.75, 0.75, 0.75, 2))


def test_differences_of_times(record):
    # 1.5 and 2, of which one half each is the call.
    costs = [Cost(name, f"{name} call") for name in ("optaxwd", "optax")]
    results = Results(record)
    assert results.ratio("leaves", "adamw", *costs, leaves=10).median == 0.75
    seconds = results.seconds("leaves", "adamw", costs[1], leaves=10)
    assert seconds == pytest.approx(1e-4)


def test_the_report_names_a_faster_peer(record):
    text = to_markdown(Results(record))
    assert "**torch fused faster by 50 %**" in text
    assert "optaxwd faster by 33 %" in text  # Than optax.
    assert "0.97 [0.97, 0.97] | tie |" in text  # torch foreach.


def test_the_report_names_what_was_refused(record):
    for run in record["runs"]:
        if run["job"]["section"] == "steps":
            case = run["result"]["cases"].get("adamw")
            if case is not None:
                case |= {"refused": True, "drifts": [0.5, 0.4, 0.3]}
    results = Results(record)
    assert len(results.refused()) == 4
    text = to_markdown(results)
    assert "drifted by 50 %, 40 %, 30 %" in text
    assert "| optaxwd | refused | refused |" in text
    for section, _, draw in DRAWINGS.values():
        assert results.of(section)
        assert isinstance(draw(results), Figure)


def test_the_report_names_wrong_candidates(record):
    assert not Results(record).failures()
    wrong = copy.deepcopy(record)
    one = wrong["runs"][0]["result"]["cases"]["adamw"]["equality"]["optaxwd"]
    one |= {"largest": float("nan"), "passed": False}
    results = Results(wrong)
    assert len(results.failures()) == 1
    assert "**wrong**" in to_markdown(results)
    assert "**wrong**" not in to_markdown(Results(record))


def test_the_report_says_what_was_skipped(record):
    for run in record["runs"]:
        for case in run["result"].get("cases", {}).values():
            case["skipped"] = {"torch fused": "torch is not installed"}
            case["seconds"].pop("torch fused", None)
    text = to_markdown(Results(record))
    assert "- skipped: torch is not installed" in text
    assert "| torch fused | skipped |" in text


def test_a_busy_machine_is_named(record):
    assert "machine was busy" not in to_markdown(Results(record))
    record["runs"][0]["result"]["cases"]["adamw"]["others"] = 0.4
    text = to_markdown(Results(record))
    assert "other processes had up to 40 % of the processors" in text
    assert "**torch fused faster by 50 %** (machine busy)" in text


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        (ratio(1.0), {}, REACHED),
        (ratio(1.05), {"timed": True}, TIED),
        (ratio(1.05), {}, MISSED),
        (ratio(1.2), {"timed": True}, MISSED),
        (ratio(0.9, 0.8, 1.2), {"timed": True}, REACHED),
        (ratio(0.9, 0.8, 1.2), {"timed": True, "every": True}, MISSED),
        (ratio(0.5), {"timed": True, "at_least": True}, MISSED),
        (ratio(1.5), {"timed": True, "at_least": True}, REACHED),
        (None, {}, UNKNOWN),
    ],
)
def test_verdicts_on_targets(record, value, options, expected):
    target = Target("case", "≤ 1", 1.0, lambda results: value, **options)
    assert judge(target, Results(record)).verdict == expected


def test_targets_of_a_gpu_need_one(record):
    gpu = [target for target in TARGETS if target.case.startswith("GPU")]
    for target in gpu:
        judged = judge(target, Results(record))
        assert (judged.verdict, judged.found) == (UNKNOWN, "needs a GPU")
    record["machine"]["backend"] = "gpu"
    # 0.9 ns for 28 bytes, and 1.5 that it took.
    assert judge(gpu[0], Results(record)).found.startswith("0.60")


def test_without_the_flag(record):
    record["runs"] = [run for run in record["runs"] if not run["job"].get("one_pass")]
    assert "### one pass" not in to_markdown(Results(record))
    assert len(DRAWINGS["steps.png"][-1](Results(record)).axes) == 2


@pytest.mark.parametrize("name", DRAWINGS)
def test_figures(record, name):
    assert isinstance(DRAWINGS[name][-1](Results(record)), Figure)
