"""The pictures of the documentation are those that the library's numbers give now."""

import pathlib
import re

import pytest

pytest.importorskip("matplotlib")
from matplotlib.testing.compare import compare_images

from docs.figures.__main__ import IMAGES, NAMES, draw, save

ROOT = pathlib.Path(__file__).parent.parent.parent


def test_each_picture_is_drawn_and_shown():
    assert {path.stem for path in IMAGES.iterdir()} == set(NAMES)
    # With words for readers who cannot see it.
    pages = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]
    text = "\n".join(path.read_text() for path in pages)
    shown = re.findall(r"!\[[^\]]{20,}\]\([\w./]*images/(\w+)\.png\)", text)
    assert set(shown) == set(NAMES), (
        "each is on a page, with words for who can't see it"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_picture_is_up_to_date(name, tmp_path):
    now = tmp_path / f"{name}.png"
    save(draw(name), now)
    # The root mean square over pixels: a curve that moves by its width is above.
    difference = compare_images(IMAGES / now.name, now, tol=3)
    assert difference is None, f"run `python -m docs.figures {name}`: {difference}"
