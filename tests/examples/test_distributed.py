"""Two processes train as one does, and end together when one of them fails.

JAX fixes the number of devices and processes before it starts, so this file runs itself
in processes of its own.
"""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from helpers import assert_close, assert_identical, run_python_blocks

pytest.importorskip("sklearn")

from examples.distributed._processes import (
    LaunchError,
    add_arguments,
    connect,
    launch,
    run_together,
)
from examples.train_distributed import parse

ROOT = pathlib.Path(__file__).parents[2]
MODELS, LAYOUTS = ("digits", "transformer"), ("data", "fsdp")
STEPS, BATCH_SIZE, TIMEOUT = 10, 16, 600
# Sums over all entries of a leaf, which cross devices where the leaf is shared out.
SUMS = ("weight_rms", "update_rms", "decay_rms", "decay_rate", "decay_share")


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path, monkeypatch):
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), *sys.path])
    monkeypatch.setenv("PYTHONPATH", path)
    for processes in (1, 2):
        options = argparse.Namespace(
            processes=processes, devices_per_process=4 // processes
        )
        program = [sys.executable, __file__, "--folder", str(tmp_path)]
        launch(program, options, TIMEOUT)
    for model in MODELS:
        expected = numbers(tmp_path, model, "data", devices=1)
        assert expected["losses"][-1] < expected["losses"][0]
        for layout in LAYOUTS:
            name = f"{model}, {layout}"
            one = numbers(tmp_path, model, layout)
            first, second = (
                numbers(tmp_path, model, layout, processes=2, process=i) for i in (0, 1)
            )
            assert_identical(first, second, name)
            # Not the same bits: with more devices, and with processes between them, the
            # summands of a gradient are added in another order.
            check_close(one, expected, f"{name}, one process")
            check_close(first, expected, f"{name}, two processes")


def numbers(folder, model, layout, *, devices=4, processes=1, process=0):
    name = f"{model}-{layout}-{devices}-{processes}-{process}.npz"
    with np.load(folder / name) as arrays:
        return dict(arrays)


def check_close(actual, expected, message):
    assert actual.keys() == expected.keys()
    for key in expected:
        assert_close(
            actual[key], expected[key], steps=STEPS, message=f"{message}, {key}"
        )


