"""What holds for every figure: nothing is cut off, and labels do not overlap."""

import pytest


def texts_of(figure):
    """Return all texts that a figure shows; it keeps ticks out of range as well."""
    from matplotlib.text import Text

    unseen = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                unseen |= {tick.label1, tick.label2}
    found = figure.findobj(lambda one: isinstance(one, Text) and one.get_visible())
    return [text for text in found if text.get_text().strip() and text not in unseen]


@pytest.fixture
def texts():
    return lambda figure: [text.get_text() for text in texts_of(figure)]


@pytest.fixture
def check_drawn():
    """Return a function that draws a figure and raises if it cannot be read."""

    def check(figure):
        figure.draw_without_rendering()
        page = figure.bbox.padded(2)
        for text in texts_of(figure):
            box = text.get_window_extent()
            assert page.contains(*box.min) and page.contains(*box.max), text
        for axes in figure.axes:
            labels = [x for x in axes.get_yticklabels() if x.get_text()]
            boxes = [label.get_window_extent() for label in labels]
            for at, box in enumerate(boxes):
                assert box.count_overlaps(boxes[at + 1 :]) == 0

    return check
