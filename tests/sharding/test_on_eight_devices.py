"""The checks of this folder, in a process with eight devices.

JAX fixes the number of devices before it starts, so they are collected only there.
"""

import os
import pathlib
import subprocess
import sys

import pytest

CHECKS = pathlib.Path(__file__).parent


CHOSEN = {
    "check_layouts": {"slow": "not nightly", "nightly": "nightly"},
    "check_restored_states": {"slow": "not nightly"},
}


def test_no_check_is_left_out():
    assert CHOSEN.keys() == {path.stem for path in CHECKS.glob("check_*")}


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        pytest.param(name, chosen, marks=getattr(pytest.mark, stage))
        for name, stages in CHOSEN.items()
        for stage, chosen in stages.items()
    ],
)
def test_with_eight_devices(name, chosen):
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        # How arrays are partitioned and messages put together stays the same.
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "--numprocesses=0"]
    command += ["-o", "python_files=check_*.py", "-o", "python_functions=check_*"]
    command += ["-m", chosen, str(CHECKS / f"{name}.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
