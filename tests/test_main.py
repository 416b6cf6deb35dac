"""The command line: what it prints and the code it ends with."""

import json
import os
import pathlib
import subprocess
import sys
import webbrowser
import zipfile

import pytest

from optaxwd.__main__ import main

MODULE = """
import jax.numpy as jnp
import optax

optimizer = optax.adamw(1e-3, weight_decay=0.1)
def make(): return optimizer
def make_default(name="adamw"): return getattr(optax, name)(1e-3)
factory = optax.adafactor
def step(params, grads): return {"w": params["w"] - 0.1 * grads["w"]}
def params(): return {"w": jnp.ones((8, 4), jnp.float32)}
def params_of_key(key): return {"w": jnp.ones((4, 4)), "seed": key}
tree = {"w": jnp.ones((4, 4))}
mask = {"w": False}
momo = optax.contrib.momo
extra = {"value": 1.0}
def broken(): raise RuntimeError("no such config")
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "audited_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


def place(name):
    return f"audited_module:{name}"


@pytest.mark.parametrize("name", ["make", "make_default", "step"])
def test_a_healthy_optimizer_ends_with_0(name, capsys):
    assert main(["audit", place(name), "--params", place("tree")]) == 0
    assert "w" in capsys.readouterr().out


def test_findings_end_with_1(capsys):
    arguments = ["audit", place("factory"), "--params", place("params")]
    assert main(arguments) == 1
    assert "lr-independent" in capsys.readouterr().out
    assert main([*arguments, "--fail-on", "never"]) == 0


@pytest.mark.slow
def test_fail_on_chooses_the_gravity():
    arguments = ["audit", place("factory"), "--params", place("params")]
    arguments += ["--weight-decay", "0.0001"]
    assert main(arguments) == 0
    assert main([*arguments, "--fail-on", "warning"]) == 1


@pytest.mark.slow
def test_json_and_markdown(capsys):
    arguments = ["audit", place("make"), "--params", place("params")]
    assert main([*arguments, "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["leaves"]["w"]["rate"] == pytest.approx(1e-4)
    assert main([*arguments, "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("| parameter |")


def test_without_params_a_small_transformer_is_used(capsys):
    assert main(["audit", place("make")]) == 0
    assert "attention" in capsys.readouterr().out


@pytest.mark.slow
def test_params_of_a_key_masks_and_extra_arguments(capsys):
    assert main(["audit", place("make"), "--params", place("params_of_key")]) == 0
    arguments = ["audit", place("make"), "--params", place("tree")]
    assert main([*arguments, "--mask", place("mask")]) == 1
    assert "mask-mismatch" in capsys.readouterr().out
    arguments = ["audit", place("momo"), "--params", place("tree")]
    assert main([*arguments, "--extra-args", place("extra")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([place("broken")], "broken() raised RuntimeError: no such config"),
        ([place("nothing")], "cannot be loaded"),
        (["no_such_module:x"], "No module named 'no_such_module'"),
        (["audited_module"], "expected package.module:name"),
        ([place("momo"), "--params", place("tree")], "update raised"),
        ([place("make"), "--learning-rate", "-1"], "finite and >= 0, got -1.0"),
    ],
)
def test_what_cannot_be_audited_ends_with_2(arguments, message, capsys):
    assert main(["audit", *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and not printed.out
    assert "Traceback" not in printed.err


def test_wrong_arguments_end_with_2(capsys):
    for arguments in ([], ["audit"], ["audit", "x:y", "--fail-on", "nothing"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_progress_is_shown_when_it_takes_long(monkeypatch, capsys):
    monkeypatch.setattr("optaxwd._commands._audit.PATIENCE", 0.0)
    assert main(["audit", place("make"), "--params", place("tree")]) == 0
    assert " s] " in capsys.readouterr().err


PLAN = ["plan", "--learning-rate", "3e-4", "--weight-decay", "0.1", "--steps", "10000"]


def test_plan_prints_a_table(capsys):
    assert main([*PLAN, "--warmup", "1000"]) == 0
    printed = capsys.readouterr().out
    for word in ("half_life", "23,105", "0.752", "100 %", "MosaicML", "3e-05"):
        assert word in printed


@pytest.mark.parametrize(
    ("schedule", "left"),
    [("constant", 0.7520), ("linear", 0.8607), ("cosine", 0.8607)],
)
def test_plan_of_each_schedule(schedule, left, capsys):
    assert main([*PLAN, "--warmup", "1000", "--schedule", schedule, "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["remaining"] == pytest.approx(left, abs=1e-4)
    assert read["warmup_steps"] == 1000


def test_plan_options(capsys):
    arguments = [*PLAN, "--schedule", "cosine", "--end-learning-rate", "1e-4"]
    arguments += ["--coupling", "corrected", "--dtype", "float32", "--markdown"]
    arguments += ["--batch-size", "128", "--dataset-size", "50000", "--epochs", "100"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "| coupling | corrected |" in printed and "float32" in printed


def test_plan_draws(tmp_path, capsys):
    assert main([*PLAN, "--steps", "1e4", "--plot", str(tmp_path / "plan.png")]) == 0
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert "figure: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning-rate", "10"], "100 % of every weight"),
        (["--steps", "-3"], "steps must be finite and >= 0, got -3"),
        (["--warmup", "-3"], "got -3"),
        (["--warmup", "10000", "--schedule", "cosine"], "below --steps 10000"),
        (["--warmup", "10000"], "below steps=10000, got 10000"),
        (["--end-learning-rate", "1e-5"], "is for --schedule linear or cosine"),
        (["--steps", "1e12"], "from 1 to 2147483647"),
        (["--steps", "1e9"], "more than the 100000000"),
        (["--dtype", "int8"], "floating-point"),
        (["--plot", "/no/such/folder/plan.png"], "No such file"),
    ],
)
def test_a_bad_plan_ends_with_2(arguments, message, capsys):
    assert main([*PLAN, *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def opened(monkeypatch):
    """What a browser is asked to open; nothing is."""
    addresses = []

    def open_page(address):
        addresses.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", open_page)
    return addresses


def test_sandbox_opens_the_page(opened, capsys):
    assert main(["sandbox"]) == 0
    (address,) = opened
    printed = capsys.readouterr()
    path = pathlib.Path(printed.err.removeprefix("sandbox: ").strip())
    assert address == path.as_uri() and not printed.out
    assert "<title>Weight decay on two coordinates" in path.read_text("utf-8")


def test_sandbox_path_and_output_open_nothing(opened, tmp_path, capsys):
    assert main(["sandbox", "--path"]) == 0
    page = pathlib.Path(capsys.readouterr().out.strip())
    for output in (tmp_path / "page.html", tmp_path):
        assert main(["sandbox", "--output", str(output)]) == 0
        copy = pathlib.Path(capsys.readouterr().out.strip())
        assert copy.is_relative_to(tmp_path)
        assert copy.read_bytes() == page.read_bytes()
    assert not opened


def test_sandbox_from_an_archive(monkeypatch, tmp_path, capsys):
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("sandbox.html", "zipped")
    monkeypatch.setattr("importlib.resources.files", lambda _: zipfile.Path(archive))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["sandbox", "--path"]) == 0
    page = pathlib.Path(capsys.readouterr().out.strip())
    assert page.read_text("utf-8") == "zipped" and page.is_relative_to(tmp_path)


def raise_no_browser(address):
    raise webbrowser.Error(f"no browser for {address}")


@pytest.mark.parametrize("open_page", [lambda _: False, raise_no_browser])
def test_sandbox_without_a_browser_ends_with_1(open_page, monkeypatch, capsys):
    monkeypatch.setattr("webbrowser.open", open_page)
    assert main(["sandbox"]) == 1
    printed = capsys.readouterr().err
    assert "no browser could be opened" in printed and "sandbox.html" in printed
    assert "Traceback" not in printed


def test_sandbox_that_cannot_be_copied_ends_with_2(opened, capsys):
    assert main(["sandbox", "--output", "/no/such/folder/page.html"]) == 2
    assert "--output /no/such/folder/page.html cannot" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["sandbox", "--path", "--output", "page.html"])
    assert ended.value.code == 2 and not opened


def test_a_terminal_without_greek_letters():
    done = subprocess.run(
        [sys.executable, "-m", "optaxwd", *PLAN],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "half_life" in done.stdout and not done.stderr
