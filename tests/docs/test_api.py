"""The API reference has every public name, once, and pages name nothing else."""

import operator
import pathlib
import re
import types

import optaxwd

ROOT = pathlib.Path(__file__).parent.parent.parent
API = ROOT / "docs" / "api"
MODULES = ("plots", "rules")
# What makes a report and its table.
INTERNAL = {"build", "cells"}


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


def members(value):
    """Return what a class of ours lets its users call and read, but for fields."""
    own = [one for one in value.__mro__ if one.__module__.startswith("optaxwd")]
    found = {name: x for one in own for name, x in vars(one).items()}
    kinds = (property, types.FunctionType)
    public = {n for n, x in found.items() if n[0] != "_" and isinstance(x, kinds)}
    return public - INTERNAL


def test_members_of_classes_are_in_the_reference():
    pages = "\n".join(page.read_text() for page in API.glob("*.md"))
    entry = r"^\.\. autoclass:: (\w+)\n(?:   (:members:)(.*))?"
    for name, option, listed in re.findall(entry, pages, re.MULTILINE):
        value = getattr(optaxwd, name, None) or getattr(optaxwd.rules, name)
        is_all = option and not listed
        assert is_all or set(re.findall(r"\w+", listed)) >= members(value), name


def test_pages_name_what_there_is():
    # Sphinx leaves a name that it cannot find as plain text, without a warning.
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    text = "\n".join(page.read_text() for page in pages)
    names = set(re.findall(r"`optaxwd\.(\w+(?:\.\w+)*)", text))
    assert len(names) > 50
    for name in names:
        assert callable(operator.attrgetter(name)(optaxwd)) or name in MODULES, name
