"""``python -m optaxwd plan``: what the decay of a planned run will do.

Exit codes: 0, or 2 if the arguments are wrong.
"""

import argparse
import json
import sys
from typing import Any, get_args

import optax

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
        ("--steps", int, "length of the run"),
    ):
        command.add_argument(name, type=kind, required=True, help=words)
    command.add_argument(
        "--warmup", type=int, default=0, help="steps of linear warmup from 0"
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
        default=0.0,
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
            plot_plan(plan).savefig(options.plot, dpi=150)
            print(f"figure: {options.plot}", file=sys.stderr)
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _learning_rate(options: argparse.Namespace) -> Any:
    """Return a number, or the schedule that the arguments ask for."""
    if options.schedule == "constant":
        return options.learning_rate
    if not 0 <= options.warmup < options.steps:
        raise ValueError(
            f"plan: --warmup must be at least 0 and below --steps {options.steps}, got "
            f"{options.warmup}."
        )
    falling = options.steps - options.warmup
    peak, end = options.learning_rate, options.end_learning_rate
    if options.schedule == "linear":
        fall = optax.linear_schedule(peak, end, falling)
    else:
        fall = optax.cosine_decay_schedule(peak, falling, end / peak if peak else 0.0)
    if not options.warmup:
        return fall
    rise = optax.linear_schedule(0.0, peak, options.warmup)
    return optax.join_schedules([rise, fall], [options.warmup])


def _text(plan: Plan, style: str | None) -> str:
    if style == "json":
        return json.dumps(plan.to_dict(), indent=2, allow_nan=False)
    return plan.to_markdown() if style == "markdown" else str(plan)
