"""The API reference has every public name, once, and pages name nothing else."""

import operator
import pathlib
import re

import optaxwd

ROOT = pathlib.Path(__file__).parent.parent.parent
API = ROOT / "docs" / "api"
MODULES = ("plots", "rules")


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


def test_pages_name_what_there_is():
    # Sphinx leaves a name that it cannot find as plain text, without a warning.
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    text = "\n".join(page.read_text() for page in pages)
    names = set(re.findall(r"`optaxwd\.(\w+(?:\.\w+)*)", text))
    assert len(names) > 50
    for name in names:
        assert callable(operator.attrgetter(name)(optaxwd)) or name in MODULES, name
