"""``python -m optaxwd audit package.module:make_optimizer``.

Exit codes: 0, no finding as grave as ``--fail-on``; 1, there is one; 2, the arguments
are wrong or the optimizer cannot be audited.
"""

import argparse
import importlib
import inspect
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from optaxwd.auditor import SEVERITIES, AuditError, AuditReport, audit

FOUND, FAILED = 1, 2
# Seconds after which progress is shown.
PATIENCE = 3.0


def run(options: argparse.Namespace) -> int:
    """Print the report and return the exit code."""
    sys.path.insert(0, "")
    try:
        report = audit(
            _optimizer(options.optimizer),
            _params(options.params),
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            mask=_load(options.mask),
            frozen=_load(options.frozen),
            extra_args=_called(_load(options.extra_args)),
            progress=_progress(),
        )
    except (AuditError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    print(_text(report, options.format))
    if options.fail_on == "never":
        return 0
    return FOUND if report.at_least(options.fail_on) else 0


def add_audit_command(commands: Any) -> None:
    """Add the command to a parser's ``commands``."""
    command = commands.add_parser(
        "audit",
        help="find out what an optimizer's weight decay does to each leaf",
        description="Find out what an optimizer's weight decay does to each leaf.",
        epilog="Exit codes: 0, no finding as grave as --fail-on; 1, there is one; 2, "
        "wrong arguments, or the optimizer cannot be audited.",
    )
    command.set_defaults(run=run)
    place = "package.module:name"
    command.add_argument(
        "optimizer",
        metavar="package.module:make_optimizer",
        help="an optimizer, a function without arguments that returns one, a factory "
        "(learning_rate, weight_decay), or a step(params, grads)",
    )
    command.add_argument(
        "--params",
        metavar=place,
        help="the parameters, or a function that returns them, of no argument or of a "
        "random key; only shapes are computed. Without it: those of a small "
        "transformer, in float32",
    )
    command.add_argument("--learning-rate", type=float, help="used or expected")
    command.add_argument("--weight-decay", type=float, help="used or expected")
    command.add_argument("--mask", metavar=place, help="which leaves should decay")
    command.add_argument("--frozen", metavar=place, help="which leaves never should")
    command.add_argument(
        "--extra-args", metavar=place, help="a dict of what `update` needs by name"
    )
    style = command.add_mutually_exclusive_group()
    for name in ("json", "markdown"):
        style.add_argument(f"--{name}", dest="format", action="store_const", const=name)
    command.add_argument(
        "--fail-on",
        choices=(*reversed(SEVERITIES), "never"),
        default="error",
        help="gravity of findings from which on the exit code is 1 (default: error)",
    )


def _load(place: str | None) -> Any:
    """Return what ``package.module:name`` names; ``None`` stays ``None``."""
    if place is None:
        return None
    module, colon, name = place.partition(":")
    if not colon or not module or not name:
        raise ValueError(f"expected package.module:name, got {place!r}.")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise ValueError(
            f"{place!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return found


def _optimizer(place: str) -> Any:
    """Return an optimizer, a factory or a step; a function without arguments is called.

    So is one that has only defaults, if the learning rate is not among them.
    """
    found = _load(place)
    if hasattr(found, "update") or not callable(found):
        return found
    parameters = inspect.signature(found).parameters
    needed = [p for p in parameters.values() if p.default is p.empty]
    if needed or "learning_rate" in parameters:
        return found
    return _called(found)


def _params(place: str | None) -> Any:
    if place is None:
        return _small_transformer()
    found = _load(place)
    if not callable(found) or jax.tree.leaves(found) != [found]:
        return found
    parameters = inspect.signature(found).parameters.values()
    if any(p.default is p.empty for p in parameters):
        return lambda: found(jax.random.PRNGKey(0))
    return found


def _called(found: Any) -> Any:
    """Return what ``found`` returns if it is a function, else ``found``."""
    if not callable(found):
        return found
    try:
        return found()
    except Exception as error:
        name = getattr(found, "__name__", repr(found))
        raise ValueError(f"{name}() raised {type(error).__name__}: {error}") from error


def _small_transformer() -> dict[str, Any]:
    """Return the shapes of a transformer's parameters: an example of every kind."""

    def shape(*lengths: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(lengths, jnp.float32)

    return {
        "embedding": shape(256, 64),
        "block": {
            "attention": {"kernel": shape(64, 192), "bias": shape(192)},
            "mlp": {"kernel": shape(64, 256), "bias": shape(256)},
            "norm": {"scale": shape(64), "bias": shape(64)},
        },
        "head": {"kernel": shape(64, 256)},
    }


def _progress() -> Callable[[str], None]:
    """Return a function that shows progress once the audit has taken a while."""
    start = time.monotonic()

    def show(text: str) -> None:
        elapsed = time.monotonic() - start
        if elapsed > PATIENCE:
            print(f"[{elapsed:.0f} s] {text}", file=sys.stderr, flush=True)

    return show


def _text(report: AuditReport, style: str | None) -> str:
    if style == "json":
        return json.dumps(report.to_dict(), indent=2, allow_nan=False)
    return report.to_markdown() if style == "markdown" else str(report)
