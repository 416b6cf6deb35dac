"""How :func:`optaxwd.record_decay` asks an update what it would be without a part.

It calls ``update`` once more, with one extra argument that names the parts. The stages
of this library that make such a part leave it out, and note that they did: wrappers may
drop extra arguments, and then nobody has heard. All others ignore the argument. It is a
pytree without leaves, so ``jax.jit`` lets it pass.
"""

from collections.abc import Mapping
from typing import Any

import jax

DECAY = "decay"
ROUNDING = "rounding"


class _Heard:
    """What was left out; compared by identity, so that a structure can hold it."""

    def __init__(self) -> None:
        self.parts: set[str] = set()


class Request:
    """The parts to leave out, and those that some stage did leave out.

    Attributes:
      parts: names of the parts.
      heard: those that were left out, noted while the update is traced.
    """

    def __init__(self, parts: tuple[str, ...], heard: _Heard | None = None):
        """Ask for an update without ``parts``."""
        self.parts = parts
        self._heard = _Heard() if heard is None else heard

    @property
    def heard(self) -> set[str]:
        """The parts that were left out."""
        return self._heard.parts


jax.tree_util.register_pytree_node(
    Request,
    lambda request: ((), (request.parts, request._heard)),
    lambda kept, _: Request(*kept),
)


def leaves_out(extra_args: Mapping[str, Any], part: str) -> bool:
    """Return whether an update is to leave ``part`` out, and note that it does."""
    request = extra_args.get("_leave_out")
    if request is None or part not in request.parts:
        return False
    request.heard.add(part)
    return True
