"""``python -m optaxwd plan``: what the decay of a planned run will do.

Exit codes: 0, or 2 if the arguments are wrong.
"""

import argparse
import json
import sys
from typing import Any, get_args

import optax

from optaxwd._checks import check_steps
from optaxwd._typing import Coupling
from optaxwd.plots import plot_plan
from optaxwd.schedules import Plan, describe

_SCHEDULES = ("constant", "linear", "cosine")


def add_plan_command(commands: Any) -> None:
    """Add the command to a parser's ``commands``."""
    text = "say in numbers what the weight decay of a planned run will do"
    command = commands.add_parser(
        "plan",
        help=text,
        description=f"{text.capitalize()}.",
        epilog="Exit codes: 0, or 2 if the arguments are wrong.",
    )
    command.set_defaults(run=run)
    for name, kind, words in (
        ("--learning-rate", float, "η, the peak of the schedule"),
        ("--weight-decay", float, "λ"),
        ("--steps", float, "length of the run"),
    ):
        command.add_argument(name, type=kind, required=True, help=words)
    command.add_argument(
        "--warmup", type=float, default=0, help="steps of linear warmup from 0"
    )
    command.add_argument(
        "--schedule",
        choices=_SCHEDULES,
        default="constant",
        help="of the learning rate after the warmup (default: constant)",
    )
    command.add_argument(
        "--end-learning-rate",
        type=float,
        help="where a linear or cosine schedule ends (default: 0)",
    )
    command.add_argument(
        "--coupling",
        choices=[name for name in get_args(Coupling) if name != "l2"],
        default="learning_rate",
        help="how λ is tied to the learning rate (default: learning_rate)",
    )
    command.add_argument(
        "--dtype", default="bfloat16", help="of the weights (default: bfloat16)"
    )
    for name in ("--batch-size", "--dataset-size", "--epochs"):
        command.add_argument(name, type=float, help="for AdamWR's normalised λ")
    style = command.add_mutually_exclusive_group()
    for name in ("json", "markdown"):
        style.add_argument(f"--{name}", dest="format", action="store_const", const=name)
    command.add_argument(
        "--plot", metavar="FILE", help="also draw the run, as .png, .svg or .pdf"
    )


def run(options: argparse.Namespace) -> int:
    """Print the plan and return the exit code."""
    try:
        plan = describe(
            _learning_rate(options),
            options.weight_decay,
            options.steps,
            coupling=options.coupling,
            warmup_steps=options.warmup if options.schedule == "constant" else 0,
            dtype=options.dtype,
            batch_size=options.batch_size,
            dataset_size=options.dataset_size,
            epochs=options.epochs,
        )
        print(_text(plan, options.format))
        if options.plot:
            _draw(plan, options.plot)
    except (ImportError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _draw(plan: Plan, path: str) -> None:
    try:
        plot_plan(plan).savefig(path, dpi=150)
    except OSError as error:
        raise ValueError(f"plan: --plot {path} cannot be written: {error}") from error
    print(f"figure: {path}", file=sys.stderr)


def _learning_rate(options: argparse.Namespace) -> Any:
    """Return a number, or the schedule that the arguments ask for."""
    peak, end = options.learning_rate, options.end_learning_rate
    if options.schedule == "constant":
        if end is not None:
            raise ValueError(
                f"plan: --end-learning-rate {end} is for --schedule linear or cosine."
            )
        return peak
    steps = check_steps(options.steps, "--steps", "plan")
    warmup = check_steps(options.warmup, "--warmup", "plan", minimum=0)
    if warmup >= steps:
        raise ValueError(f"plan: --warmup must be below --steps {steps}, got {warmup}.")
    end = end or 0.0
    if options.schedule == "linear":
        fall = optax.linear_schedule(peak, end, steps - warmup)
    else:
        alpha = end / peak if peak else 0.0
        fall = optax.cosine_decay_schedule(peak, steps - warmup, alpha)
    if not warmup:
        return fall
    rise = optax.linear_schedule(0.0, peak, warmup)
    return optax.join_schedules([rise, fall], [warmup])


def _text(plan: Plan, style: str | None) -> str:
    if style == "json":
        return json.dumps(plan.to_dict(), indent=2, allow_nan=False)
    return plan.to_markdown() if style == "markdown" else str(plan)
