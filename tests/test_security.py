"""What comes from outside: patterns of config files, names on a command line, files."""

import ast
import os
import pathlib
import subprocess
import sys
import textwrap
import time

import jax.numpy as jnp
import pytest

import optaxwd
from optaxwd.__main__ import main

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted((ROOT / "optaxwd").rglob("*.py"))

# What runs or reads code from data.
RISKY_MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
RISKY_CALLS = {"compile", "eval", "exec", "__import__"}


def risks(source):
    """Return what of ``source`` can run code that comes with data."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & RISKY_MODULES
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").split(".")[0]} & RISKY_MODULES
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found |= {node.func.id} & RISKY_CALLS
        elif isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell"):
            found.add(node.arg)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda x: str(x.relative_to(ROOT)))
def test_no_pickle_and_no_code_from_data(path):
    assert not risks(path.read_text())


@pytest.mark.parametrize(
    "source", ["import pickle", "from marshal import load", "eval(x)", "f(shell=True)"]
)
def test_a_risk_is_found(source):
    assert risks(source)


@pytest.mark.parametrize(
    ("pattern", "position"),
    [
        ("layers/(kernel", 7),
        ("[z-a]", 1),
        ("a**", 2),
        ("kernel|*", 7),
        ("(?P<x>a)(?P<x>b)", 12),
        ("a\\", 1),
    ],
)
def test_an_invalid_pattern_is_named_with_its_rule_and_position(pattern, position):
    # As lists, the way a config file gives them.
    rules = [["bias", 0.0], [pattern, 1.0]]
    with pytest.raises(ValueError, match="rule 1: ") as caught:
        optaxwd.DecayRules(rules)
    assert repr(pattern) in str(caught.value)
    assert f"at position {position}" in str(caught.value)


@pytest.mark.parametrize("pattern", ["a{99999999999}", "(" * 5000 + ")" * 5000])
def test_patterns_that_python_gives_up_on(pattern):
    with pytest.raises(ValueError, match="rule 0: .* is not a regular expression"):
        optaxwd.DecayRules([(pattern, 0.0)])


def test_many_stars_take_no_time():
    pattern = optaxwd.rules.glob("/".join(["**", "a"] * 20 + ["b"]))
    params = {"/".join("a" * 60): jnp.ones(2), "w": jnp.ones(2)}
    start = time.process_time()
    with pytest.raises(ValueError, match="matches no parameter|nothing"):
        optaxwd.DecayRules([(pattern, 0.0)]).mask(params)
    # A try for each way to place the stars would not end.
    assert time.process_time() - start < 60


TRAP = "import pathlib\npathlib.Path('sprung').touch()\n"


@pytest.mark.slow
def test_the_command_line_imports_what_it_is_told_and_writes_nothing(tmp_path):
    optimizer = """
        import optax

        def make():
            return optax.adamw(1e-3, weight_decay=0.1)
    """
    (tmp_path / "mine.py").write_text(textwrap.dedent(optimizer))
    # Names that tools load by themselves, and one that is not asked for.
    for name in ("setup", "conftest", "optaxwd_config", "other"):
        (tmp_path / f"{name}.py").write_text(TRAP)
    (tmp_path / "pyproject.toml").write_text("[tool.optaxwd]\nplugins = ['other']\n")
    before = sorted(tmp_path.iterdir())
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-m", "optaxwd", "audit", "mine:make"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "decoupled" in done.stdout
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "place",
    ["mine", "mine:", ":make", "mine:make()", "mine:__import__('os').system('x')"],
)
def test_a_place_is_a_name_and_no_code(tmp_path, place, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text("make = None\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = sorted(tmp_path.iterdir())
    assert main(["audit", place]) == 2
    assert "error: " in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
