"""How :func:`optaxwd.record_decay` asks an update what it would be without a part.

It calls ``update`` once more, with one extra argument that names the parts. The stages
of this library that make such a part leave it out; all others ignore the argument. It
is a mapping without values, so a pytree without leaves: ``jax.jit`` lets it pass.
"""

from collections.abc import Mapping
from typing import Any

DECAY = "decay"
ROUNDING = "rounding"


def leave_out(*parts: str) -> dict[str, dict[str, None]]:
    """Return the extra arguments that ask for an update without ``parts``."""
    return {"_leave_out": dict.fromkeys(parts)} if parts else {}


def leaves_out(extra_args: Mapping[str, Any], part: str) -> bool:
    """Return whether the extra arguments of an update ask to leave ``part`` out."""
    return part in extra_args.get("_leave_out", ())
