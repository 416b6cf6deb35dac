"""The examples run from a shell, print what they promise and write what they say."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:optaxwd", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_train_digits(tmp_path):
    printed = run("examples/train_digits.py", "--quick", "--output", str(tmp_path))
    figure = tmp_path / "train_digits.png"
    assert f"figure: {figure}" in printed
    assert figure.read_bytes().startswith(b"\x89PNG")
    lines = printed.splitlines()
    decays = {line.split()[0]: "yes" in line.split() for line in lines if "(" in line}
    assert decays["hidden/kernel"] and decays["head/kernel"]
    assert not decays["norm/scale"] and not decays["hidden/bias"]
    coupled, decoupled = (
        [float(x) for x in line.replace("±", " ").split() if x[0].isdigit()]
        for line in lines
        if "±" in line
    )
    assert coupled[4] < decoupled[4] / 2, "L2 through Adam pulls harder at the same λ"
    assert decoupled[2] > 0.9, "test accuracy"


@pytest.mark.slow
def test_choose_what_decays():
    printed = run("examples/choose_what_decays.py", "linen-tied", "haiku")
    assert "mlp/~/linear_0/w" in printed and "is also the head" in printed


@pytest.mark.slow
def test_train_linen():
    printed = run("examples/train_linen.py", "--quick")
    accuracy = float(printed.split("test accuracy ")[1].split()[0])
    assert accuracy > 0.8
