"""Several processes on this machine that find each other, and end together."""

import argparse
import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO

POLL_SECONDS = 0.1


class LaunchError(RuntimeError):
    """A process failed, or all took too long; the message has what they wrote."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what :func:`launch` and :func:`connect` take from the command line."""
    group = parser.add_argument_group("processes")
    group.add_argument("--processes", type=int, default=2, help="how many, in all")
    group.add_argument(
        "--devices-per-process",
        type=int,
        help="CPU devices of each process; on this machine 2, elsewhere what JAX finds",
    )
    group.add_argument(
        "--coordinator",
        help="host:port of process 0, or 'auto' where JAX knows the launcher; without "
        "it all processes are started on this machine",
    )
    group.add_argument("--process-id", type=int, help="0 to processes - 1")


def launch(program: Sequence[str], options: argparse.Namespace, timeout: float) -> None:
    """Run ``program`` in several processes on this machine, with CPU devices.

    Raises:
      LaunchError: as soon as one of them fails, or after ``timeout`` seconds.
    """
    address = f"127.0.0.1:{_free_port()}"
    devices = options.devices_per_process or 2
    shared = ["--coordinator", address, "--processes", str(options.processes)]
    shared += ["--devices-per-process", str(devices), "--process-id"]
    # By default the coordinator listens on all interfaces.
    local = {"JAX_PLATFORMS": "cpu", "JAX_COORDINATOR_BIND_ADDRESS": address}
    run_together(
        [[*program, *shared, str(i)] for i in range(options.processes)],
        environment={**os.environ, **local},
        timeout=timeout,
    )


def connect(options: argparse.Namespace) -> None:
    """Make this process one of several, before JAX looks for devices."""
    import jax  # Not above: the process that launches others does without.

    if options.devices_per_process:
        jax.config.update("jax_num_cpu_devices", options.devices_per_process)
    if options.coordinator == "auto":
        jax.distributed.initialize()
    elif options.processes > 1:
        jax.distributed.initialize(
            options.coordinator, options.processes, options.process_id
        )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_together(
    commands: Sequence[Sequence[str]], *, environment: Mapping[str, str], timeout: float
) -> None:
    """Run one process per command until all have ended well.

    The first writes to where this process writes. What the others write is kept, and
    shown if something goes wrong. However this ends, all of them have ended.

    Raises:
      LaunchError: as soon as one of them fails, or after ``timeout`` seconds.
    """
    with contextlib.ExitStack() as stack:
        outputs, processes = [], []
        for i, command in enumerate(commands):
            outputs.append(stack.enter_context(tempfile.TemporaryFile("w+")))
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=outputs[i] if i else None,
                stderr=subprocess.STDOUT if i else None,
            )
            stack.callback(_stop, process)
            processes.append(process)
        _wait(processes, outputs, timeout)


def _stop(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


def _wait(
    processes: Sequence[subprocess.Popen], outputs: Sequence[IO[str]], timeout: float
) -> None:
    """Return when all have ended well, and raise when one of them has not."""
    deadline = time.monotonic() + timeout
    while True:
        codes = [process.poll() for process in processes]
        if any(codes):
            raise LaunchError(
                "\n".join(
                    f"process {i} ended with exit code {code}; {_written(i, output)}"
                    for i, (code, output) in enumerate(zip(codes, outputs, strict=True))
                    if code
                )
            )
        if None not in codes:
            return
        if time.monotonic() > deadline:
            written = [_written(i, output) for i, output in enumerate(outputs)]
            raise LaunchError(
                "\n".join([f"not done after {timeout:g} seconds", *written])
            )
        time.sleep(POLL_SECONDS)


def _written(number: int, output: IO[str]) -> str:
    if number == 0:
        return "what process 0 wrote is above"
    output.seek(0)
    return f"what process {number} wrote:\n{output.read().strip()}"