def work():
    """Be one process: train each model in each layout, and write the numbers."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.add_argument("--folder", type=pathlib.Path)
    options = parser.parse_args()
    connect(options)
    import jax

    assert jax.process_count() == options.processes
    assert len(jax.devices()) == 4
    runs = [(model, layout, 4) for model in MODELS for layout in LAYOUTS]
    if options.processes == 1:
        runs += [(model, "data", 1) for model in MODELS]
        check_traffic()
    for model, layout, devices in runs:
        name = f"{model}-{layout}-{devices}-{options.processes}-{options.process_id}"
        np.savez(options.folder / name, **train_once(model, layout, devices))


def train_once(model, layout, devices):
    import jax
    from jax.experimental import multihost_utils

    import optaxwd
    from examples.distributed import _train
    from examples.distributed._tasks import TASKS

    seen = []
    trained = _train.train(
        *TASKS[model](STEPS),
        _train.make_mesh(jax.devices()[:devices]),
        layout,
        batch_size=BATCH_SIZE,
        every=1,
        see=lambda step, loss, state: seen.append(optaxwd.read_telemetry(state)),
    )
    assert trained.step._cache_size() == 1
    assert [telemetry["step"] for telemetry in seen] == list(range(STEPS))
    check_shardings(trained, model, layout, devices)
    _train.check_agreement(trained)
    adam = find_adam(trained.state)
    full = multihost_utils.process_allgather((trained.params, adam), tiled=True)
    arrays = {
        jax.tree_util.keystr(path): np.asarray(x)
        for path, x in jax.tree_util.tree_leaves_with_path(full)
        if x.dtype == np.float32
    }
    arrays |= {name: np.float32(seen[-1][name]) for name in SUMS}
    return {"losses": trained.losses, **arrays}


def check_traffic():
    """Assert that shares are gathered, gradients summed, and else only numbers move."""
    import jax

    import optaxwd
    from examples.distributed import _train
    from examples.distributed._tasks import TASKS

    task, rows = TASKS["digits"](STEPS)
    mesh = _train.make_mesh(jax.devices())
    batch = _train.local_batch(rows, 0, BATCH_SIZE, mesh)
    optimizer = optaxwd.adamw(1e-3, weight_decay=0.1, max_grad_norm=1.0)
    for layout in LAYOUTS:
        params, state = _train.init(task, optimizer, mesh, layout)
        step = _train.make_step(optimizer, task.loss, (params, state))
        moved = traffic(step.lower(params, state, batch).compile().as_text())
        shapes = [tuple(sorted(x.shape)) for x in jax.tree.leaves(params)]
        # The leaf of ten entries is not shared out.
        gathered = [shape for shape in shapes if shape != (10,)]
        assert moved["all-gather"] == ([] if layout == "data" else sorted(gathered))
        assert moved["all-reduce"] == sorted(shapes)


def traffic(program):
    """Return the sorted shapes, but for scalars, that each kind of operation moves."""
    found = {"all-gather": [], "all-reduce": []}
    kinds = "all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute"
    for moved, kind in re.findall(rf"= (.*?) ({kinds})(?:-start)?\(", program):
        shapes = re.findall(r"\w\d+\[([\d,]+)\]", moved)
        found[kind] += [tuple(sorted(map(int, x.split(",")))) for x in shapes]
    return {kind: sorted(shapes) for kind, shapes in found.items()}


def find_adam(state):
    import optax

    inner = state.inner_state
    return {name: optax.tree.get(inner, name) for name in ("mu", "nu")}


def check_shardings(trained, model, layout, devices):
    """Assert that moments are where parameters are, and how much is on a device."""
    import jax

    paths = jax.tree_util.tree_leaves_with_path(trained.params)
    shared = [path for path, x in paths if not x.is_fully_replicated]
    moments = [jax.tree.leaves(x) for x in find_adam(trained.state).values()]
    for (path, x), *others in zip(paths, *moments, strict=True):
        same = [other.sharding.is_equivalent_to(x.sharding, x.ndim) for other in others]
        assert same == [True, True], path
        share = devices if path in shared else 1
        assert x.addressable_data(0).size * share == x.size, path
    if layout == "data" or devices == 1:
        assert not shared
    else:
        # The ten biases of the digits are the only leaf that four do not divide.
        assert len(shared) == len(paths) - (model == "digits")
    # All but parameters and moments are numbers that every device has.
    spread = [x for x in jax.tree.leaves(trained.state) if not x.is_fully_replicated]
    assert len(spread) == 2 * len(shared)


@pytest.mark.slow
def test_a_process_that_fails_is_reported():
    """Four devices cannot share 30 examples: known only where the devices are."""
    command = [sys.executable, "-m", "examples.train_distributed", "--batch-size", "30"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "ended with exit code 1; what process" in done.stderr
    assert "ValueError: a batch of 30 does not divide among 4 devices" in done.stderr


@pytest.mark.slow
def test_nothing_is_left_behind_when_it_is_asked_to_end():
    command = [sys.executable, "-m", "examples.train_distributed", "--steps", "1000000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        assert "2 × 2 devices" in main.stdout.readline()
        main.send_signal(signal.SIGTERM)
        # Ends when nobody can write to it any more, so when process 0 has ended too.
        main.communicate(timeout=TIMEOUT)
    assert main.returncode == 1


def python(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


def test_one_that_fails_ends_the_others(tmp_path):
    there = tmp_path / "there"
    wait = "import os, pathlib, sys, time; there = pathlib.Path(sys.argv[1])\n"
    sleeper = wait + "there.write_text(str(os.getpid())); time.sleep(600)"
    failing = (
        wait + "while not there.exists(): time.sleep(0.01)\nprint('why'); sys.exit(3)"
    )
    with pytest.raises(LaunchError, match=r"(?s)^process 1 ended .* code 3; .*why$"):
        run_together(
            [python(sleeper, there), python(failing, there)],
            environment=os.environ,
            timeout=TIMEOUT,
        )
    with pytest.raises(ProcessLookupError):
        os.kill(int(there.read_text()), 0)


def test_too_long_is_an_error():
    commands = [python("import time; time.sleep(600)")] * 2
    with pytest.raises(LaunchError, match=r"not done after 0\.1 seconds"):
        run_together(commands, environment=os.environ, timeout=0.1)


def test_a_coordinator_needs_the_number_of_the_process(capsys):
    with pytest.raises(SystemExit):
        parse(["--coordinator", "10.0.0.1:1234"])
    assert "--coordinator host:port needs --process-id" in capsys.readouterr().err
    assert parse(["--coordinator", "auto"]).process_id is None
    assert parse(["--coordinator", "a:1", "--process-id", "1"]).process_id == 1


def test_the_guide_runs(capsys):
    names = run_python_blocks((ROOT / "docs" / "distributed.md").read_text())
    assert capsys.readouterr().out.startswith(
        "η 9.8e-03 · λ 0.100 · decay 1.0e-03/step"
    )
    assert names["step"]._cache_size() == 1
    assert names["state"].telemetry_count == 20


if __name__ == "__main__":
    work()
