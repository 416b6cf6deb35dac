"""The page in a browser: moved by keys and clicks, its numbers against fresh runs."""

import os
import re
import shutil

import numpy as np
import pytest

from docs.sandbox import _grid, _page
from docs.sandbox._methods import METHODS
from docs.sandbox._problems import PROBLEMS

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium"),
]
playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright, of the extra `browser`"
)

ADDRESS = _page.PAGE.as_uri()
SLIDERS = {
    "eta": ("Learning rate η", _grid.LEARNING_RATES),
    "lambda": ("Weight decay λ", _grid.WEIGHT_DECAYS),
    "b2": ("Adam's β₂", _grid.B2S),
    "ratio": ("Ratio, loud to quiet", _grid.RATIOS),
}
TITLES = {method.title: name for name, method in METHODS.items()}
DEFAULT = {"eta": 1, "lambda": 4, "b2": 2, "ratio": 4}
ALL = ",".join(METHODS)
# Half of the last digit that is shown, and what the 16 bits may add.
SHOWN_THETA = 0.005 + 3e-4
SHOWN_RATE = 0.05 + 1e-3


@pytest.fixture(scope="module")
def browser():
    # Chromium has no sandbox for root.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """A function that opens the page; whatever it asks for or complains of fails."""
    contexts, asked, complaints = [], [], []

    def open_page(fragment="", width=1280, height=900, **options):
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(ADDRESS + fragment)
        playwright.expect(tab.get_by_role("status")).not_to_be_empty()
        return tab

    yield open_page
    resources = "performance.getEntriesByType('resource').length"
    counts = [tab.evaluate(resources) for x in contexts for tab in x.pages]
    for context in contexts:
        context.close()
    assert {url.partition("#")[0] for url in asked} <= {ADDRESS}
    assert not complaints and not any(counts)


def number(text):
    """Return the number of a cell."""
    return float(text.removesuffix("\u00a0%").replace("−", "-").replace(",", ""))


def rows(tab):
    """Return the cells of the table by the method's name."""
    found = tab.locator("#table tr").all()
    cells = [row.locator("th, td").all_inner_texts() for row in found]
    return {TITLES[title]: values for title, *values in cells}


def check(cells, method, problem, at, fresh):
    """Compare one row with the run at these positions of the sliders."""
    outer = list(PROBLEMS).index(problem), list(METHODS).index(method)
    index = (*outer, *(at[name] for name in ("eta", "lambda", "b2", "ratio")))
    end, mean = fresh.theta[index][:, -1], fresh.mean_rates[index][:, 0]
    where = f"{method} {problem} {at}: {cells} {end} {mean}"
    for text, want in zip(cells[:2], end, strict=True):
        assert abs(number(text) - want) <= SHOWN_THETA, where
    for text, want in zip(cells[2:4], 100 * mean, strict=True):
        unit = 10.0 ** np.floor(np.log10(want)) if want else 0.0
        assert text.endswith("\u00a0%"), where
        assert abs(number(text) - want) <= SHOWN_RATE * unit, where
    if mean.all():
        ratio = mean[1] / mean[0]
        unit = 10.0 ** np.floor(np.log10(ratio))
        assert abs(number(cells[4]) - ratio) <= SHOWN_RATE * unit, where
    else:
        assert cells[4] in ("–", "only θ₁", "only θ₂"), where


def check_all(tab, problem, at, fresh, methods):
    found = rows(tab)
    assert list(found) == list(methods)
    for method, cells in found.items():
        check(cells, method, problem, at, fresh)


def slider(tab, name):
    return tab.get_by_role("slider", name=SLIDERS[name][0], exact=True)


@pytest.mark.parametrize("name", SLIDERS)
def test_a_slider_moves_by_keys(name, open_page, fresh):
    tab = open_page()
    at = dict(DEFAULT)
    for key, position in (
        ("Home", 0),
        ("ArrowRight", 1),
        ("ArrowUp", 2),
        ("ArrowLeft", 1),
        ("End", len(SLIDERS[name][1]) - 1),
    ):
        slider(tab, name).press(key)
        at[name] = position
        words = f"{SLIDERS[name][1][position]:,g}"
        assert slider(tab, name).get_attribute("aria-valuetext") == words
        assert tab.inner_text(f"#{name}-value") == words
        check_all(tab, "smaller", at, fresh, ["adam_l2", "adamw"])


