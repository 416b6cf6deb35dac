"""Tables are text, wherever they are asked for."""

import pytest

from optaxwd import DecayRules


def test_in_a_notebook_the_text_has_the_table(monkeypatch, capsys):
    console = pytest.importorskip("rich.console")
    explanation = DecayRules([("bias", False)]).explain({"bias": 0.0, "kernel": 1.0})
    expected = str(explanation)
    monkeypatch.setattr(console, "_is_jupyter", lambda: True)
    assert str(explanation) == expected and "multiplier" in expected
    assert capsys.readouterr().out == ""
