"""A mutant: one small fault, put into one file, and the tests that must notice it."""

import pathlib
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]


class Mutant(NamedTuple):
    """One fault.

    Attributes:
      name: what is wrong, in words.
      file: path below ``optaxwd``.
      old: source text that stands in the file exactly once.
      new: what takes its place.
      tests: node ids of the tests of which one must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def module(self):
        """The dotted name of the module that the fault is in."""
        return "optaxwd." + self.file.removesuffix(".py").replace("/", ".")

    def source(self):
        """Return the mutated source, or raise ``ValueError`` if ``old`` has gone."""
        text = (ROOT / "optaxwd" / self.file).read_text()
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.name}: the old text stands {text.count(self.old)} times in "
                f"optaxwd/{self.file}, not once. Write the mutant anew: {self.old!r}"
            )
        return text.replace(self.old, self.new)


def mutants(file, test_file, faults):
    """Return the mutants of one file.

    Args:
      file: path below ``optaxwd``.
      test_file: path below ``tests`` of the tests that have no file of their own.
      faults: from names to the old text, the new one, and tests: names in
        ``test_file``, or ``path/below/tests.py::name``.
    """

    def node(test):
        return f"tests/{test}" if ".py::" in test else f"tests/{test_file}::{test}"

    return [
        Mutant(name, file, old, new, tuple(map(node, tests)))
        for name, (old, new, *tests) in faults.items()
    ]
