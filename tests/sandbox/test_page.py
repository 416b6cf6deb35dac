"""The committed page: one file that loads nothing, up to date, and readable by all."""

import base64
import hashlib
import html
import html.parser
import re

import numpy as np
import pytest

from docs.sandbox import _grid, _page
from docs.sandbox._methods import METHODS
from docs.sandbox._problems import PROBLEMS

# Ways of a script to reach the network or another file.
REQUESTS = (
    r"\bfetch\b",
    "XMLHttpRequest",
    r"\bimport\b",
    "WebSocket",
    "EventSource",
    "sendBeacon",
    "Worker",
    r"\burl\(",
    r"\beval\b",
)
MODES = ("light", "dark")


class Tags(html.parser.HTMLParser):
    """All start tags with their attributes, and the texts of inline elements."""

    def __init__(self, page):
        super().__init__()
        self.found, self.inline, self.within = [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.within = self.found[-1]

    def handle_endtag(self, tag):
        self.within = None

    def handle_data(self, data):
        if self.within and self.within[0] in ("script", "style"):
            self.inline.append((self.within, data))

    def all(self, *names):
        return [attributes for tag, attributes in self.found if tag in names]


@pytest.fixture(scope="module")
def tags(page):
    return Tags(page)


def test_the_page_is_what_the_generator_makes_of_the_template(page, embedded):
    assert _page.render(embedded) == page, "run python -m docs.sandbox"


def test_an_old_page_is_found(page, embedded):
    assert _page.render(embedded) != page.replace("Reset", "Start again")
    with pytest.raises(ValueError, match="has no data. Build it again"):
        _page.read(page.replace('id="data"', 'id="other"'))


def test_the_problems_are_those_of_the_text(page):
    text = html.unescape(page).replace("\xa0", " ")
    smaller, noisier = PROBLEMS.values()
    assert smaller.scale_power == (0, -1) and "c = (1, 1/ratio)" in text
    assert smaller.noise == (0.3, 0.3) and not any(smaller.noise_power)
    assert "the noise in a gradient is 0.3 of its scale" in text
    assert not any(noisier.scale_power) and "c = (1, 1), and" in text
    assert (noisier.noise, noisier.noise_power) == ((0.03, 0.03), (1, 0))
    assert "the noise is (0.03 · ratio, 0.03)." in text


def test_marks_are_as_far_apart_as_the_text_says(page):
    (points,) = re.findall(r"drawLine\(inside, name, points, (\d+)\)", page)
    assert f"of a path are {int(points) * _grid.EVERY} steps" in page


def test_nothing_is_left_to_fill_in(page):
    assert "{{" not in page and len(page.encode()) < 1_000_000


def test_nothing_is_loaded_from_elsewhere(tags):
    for tag, attributes in tags.found:
        assert not {"src", "srcset", "action", "data"} & attributes.keys(), tag
        assert attributes.get("href", "#").startswith(("#", "data:,")), attributes
    kinds = [a.get("type") for a in tags.all("script")]
    assert kinds == ["application/json"] * 2 + ["text/plain", None]


def test_no_script_can_make_a_request(tags):
    (script,) = [x for (tag, a), x in tags.inline if tag == "script" and not a]
    (style,) = [x for (tag, _), x in tags.inline if tag == "style"]
    for pattern in REQUESTS:
        assert not re.search(pattern, style), pattern
        found = re.findall(f".*{pattern}.*", script)
        assert all("url(#view)" in line for line in found), found
    names = re.findall(r"https?://\S+", script + style)
    assert names == ['http://www.w3.org/2000/svg";']  # A name, not an address.


def test_the_policy_allows_only_what_is_inside(tags):
    (policy,) = [
        a["content"]
        for a in tags.all("meta")
        if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    inline = {tag: x for (tag, a), x in tags.inline if not a}
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        digest = hashlib.sha256(inline[tag].encode()).digest()
        found = f"{directive} 'sha256-{base64.b64encode(digest).decode()}'"
        assert found in policy


def test_every_name_that_is_referred_to_is_there(tags):
    ids = [a["id"] for _, a in tags.found if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in tags.found:
        for key in ("for", "aria-labelledby"):
            assert key not in attributes or attributes[key] in ids


def test_every_slider_has_a_label_and_a_value_in_words(tags):
    labels = {a["for"] for a in tags.all("label")}
    sliders = {a["id"] for a in tags.all("input")}
    assert labels == sliders == {"ratio", "lambda", "eta", "b2"}
    ids = {a.get("id") for _, a in tags.found}
    assert {f"{name}-value" for name in sliders} <= ids


def test_the_document_says_language_width_and_what_is_announced(tags):
    assert tags.all("html") == [{"lang": "en"}]
    assert any("width=device-width" in a.get("content", "") for a in tags.all("meta"))
    assert {"id": "status", "role": "status", "aria-live": "polite"} in tags.all("p")
    assert len(tags.all("h1")) == len(tags.all("main")) == len(tags.all("caption")) == 1
    assert all("scope" in a for a in tags.all("th"))


def luminance(color):
    x = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    """The ratio that WCAG 2 defines."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def colors(page):
    """The colours of both modes by name."""
    light, dark = re.findall(r":root \{(.*?)\}", page, re.DOTALL)[:2]
    found = [dict(re.findall(r"--(\w+): (#\w{6})", x)) for x in (light, dark)]
    assert found[0].keys() == found[1].keys()
    return dict(zip(MODES, found, strict=True))


def test_contrast_by_hand():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("mode", MODES)
def test_texts_and_lines_stand_out(mode, page):
    found = colors(page)[mode]
    for name in ("ink", "quiet", "accent"):
        assert contrast(found[name], found["paper"]) >= 4.5, name
    for name in ("edge", "ring"):
        assert contrast(found[name], found["paper"]) >= 3, name
    for method in METHODS.values():
        if method.color != "currentColor":
            assert contrast(method.color, found["paper"]) >= 3, method.title


def test_methods_differ_without_colour(page):
    assert len({method.dashes for method in METHODS.values()}) == len(METHODS)
    shapes = re.search(r"const SHAPES = \{(.*?)\};", page, re.DOTALL)[1]
    found = dict(re.findall(r'(\w+): "(M[^"]*)"', shapes))
    assert found.keys() == METHODS.keys()
    assert len(set(found.values())) == len(METHODS)
