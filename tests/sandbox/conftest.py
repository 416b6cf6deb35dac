"""The committed page of the sandbox, and runs to compare it with."""

import pytest
from helpers import precision_for

from docs.sandbox import _encode, _page
from docs.sandbox._runs import Runs, compute_runs


@pytest.fixture(scope="session")
def page() -> str:
    """The page that the package carries."""
    return _page.PAGE.read_text("utf-8")


@pytest.fixture(scope="session")
def embedded(page) -> _page.Embedded:
    return _page.read(page)


@pytest.fixture(scope="session")
def shown(embedded) -> Runs:
    """What the page carries."""
    return _encode.decode(embedded.layout, embedded.data)


@pytest.fixture(scope="session")
def fresh() -> Runs:
    """The runs, computed now."""
    with precision_for("float64"):
        return compute_runs()
