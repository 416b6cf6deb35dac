"""A training run that is killed again and again ends with the bits of one that is not.

The run is the example. What it costs to import is paid once: lives are forked from a
process that has imported it and started neither JAX's backend nor a thread.
"""

import collections
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import orbax.checkpoint as ocp
import pytest
from helpers import assert_identical

from examples import train_resumable

ROOT = pathlib.Path(__file__).parents[2]
EVERY, KEEP = 4, 3
STANDARD = ocp.args.StandardRestore()


@pytest.fixture
def lives(monkeypatch, tmp_path):
    """A context whose processes have the example imported and share what compiles."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([train_resumable.__name__])
    return context


def arguments(directory, steps, keep):
    return [
        *("--directory", str(directory), "--steps", str(steps)),
        *("--every", str(EVERY), "--keep", str(keep)),
    ]


def newest(directory):
    steps = (int(p.name) for p in directory.glob("*") if p.name.isdigit())
    return max(steps, default=0)


def unfinished(directory):
    """Return what is left of saves that did not end."""
    found = directory.glob("*.orbax-checkpoint-tmp*")
    return {(path.name, path.stat().st_ino) for path in found}


def open_checkpoints(directory):
    options = ocp.CheckpointManagerOptions(read_only=True)
    return ocp.CheckpointManager(directory, options=options)


def kill_one(life, directory, saves, share):
    """Kill ``life`` after that many saves, and say what it was doing.

    Then ``share`` of the time between two saves passes; without saves, so many seconds
    from the start. If it is ``None``, the next save begins.
    """
    before, left = newest(directory), unfinished(directory)
    life.start()
    delay, last = share, time.monotonic()
    for save in range(1, saves + 1):
        while newest(directory) < before + save * EVERY and life.is_alive():
            assert time.monotonic() < last + 300, "a life made no checkpoint"
            time.sleep(0.001)
        now = time.monotonic()
        delay, last = share and share * (now - last), now
    if delay is None:
        while not unfinished(directory) - left and life.is_alive():
            assert time.monotonic() < last + 300, "a life began no checkpoint"
            time.sleep(0.001)
    else:
        time.sleep(delay)
    life.kill()
    life.join()
    assert life.exitcode == -signal.SIGKILL, "the run ended before it was killed"
    assert newest(directory) >= before, "a checkpoint was lost"
    if unfinished(directory) - left:
        return "while saving"
    return "between saves" if newest(directory) > before else "before the first save"


def assert_like_uninterrupted(checkpoints, reference):
    """Compare every checkpoint that is to stay, bit for bit.

    Others are listed where the run was killed while Orbax removed them: in part, and
    what reads them fails, as the tests of damaged checkpoints show.
    """
    for step in checkpoints.all_steps()[-KEEP:]:
        found, expected = (
            one.restore(step, args=STANDARD) for one in (checkpoints, reference)
        )
        assert_identical(found, expected, f"step {step}")


@pytest.mark.parametrize(
    ("kills", "steps"),
    [
        pytest.param(10, 160, marks=pytest.mark.slow),
        pytest.param(30, 400, marks=pytest.mark.nightly),
    ],
)
def test_kills(kills, steps, lives, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, train_resumable.__file__),
            *arguments(tmp_path / "one", steps, keep=9999),
        ],
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "0"},  # compiles anew
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split("test accuracy ")[1].split()[0]) > 0.9
    directory, random = tmp_path / "many", np.random.default_rng(80)
    directory.mkdir()
    again = [arguments(directory, steps, KEEP)]
    phases = collections.Counter()
    with open_checkpoints(tmp_path / "one") as reference:
        for kill in range(kills):
            # The first two compile, from a fresh state and from a restored one.
            saves = 2 if kill < 2 else int(random.choice([0, 2, 2, 3]))
            share = random.uniform(0, 2 if saves == 0 else 1.5) if kill % 3 else None
            life = lives.Process(target=train_resumable.main, args=again, daemon=True)
            phases[kill_one(life, directory, saves, share)] += 1
            with open_checkpoints(directory) as checkpoints:
                assert_like_uninterrupted(checkpoints, reference)
        print(f"killed {dict(phases)}, at step {newest(directory)} of {steps}")
        assert (
            phases["while saving"] >= kills // 5
            and phases["before the first save"] >= 1
        )
        life = lives.Process(target=train_resumable.main, args=again, daemon=True)
        life.start()
        life.join()
        assert life.exitcode == 0 and not unfinished(directory)
        with open_checkpoints(directory) as checkpoints:
            assert checkpoints.all_steps() == [steps - 2 * EVERY, steps - EVERY, steps]
            assert_like_uninterrupted(checkpoints, reference)
