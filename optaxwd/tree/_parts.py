"""Which parameter each leaf of an optimizer's state belongs to."""

from typing import Any

from optaxwd.tree._paths import Path, leaves_with_paths


def parameters_of(state: Any, params: Any) -> list[tuple[Path, Any, Path | None, Any]]:
    """Return for each leaf of ``state`` the parameter that its path ends with.

    Moments and the like are trees like the parameters somewhere in a state, whatever
    ``optax.chain``, ``optax.partition`` or other wrappers put above them. Of several
    paths that fit, the longest is the parameter's.

    Args:
      state: a state, or its shapes.
      params: the parameters that it is the state for, or their shapes.

    Returns:
      A list of ``(path, leaf, path of the parameter, parameter)`` in JAX's leaf order;
      the last two are ``None`` where no parameter's path fits.
    """
    known = dict(leaves_with_paths(params))
    found = []
    for path, leaf in leaves_with_paths(state):
        ends = (path[start:] for start in range(len(path) + 1))
        owner = next((end for end in ends if end in known), None)
        found.append((path, leaf, owner, None if owner is None else known[owner]))
    return found