def test_sliders_methods_and_problems_together(open_page, fresh):
    tab = open_page()
    for method in ("Cautious AdamW", "Independent AdamW"):
        tab.get_by_role("checkbox", name=method, exact=True).check()
    tab.get_by_role("checkbox", name="AdamW", exact=True).press("Space")
    tab.get_by_role("checkbox", name="SGD (L2 = decoupled)", exact=True).check()
    radio = tab.get_by_role("radio", name=PROBLEMS["smaller"].title, exact=True)
    radio.press("ArrowDown")
    at = {"eta": 2, "lambda": 5, "b2": 1, "ratio": 2}
    for name, position in at.items():
        slider(tab, name).fill(str(position))
    methods = [name for name in METHODS if name != "adamw"]
    check_all(tab, "noisier", at, fresh, methods)
    lines = tab.locator("#paths path.line")
    assert lines.count() == len(methods)
    assert lines.first.get_attribute("stroke") == METHODS["adam_l2"].color
    label = tab.get_by_role("img").first.get_attribute("aria-label")
    assert "Adam + L2" in label and "Cautious AdamW" in label


def test_every_position_of_every_slider(open_page, fresh):
    tab = open_page(f"#show={ALL}")
    found = tab.evaluate(
        """(problems) => problems.flatMap((problem) => {
          document.querySelector(`[value=${problem}]`).checked = true;
          const names = ["eta", "lambda", "b2", "ratio"];
          // Nobody looks at the plots.
          for (const plots of document.querySelectorAll(".paths, .rates")) {
            plots.hidden = true;
          }
          const inputs = names.map((name) => document.getElementById(name));
          const found = [];
          const visit = (depth, at) => {
            if (depth === inputs.length) {
              inputs[0].dispatchEvent(new Event("input", { bubbles: true }));
              const rows = [...document.querySelectorAll("#table tr")];
              const cells = rows.map((row) => [...row.cells].map((x) => x.textContent));
              found.push([problem, at, cells]);
              return;
            }
            for (let i = 0; i <= Number(inputs[depth].max); i++) {
              inputs[depth].value = i;
              visit(depth + 1, { ...at, [names[depth]]: i });
            }
          };
          visit(0, {});
          return found;
        })""",
        list(PROBLEMS),
    )
    assert len(found) * len(METHODS) == fresh.mean_rates[..., 0, 0].size
    for problem, at, cells in found:
        assert [TITLES[title] for title, *_ in cells] == list(METHODS)
        for title, *values in cells:
            check(values, TITLES[title], problem, at, fresh)


def test_the_numbers_in_words(open_page):
    tab = open_page()
    status = tab.get_by_role("status")
    first = status.inner_text()
    for title, cells in zip(("Adam + L2", "AdamW"), rows(tab).values(), strict=True):
        assert f"{title} is at ({cells[0]}, {cells[1]})" in first
    _, _, one, other, ratio = rows(tab)["adam_l2"]
    assert f"{one} of θ₁ and {other} of θ₂ per step, {ratio} times as much." in first
    assert f"AdamW removed {rows(tab)['adamw'][2]} of each coordinate" in first
    slider(tab, "lambda").press("Home")
    # It waits until the slider rests.
    assert status.inner_text() == first
    playwright.expect(status).to_contain_text("λ is 0: nothing decays.")
    tab.get_by_role("checkbox", name="Adam + L2", exact=True).uncheck()
    tab.get_by_role("checkbox", name="AdamW", exact=True).uncheck()
    playwright.expect(status).to_contain_text("No method is chosen.")
    assert not rows(tab) and not tab.locator("#paths path.line").count()


def test_the_address_keeps_the_setting_and_reset_forgets_it(open_page, fresh):
    tab = open_page()
    slider(tab, "lambda").press("End")
    tab.get_by_role("radio", name=PROBLEMS["noisier"].title, exact=True).check()
    tab.get_by_role("checkbox", name="SGD (L2 = decoupled)", exact=True).check()
    fragment = re.search("#.*", tab.url)[0]
    assert "problem=noisier" in fragment and "lambda=1" in fragment
    again = open_page(fragment)
    at = {**DEFAULT, "lambda": 7}
    check_all(again, "noisier", at, fresh, ["adam_l2", "adamw", "sgd"])
    again.get_by_role("button", name="Reset").click()
    check_all(again, "smaller", DEFAULT, fresh, ["adam_l2", "adamw"])
    assert "problem=smaller" in again.url


