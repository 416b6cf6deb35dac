"""The API reference has every public name, once."""

import pathlib
import re

import optaxwd

API = pathlib.Path(__file__).parent.parent.parent / "docs" / "api"


def documented(page):
    """Return the full names that a page of the reference documents."""
    module, names = "", []
    for kind, name in re.findall(r"^\.\. (\w+):: ([\w.]+)$", page, re.MULTILINE):
        if kind == "currentmodule":
            module = name
        elif kind.startswith("auto"):
            names.append(f"{module}.{name}")
    return names


def test_every_public_name_is_in_the_reference_once():
    public = [
        f"{module.__name__}.{name}"
        for module in (optaxwd, optaxwd.rules, optaxwd.plots)
        for name in module.__all__
        if (module, name) != (optaxwd.rules, "DecayRules")  # as optaxwd.DecayRules
    ]
    found = [name for page in API.glob("*.md") for name in documented(page.read_text())]
    assert sorted(found) == sorted(public)
