"""The figure of an audit shows the report's own numbers, and drops no leaf."""

import math
import re

import pytest

from optaxwd import AuditReport, Finding, LeafReport
from optaxwd.plots import plot_audit

pytest.importorskip("matplotlib")
INFINITE = math.inf


def leaf(path, rate=1e-4, **changes):
    facts = {
        "shape": (2, 3),
        "dtype": "float32",
        "decays": rate > 0,
        "decoupled": rate > 0,
        "coupling": "learning_rate" if rate > 0 else "none",
        "lr_power": 1.0,
        "in_state": False,
        "effective": rate > 0,
        "half_life": math.log(2) / rate if rate > 0 else INFINITE,
        "weight_decay": 0.1,
        "penalty": "L2",
        "anchor": "",
        "gate": "",
        "cannot_tell": False,
        "notes": (),
    }
    return LeafReport(path=path, rate=rate, **(facts | changes))


def report_of(*leaves, findings=(), notes=()):
    by_path = {one.path: one for one in leaves}
    return AuditReport("factory", by_path, tuple(findings), notes=notes)


def ends(figure):
    """Return where the bars end, by row."""
    return {round(x.get_y() + 0.35): x.get_x() + x.get_width() for x in bars(figure)}


def bars(figure):
    return figure.axes[0].patches


