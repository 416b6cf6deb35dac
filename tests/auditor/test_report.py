"""The report: printed, as Markdown, as JSON, as an exception."""

import json

import numpy as np
import optax
import pytest

import optaxwd

PARAMS = {"bias": np.ones(4), "kernel": np.ones((6, 4))}


@pytest.fixture(scope="module")
def report():
    return optaxwd.audit(optax.adafactor, PARAMS, mask={"bias": False, "kernel": True})


def test_printed(report, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = str(report)
    assert "kernel" in text and "constant" in text and "6.579" in text
    assert "error: lr-independent (bias, kernel): 10 % of every weight" in text
    assert "error: mask-mismatch (bias)" in text


def test_markdown(report):
    text = report.to_markdown()
    assert text.startswith("| parameter | shape |")
    assert "| `kernel` | (6,4) | float64 | yes | constant | 0.1 | 6.579 | yes |" in text
    assert "- error: lr-independent" in text


def test_json(report):
    read = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert read["leaves"]["kernel"]["coupling"] == "constant"
    assert read["leaves"]["kernel"]["shape"] == [6, 4]
    assert {f["code"] for f in read["findings"]} == {"lr-independent", "mask-mismatch"}
    none = optaxwd.audit(optax.sgd(0.1), PARAMS).to_dict()
    assert none["leaves"]["kernel"]["half_life"] is None


def test_findings_are_sorted_by_gravity_and_have_known_codes(report):
    from optaxwd.auditor import CODES, SEVERITIES

    order = [SEVERITIES.index(finding.severity) for finding in report.findings]
    assert order == sorted(order, reverse=True)
    assert {finding.code for finding in report.findings} <= set(CODES)


def test_raise_if(report):
    with pytest.raises(AssertionError, match="3 findings(.|\n)*lr-independent 'bias'"):
        report.raise_if("error")
    with pytest.raises(ValueError, match="unknown severity 'fatal'"):
        report.raise_if("fatal")
    healthy = optaxwd.audit(optax.adamw, {"kernel": np.ones((3, 3))})
    healthy.raise_if("info")
    assert "no findings" in str(healthy)


def test_half_life_is_exact():
    params = {"kernel": np.ones((3, 3))}
    leaf = optaxwd.audit(optax.adamw, params, learning_rate=3e-4).leaves["kernel"]
    assert leaf.half_life == pytest.approx(np.log(2) / -np.log1p(-3e-5), rel=1e-9)
