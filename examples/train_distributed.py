"""Train on several hosts, or on this machine as if it were several.

    python -m examples.train_distributed [--processes 2] [--devices-per-process 2]
        [--layout data|fsdp] [--model digits|transformer] [--steps 100]

starts two processes on this machine that find each other through ``jax.distributed``,
with two CPU devices each; ``--processes 1 --devices-per-process 4`` is the run to
compare with. On real hosts start it on each of them,

    python -m examples.train_distributed --coordinator 10.0.0.1:1234 --processes 2 \
        --process-id 0

or, where JAX knows the launcher (Slurm, Open MPI, Cloud TPU, Kubernetes),

    srun python -m examples.train_distributed --coordinator auto

Process 0 prints: the loss, and what weight decay does. ``docs/distributed.md`` explains
the rest.
"""

import argparse
import signal
import sys

from examples.distributed._processes import (
    LaunchError,
    add_arguments,
    connect,
    launch,
)


def main(argv=None):
    """Start processes on this machine, or be one of them."""
    options = parse(argv)
    if options.coordinator:
        work(options)
        return
    # As after Ctrl-C, no process is left behind when this one is asked to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    arguments = sys.argv[1:] if argv is None else argv
    program = [sys.executable, "-m", "examples.train_distributed", *arguments]
    try:
        launch(program, options, options.timeout)
    except LaunchError as error:
        sys.exit(str(error))


def parse(argv):
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.train_distributed",
        description=(__doc__ or "").splitlines()[0],
    )
    add_arguments(parser)
    group = parser.add_argument_group("training")
    group.add_argument("--model", choices=("digits", "transformer"), default="digits")
    group.add_argument("--layout", choices=("data", "fsdp"), default="fsdp")
    group.add_argument("--steps", type=int, default=100)
    group.add_argument("--batch-size", type=int, default=32, help="of all processes")
    parser.add_argument(
        "--timeout", type=float, default=600, help="seconds, on this machine"
    )
    options = parser.parse_args(argv)
    if options.coordinator not in (None, "auto") and options.process_id is None:
        parser.error("--coordinator host:port needs --process-id")
    return options


def work(options):
    """Train as one of several processes, and let the first of them print."""
    connect(options)
    import jax  # Only now: what follows may ask for devices.

    import optaxwd
    from examples.distributed._tasks import TASKS
    from examples.distributed._train import check_agreement, make_mesh, train

    def say(text):
        if jax.process_index() == 0:
            print(text, flush=True)

    def see(step, loss, state):
        # All that is read here is on every device: one process can read it alone.
        if jax.process_index() == 0:
            telemetry = optaxwd.format_telemetry(optaxwd.read_telemetry(state))
            say(f"step {step:4} · loss {float(loss):.4f} · {telemetry}")

    say(
        f"{jax.process_count()} × {jax.local_device_count()} devices "
        f"({jax.devices()[0].platform}), {options.model}, layout {options.layout}"
    )
    trained = train(
        *TASKS[options.model](options.steps),
        make_mesh(jax.devices()),
        options.layout,
        batch_size=options.batch_size,
        every=max(options.steps // 10, 1),
        see=see,
    )
    check_agreement(trained)
    leaves = jax.tree.leaves((trained.params, trained.state))
    total = sum(x.nbytes for x in leaves)
    share = sum(x.addressable_data(0).nbytes for x in leaves)
    say(f"last loss {trained.losses[-1]:.6f}, the same in all processes")
    say(f"parameters and state: {total:,} bytes, of which {share:,} on each device")


if __name__ == "__main__":
    main()