def labels(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_bars_are_the_rates(check_drawn, texts):
    report = report_of(leaf("a/kernel", 1e-3), leaf("a/bias", 0.0), leaf("w", 2.5e-7))
    figure = plot_audit(report)
    assert labels(figure) == ["a/kernel", "a/bias", "w"]
    assert ends(figure) == pytest.approx({0: 1e-3, 2: 2.5e-7})
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "rate: fraction of θ that decay removes per step"
    left, right = axes.get_xlim()
    assert left < 2.5e-7 and right > 1e-3
    title = "audit of a factory: 2 of 3 leaves decay, 12 of 18 parameters"
    assert figure.get_suptitle() == title
    shown = texts(figure)
    assert {"693", "2,772,589", "∞", "no decay", "learning_rate"} <= set(shown)
    check_drawn(figure)


def test_leaves_without_decay_and_unknown_ones_differ(texts):
    unknown = leaf("b", 0.0, cannot_tell=True, coupling="other", decoupled=None)
    figure = plot_audit(report_of(leaf("a", 0.0), unknown))
    assert not bars(figure)
    (ring,) = figure.axes[0].lines
    assert ring.get_marker() == "o" and list(ring.get_ydata()) == [0]
    mark = next(t for t in figure.axes[0].texts if t.get_text() == "?")
    assert mark.get_position()[1] == 1
    assert "cannot tell" in texts(figure)


def test_laws_differ_in_grey():
    couplings = ["learning_rate", "independent", "constant", "corrected", "l2"]
    couplings += ["momentum", "trust_ratio", "proximal", "averaged", "other"]
    figure = plot_audit(report_of(*(leaf(name, coupling=name) for name in couplings)))
    looks = {(bar.get_hatch(), bar.get_facecolor()) for bar in bars(figure)}
    hatches = {bar.get_hatch() for bar in bars(figure)}
    assert len(looks) == 10 and len(hatches) == 9  # "other" is plain, and grey.


def test_decay_lost_to_rounding_is_an_open_bar(texts):
    lost = leaf("b", dtype="bfloat16", effective=False)
    figure = plot_audit(report_of(leaf("a"), lost))
    solid, open_ = bars(figure)
    assert solid.get_linestyle() in ("-", "solid")
    assert open_.get_facecolor() == (1, 1, 1, 1) and open_.get_linestyle() in (
        "--",
        "dashed",
    )
    assert "NO, lost in bfloat16" in texts(figure)


def test_decay_of_the_wrong_sign_grows(texts):
    growing = leaf("a", -1e-3)
    figure = plot_audit(report_of(growing))
    assert ends(figure) == pytest.approx({0: 1e-3})
    assert " grows" in texts(figure) and "-0.001" in texts(figure)


@pytest.mark.parametrize("rate", [math.nan, INFINITE])
def test_rates_that_are_not_finite_have_no_bar(rate, check_drawn):
    odd = leaf("a", 1.0, half_life=math.nan)
    odd = LeafReport(**(vars(odd) | {"rate": rate}))
    figure = plot_audit(report_of(odd, leaf("b")))
    assert list(ends(figure)) == [1]
    check_drawn(figure)


def test_no_leaves(texts, check_drawn):
    figure = plot_audit(report_of())
    assert "no floating-point leaves" in texts(figure)
    check_drawn(figure)


def test_findings_are_marked_and_listed(texts, check_drawn):
    message = "this costs $5 and $6, " + "and more " * 20
    figure = plot_audit(
        report_of(
            leaf("a"),
            leaf("b"),
            findings=[
                Finding("no-decay", "error", "", "of the whole"),
                Finding("rate-mismatch", "error", "a", message),
                Finding("rate-mismatch", "error", "b", "another"),
                Finding("coupled", "info", "a", "a note"),
            ],
            notes=("of the audit",),
        )
    )
    shown = texts(figure)
    assert "error: rate-mismatch; info: coupled" in shown
    listed = re.sub(r"\s+", " ", next(t for t in shown if "of the whole" in t))
    assert "error: no-decay: of the whole" in listed
    assert "error: rate-mismatch (2 leaves): this costs $5 and $6, and" in listed
    assert "(and 1 similar message)" in listed and "another" not in listed
    assert "info: coupled (a): a note" in listed and "note: of the audit" in listed
    check_drawn(figure)


def test_many_leaves_of_one_kind_are_one_row(check_drawn):
    leaves = [leaf(f"block_{i}/kernel") for i in range(200)]
    leaves += [leaf(f"block_{i}/bias", 0.0) for i in range(200)]
    leaves[7] = leaf("block_7/kernel", 0.3)
    finding = Finding("nan", "info", "block_9/kernel", "text")
    figure = plot_audit(report_of(*leaves, findings=[finding]))
    expected = ["198 leaves: kernel", "block_7/kernel", "block_9/kernel"]
    assert labels(figure) == [*expected, "200 leaves: bias"]
    assert ends(figure) == pytest.approx({0: 1e-4, 1: 0.3, 2: 1e-4})
    assert figure.get_suptitle().endswith("; 400 leaves in 4 rows")
    check_drawn(figure)


@pytest.mark.parametrize("name", ["kernel", "w_{}"])
def test_rows_may_hold_many_rates(name, texts, check_drawn):
    paths = [f"block_{i}/{name.format(i)}" for i in range(400)]
    leaves = [leaf(path, 1e-5 * (i + 1)) for i, path in enumerate(paths)]
    figure = plot_audit(report_of(*leaves))
    (label,) = labels(figure)
    assert label.startswith("400 leaves: ")
    assert ends(figure) == pytest.approx({0: 1e-5})
    (line,) = figure.axes[0].lines
    assert list(line.get_xdata()) == pytest.approx([1e-5, 4e-3])
    assert "1e-05 to 0.004" in texts(figure)
    check_drawn(figure)


def test_long_paths_and_long_messages_fit(check_drawn):
    path = "/".join(["a_long_module_name"] * 12)
    leaves = [leaf(path + end, anchor="its initial value") for end in "ab"]
    finding = Finding("nan", "error", path + "a", "word " * 2000)
    figure = plot_audit(report_of(*leaves, findings=[finding]))
    assert len(labels(figure)[0]) < 50
    assert figure.get_figheight() < 10
    check_drawn(figure)


def test_another_penalty_is_said():
    label = plot_audit(report_of(leaf("a", penalty="L1"))).axes[0].get_xlabel()
    assert "what its pull is multiplied by" in label


def test_something_else_is_refused():
    with pytest.raises(TypeError, match=r"optaxwd\.audit returns, got 1 of type int"):
        plot_audit(1)
