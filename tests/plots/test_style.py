"""What the figures share."""

import sys

import numpy as np
import pytest

from optaxwd.plots._style import (
    look,
    new_figure,
    shorten,
    shorten_all,
    spread,
    width_of,
)


def test_without_matplotlib_the_error_says_what_to_do(monkeypatch):
    for name in [one for one in sys.modules if one.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for needs_it in (lambda: new_figure(1, 1), lambda: width_of("n")):
        with pytest.raises(ImportError, match="`pip install matplotlib`"):
            needs_it()


def test_looks_differ():
    looks = [look(index) for index in range(70)]
    assert len({(x.color, x.marker) for x in looks}) == 70
    assert len({x.symbol for x in looks[:10]}) == 10


def test_shorten_keeps_both_ends():
    assert shorten("block_0/attention/kernel", 11) == "block…ernel"
    assert shorten("a\n b", 3) == "a b"
    assert shorten_all(["aaa1bbb", "aaa2bbb", "c" * 9], 5) == [
        "aaa1bbb",
        "aaa2bbb",
        "cc…cc",
    ]


@pytest.mark.parametrize("seed", range(20))
def test_spread(seed):
    rng = np.random.default_rng(seed)
    heights = rng.uniform(0, 1, rng.integers(1, 12)).round(1)
    found = np.array(spread(heights, 0.08))
    order = np.argsort(heights, kind="stable")
    assert (np.diff(found[order]) >= 0.08 - 1e-9).all()
    assert found.min() >= 0 and found.max() <= 1 + 1e-9
    assert spread(heights, 0.0) == pytest.approx(heights)


def test_spread_moves_as_little_as_needs_be():
    assert spread([0.5, 0.5, 0.9], 0.1) == pytest.approx([0.45, 0.55, 0.9])
    assert spread([], 0.1) == []
    assert spread([0.5] * 5, 0.5) == pytest.approx([0, 0.5, 1, 1.5, 2])