@pytest.mark.parametrize(
    "fragment",
    ["#problem=constructor&ratio=7&lambda=x&eta=", "#nothing", "#b2=0.95&__proto__=1"],
)
def test_an_address_that_says_nothing_is_the_default(fragment, open_page, fresh):
    check_all(open_page(fragment), "smaller", DEFAULT, fresh, ["adam_l2", "adamw"])


def test_links_of_the_text_move_the_sliders(open_page, fresh):
    tab = open_page()
    tab.get_by_role("link", name="Make θ₁ noisy").click()
    playwright.expect(tab.locator("#table tr")).to_have_count(3)
    at = {"eta": 2, "lambda": 5, "b2": 2, "ratio": 6}
    check_all(tab, "noisier", at, fresh, ["adam_l2", "adamw", "sgd"])
    assert slider(tab, "ratio").get_attribute("aria-valuetext") == "1,000"


def test_tab_visits_everything_in_the_order_of_the_page(open_page):
    tab = open_page()
    visited = []
    for _ in range(15):
        tab.keyboard.press("Tab")
        visited.append(
            tab.evaluate(
                "(document.activeElement.id || document.activeElement.value"
                " || document.activeElement.tagName)"
            )
        )
    controls = ["smaller", "ratio", "lambda", "eta", "b2", *METHODS, "reset"]
    assert visited == [*controls, "DIV", "A", "A", "A"]


def test_everything_has_a_name(open_page):
    tab = open_page()
    for group in ("Problem", "Methods"):
        assert tab.get_by_role("group", name=group).count() == 1
    assert tab.get_by_role("form", name="Settings").count() == 1
    assert tab.get_by_role("table").count() == 1
    for role, count in (("slider", 4), ("radio", 2), ("checkbox", 5), ("img", 3)):
        assert tab.get_by_role(role).count() == count
        assert tab.get_by_role(role, name=re.compile(r"\w")).count() == count
    regions = ["Paths over the loss", "Decay per step", "Three things to try"]
    assert all(tab.get_by_role("region", name=name).count() == 1 for name in regions)


@pytest.mark.parametrize("width", [320, 360, 720, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen(width, scheme, open_page):
    tab = open_page(f"#show={ALL}", width=width, height=800, color_scheme=scheme)
    wide, inner = tab.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner == width
    plots = tab.locator("svg[role=img]").all()
    boxes = [plot.bounding_box() for plot in plots]
    assert all(box["width"] >= 240 and box["x"] >= 0 for box in boxes)
    assert all(box["x"] + box["width"] <= width for box in boxes)
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 18, 18)"}[scheme]


def test_an_old_browser_is_told(browser):
    tab = browser.new_page()
    tab.add_init_script("delete globalThis.DecompressionStream")
    tab.goto(ADDRESS)
    message = "This browser cannot show the page, one from 2023 or later can"
    playwright.expect(tab.get_by_role("status")).to_contain_text(message)
    tab.close()


def test_plots_follow_the_window(open_page):
    tab = open_page()
    before = tab.locator("#paths svg").bounding_box()["width"]
    tab.set_viewport_size({"width": 400, "height": 800})
    svg = tab.locator("#paths svg")
    playwright.expect(svg).not_to_have_attribute("width", f"{before:g}")
    assert svg.bounding_box()["width"] <= 400 - 32


def test_texts_of_the_plots_are_whole_and_do_not_overlap(open_page):
    for width in (360, 1280):
        tab = open_page("#lambda=1&ratio=1000&eta=0.1&b2=0.9", width=width)
        for plot in tab.locator("svg[role=img]").all():
            boxes = [text.bounding_box() for text in plot.locator("text").all()]
            frame = plot.bounding_box()
            for box in boxes:
                assert box["x"] >= frame["x"] - 1, box
                right = frame["x"] + frame["width"]
                assert box["x"] + box["width"] <= right + 1, box
            for i, one in enumerate(boxes):
                for other in boxes[i + 1 :]:
                    assert (
                        one["x"] + one["width"] <= other["x"] + 1
                        or other["x"] + other["width"] <= one["x"] + 1
                        or one["y"] + one["height"] <= other["y"] + 4
                        or other["y"] + other["height"] <= one["y"] + 4
                    ), (one, other)
