"""What the page promises of its sliders is what its numbers say."""

import re

import numpy as np
import pytest

from docs.sandbox import _grid
from docs.sandbox._methods import METHODS
from docs.sandbox._problems import PROBLEMS

NAMES = list(METHODS)
ADAM = NAMES[:4]


def at(problem, method, eta, lam, b2, ratio):
    """The index of a run."""
    return (
        list(PROBLEMS).index(problem),
        NAMES.index(method),
        _grid.LEARNING_RATES.index(eta),
        _grid.WEIGHT_DECAYS.index(lam),
        _grid.B2S.index(b2),
        _grid.RATIOS.index(ratio),
    )


def percent(rate):
    """As the page writes a rate: two significant digits."""
    exponent = int(f"{100 * rate:.1e}".partition("e")[2])
    return f"{100 * rate:.{max(1 - exponent, 0)}f} %"


def text_of(page):
    """The words of the page, without tags, in one line."""
    body = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", "", body).split())


def test_percent_by_hand():
    assert [percent(x) for x in (0.0003, 9.46e-5, 0.009999, 0.094)] == [
        "0.030 %",
        "0.0095 %",
        "1.0 %",
        "9.4 %",
    ]


def test_links_lead_to_positions_of_the_sliders(page):
    links = re.findall(r'href="#([^"]*)"', page)
    assert len(links) == 3
    for link in links:
        asked = dict(part.split("=") for part in link.split("&amp;"))
        assert set(asked.pop("show").split(",")) <= set(NAMES)
        values = asked.pop("problem"), *(float(asked[x]) for x in ("eta", "lambda"))
        at(values[0], "adamw", *values[1:], float(asked["b2"]), int(asked["ratio"]))


def test_the_ratio_moves_adam_with_l2_and_not_adamw(page, shown):
    settings = 0.01, 0.03, 0.999
    ends = {
        method: [
            shown.theta[at("smaller", method, *settings, ratio)][:, -1]
            for ratio in _grid.RATIOS
        ]
        for method in ("adam_l2", "adamw")
    }
    assert np.ptp(ends["adamw"], axis=0).max() < 1e-4
    second = [end[1] for end in ends["adam_l2"]]
    assert second == sorted(second, reverse=True)
    rates = shown.mean_rates[at("smaller", "adamw", *settings, 1000)]
    text = text_of(page)
    assert f"ends at θ₂ = {ends['adamw'][-1][1]:.2f} and" in text
    assert f"ηλ = {percent(rates[0, 0])} of each coordinate" in text
    assert f"dragged down to θ₂ = {second[-1]:.2f}," in text
    np.testing.assert_allclose(rates, 0.01 * 0.03, rtol=1e-3)


def test_noise_takes_the_decay_from_adam_with_l2(page, shown):
    settings = 0.03, 0.1, 0.999, 1000
    rates = {
        method: shown.mean_rates[at("noisier", method, *settings)][:, 0]
        for method in ("adam_l2", "adamw", "sgd")
    }
    text = text_of(page)
    assert f"removes {percent(rates['adam_l2'][0])} of θ₁ per step where" in text
    assert f"AdamW removes ηλ = {percent(rates['adamw'][0])}." in text
    np.testing.assert_allclose(rates["sgd"], rates["adamw"], rtol=1e-3)
    path = shown.theta[at("noisier", "sgd", *settings)]
    assert path[0].max() > 2.25 and path[0].min() < -0.35  # Where the picture ends.


def test_the_learning_rate_moves_adamw_and_not_independent_decay(page, shown):
    rates = {
        (method, eta): shown.mean_rates[at("smaller", method, eta, 0.1, 0.999, 100)]
        for method in ("adamw", "cautious", "independent")
        for eta in (0.01, 0.1)
    }
    text = text_of(page)
    slow, fast = (percent(rates["adamw", eta][0, 0]) for eta in (0.01, 0.1))
    assert f"AdamW's decay grows from {slow} to {fast} per step" in text
    same = {percent(rates["independent", eta][0, 0]) for eta in (0.01, 0.1)}
    assert len(same) == 1 and f"stays at {same.pop()}." in text
    cautious = rates["cautious", 0.01]
    assert f"the cautious one removes {percent(cautious[1, 0])} of θ₂" in text
    path, windows = (
        x[at("smaller", "cautious", 0.01, 0.1, 0.999, 100)][1]
        for x in (shown.theta, shown.rates)
    )
    up = np.diff(path) > 0
    assert up.sum() > 30 and np.median(windows[up]) == 0


def test_without_decay_all_paths_of_adam_are_one(page, shown):
    assert "At λ = 0 all of Adam's paths are one." in page
    none = _grid.WEIGHT_DECAYS.index(0.0)
    first, *others = (shown.theta[:, NAMES.index(name), :, none] for name in ADAM)
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-4, rtol=0)
    assert not shown.rates[:, :, :, none].any()


@pytest.mark.parametrize("problem", PROBLEMS)
def test_decoupled_decay_is_the_same_for_both_coordinates(problem, shown):
    eta, lam = np.meshgrid(_grid.LEARNING_RATES, _grid.WEIGHT_DECAYS, indexing="ij")
    expected = {"adamw": eta * lam, "independent": _grid.PEAK * lam, "sgd": eta * lam}
    for name, rate in expected.items():
        found = shown.rates[list(PROBLEMS).index(problem), NAMES.index(name)]
        wanted = np.broadcast_to(rate[..., *[None] * 4], found.shape)
        np.testing.assert_allclose(found, wanted, rtol=2e-4)


def test_adam_with_l2_decays_the_quiet_coordinate_harder(shown):
    lam = slice(1, None)
    first, second = np.moveaxis(shown.mean_rates[:, 0, :, lam, :, 1:, :, 0], -1, 0)
    assert (second > first).mean() > 0.95
