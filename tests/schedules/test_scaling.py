"""Scaling rules: each source's own statement, and that disagreement is said."""

import math

import pytest

import optaxwd


def scale(rule, **ratios):
    return optaxwd.scale_weight_decay(0.1, rule=rule, **ratios)


class TestSources:
    def test_timescale(self):
        # B/(η·τ·N): λ with the batch, against data and learning rate.
        assert scale("timescale", batch_ratio=4) == pytest.approx(0.4)
        assert scale("timescale", data_ratio=4) == pytest.approx(0.025)
        assert scale("timescale", learning_rate_ratio=2) == pytest.approx(0.05)
        mup = {"width_ratio": 8, "learning_rate_ratio": 1 / 8}
        assert scale("timescale", **mup) == pytest.approx(0.8)

    def test_timescale_is_the_timescale_kept(self):
        before = optaxwd.weight_decay_from_timescale(
            2, learning_rate=0.1, unit="epochs", batch_size=10, dataset_size=1000
        )
        after = optaxwd.weight_decay_from_timescale(
            2, learning_rate=0.05, unit="epochs", batch_size=30, dataset_size=7000
        )
        found = optaxwd.scale_weight_decay(
            before,
            rule="timescale",
            batch_ratio=3,
            data_ratio=7,
            learning_rate_ratio=0.5,
        )
        assert found == pytest.approx(after)

    def test_power_lines(self):
        # τ = B/(ηλD) ∝ (D/N)^−0.527
        assert scale("power_lines", batch_ratio=2) == pytest.approx(0.2)
        assert scale("power_lines", data_ratio=4) == pytest.approx(0.1 * 4**-0.473)
        both = {"data_ratio": 9, "width_ratio": 3}  # the same tokens per parameter
        assert scale("power_lines", **both) == pytest.approx(0.1 / 9)

    def test_sqrt_width(self):
        mup = {"width_ratio": 4, "learning_rate_ratio": 0.25}
        assert scale("sqrt_width", **mup) == pytest.approx(0.2)

    def test_independent(self):
        mup = {"width_ratio": 4, "learning_rate_ratio": 0.25}
        assert scale("independent", **mup) == pytest.approx(0.4)

    def test_normalized(self):
        sizes = {"batch_size": 128, "dataset_size": 50_000, "epochs": 100}
        larger = sizes | {"batch_size": 512, "dataset_size": 100_000}
        before, after = (
            optaxwd.normalized_weight_decay(0.025, **size) for size in (sizes, larger)
        )
        found = scale("normalized", batch_ratio=4, data_ratio=2)
        assert found / 0.1 == pytest.approx(after / before)

    def test_no_change_changes_nothing(self):
        for rule in optaxwd.compare_scaling_rules(0.1).changes:
            assert scale(rule) == 0.1


def test_disagreement_is_said():
    found = optaxwd.compare_scaling_rules(0.1, width_ratio=4, learning_rate_ratio=0.25)
    assert found.values["timescale"] == pytest.approx(0.4)
    assert found.spread == pytest.approx(4 / 4 ** (1 - 2 * 0.527), rel=1e-6)
    assert set(found.silent) == {"normalized"}
    for text in (str(found), found.to_markdown()):
        assert "disagree by a factor of 4.31" in text
        for word in ("Wang and Aitchison", "Bergsma", "Fan et al", "Kosson", "2405."):
            assert word in text
        assert "says nothing of width" in text.replace("\n", " ")


def test_agreement_is_said():
    found = optaxwd.compare_scaling_rules(0.1)
    assert found.spread == 1 and "agree" in str(found)
    assert optaxwd.compare_scaling_rules(0.0, batch_ratio=2).values["timescale"] == 0


def test_every_rule_names_its_source():
    docstring = optaxwd.scale_weight_decay.__doc__
    for name in optaxwd.compare_scaling_rules(0.1).changes:
        assert f"``{name}``" in docstring
    table = optaxwd.compare_scaling_rules(0.1).to_markdown()
    assert table.count("https://arxiv.org/abs/") == 5


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"rule": "sqrt"}, ValueError, "unknown rule 'sqrt'"),
        ({"rule": "sqrt_width", "batch_ratio": 2}, ValueError, "nothing of batch"),
        ({"rule": "sqrt_width", "width_ratio": 2}, ValueError, "presumes muP.*0.5"),
        ({"rule": "independent", "data_ratio": 2}, ValueError, "nothing of data"),
        (
            {"rule": "timescale", "batch_ratio": 0},
            ValueError,
            "batch_ratio must be > 0",
        ),
        ({"rule": "timescale", "data_ratio": math.nan}, ValueError, "got nan"),
        ({"rule": "timescale", "width_ratio": "2"}, TypeError, "got '2'"),
        ({}, TypeError, "rule"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        optaxwd.scale_weight_decay(0.1, **call)
