"""The examples run from a shell, print what they promise and write what they say."""

import json
import pathlib
import re
import subprocess
import sys

import ml_dtypes
import pytest

import optaxwd

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
    for name in ("", "_telemetry", "_effective_decay"):
        figure = tmp_path / f"train_digits{name}.png"
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
def test_train_linen(tmp_path):
    printed = run("examples/train_linen.py", "--quick", "--output", str(tmp_path))
    accuracy = float(printed.split("test accuracy ")[1].split()[0])
    assert accuracy > 0.8
    figure = tmp_path / "train_linen_telemetry.png"
    assert figure.read_bytes().startswith(b"\x89PNG")
    last = optaxwd.read_json_lines(tmp_path / "train_linen.jsonl")[-1]
    assert last["decay_rate/Dense_0/kernel"] > 0 == last["decay_rate/Dense_0/bias"]
    assert last["loss"] < 2 and last["weight_decay"] == pytest.approx(3e-4)


@pytest.mark.slow
def test_tensorboard_if_asked(tmp_path):
    pytest.importorskip("tensorboardX")
    where = ("--output", str(tmp_path), "--tensorboard", str(tmp_path / "runs"))
    run("examples/train_linen.py", "--quick", *where)
    assert list((tmp_path / "runs").iterdir())


@pytest.mark.slow
def test_low_precision(tmp_path):
    output = ("--output", str(tmp_path))
    printed = run("-m", "examples.low_precision", "--quick", *output)
    figure, record = tmp_path / "low_precision.png", tmp_path / "low_precision.json"
    assert f"figure: {figure}" in printed and f"record: {record}" in printed
    assert figure.read_bytes().startswith(b"\x89PNG")
    numbers = json.loads(record.read_text())
    alone = numbers["decay_alone"]
    truth = (1 - 1e-4) ** 10_000
    for name in ("optax.adamw", "nearest", "Kahan, decay outside"):
        assert alone[name]["mean"] == 1.0 and alone[name]["spread"] == 0.0, name
    for name in ("compensated", "split", "master weights"):
        assert alone[name]["mean"] == float(ml_dtypes.bfloat16(truth)), name
    for name in ("stochastic", "optax.adamw + stochastic"):
        error = alone[name]["spread"] / 2000**0.5
        assert abs(alone[name]["mean"] - truth) < 5 * error, name
    digits = numbers["trained"]["digits, η = 1e-3"]
    size = {name: round(one["bytes_per_parameter"], 1) for name, one in digits.items()}
    # Parameters, two moments, and what is beside the parameters.
    assert size["float32"] == 4 + 8 and size["optax.adamw"] == 2 + 4
    assert size["stochastic"] == 2 + 8 and size["master weights"] == 2 + 8 + 4
    assert size["split"] == size["compensated"] == 2 + 8 + 2
    for seed, loss in enumerate(digits["float32"]["test"]):
        swallowed = digits["nearest"]["test"][seed] - loss
        assert abs(digits["split"]["test"][seed] - loss) < swallowed / 10, seed
    assert set(numbers["trained"]) == {"digits, η = 1e-3", "language, η = 5e-3"}


@pytest.mark.slow
def test_distributed():
    printed = run(
        "-m", "examples.train_distributed", "--steps", "50", "--layout", "data"
    )
    assert printed.startswith("2 × 2 devices (cpu), digits, layout data\n")
    # Once: process 0 speaks for both.
    steps = re.findall(r"^step +(\d+) · loss ([\d.]+) · η", printed, re.MULTILINE)
    assert [int(step) for step, _ in steps] == list(range(0, 50, 5))
    assert float(steps[-1][1]) < float(steps[0][1]) / 2
    assert "the same in all processes" in printed
