"""Masks and rules, turned into how each leaf decays."""

from typing import Any

import jax
import numpy as np
import optax

from optaxwd import tree
from optaxwd._typing import Mask
from optaxwd.rules._rules import DecayRules
from optaxwd.rules._values import LeafDecay


def resolve_decays(
    mask: Mask, params: optax.Params, *, owner: str, check: bool = True
) -> Any:
    """Return how every leaf of ``params`` decays.

    Args:
      mask: ``None`` (everything decays), a :class:`DecayRules`, a tree of bools
        with the structure of ``params``, a prefix of such a tree, or a function of
        ``params`` that returns a tree or a prefix.
      params: the parameters; only structure, shapes and dtypes may matter.
      owner: the transform to name in messages.
      check: whether strict rules are checked; see :meth:`DecayRules.decays`.

    Returns:
      A tree with the structure of ``params`` and a :class:`LeafDecay` per leaf.

    Raises:
      ValueError: if the mask has another structure; the message names the path.
      TypeError: if a leaf of the mask is not a bool.

    Examples:
      >>> import jax.numpy as jnp
      >>> from optaxwd import rules
      >>> params = {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)}
      >>> decays = rules.resolve_decays(rules.standard(), params, owner="my_transform")
      >>> decays["kernel"].multiplier, decays["bias"].multiplier
      (1.0, 0.0)

    References:
      As of :class:`DecayRules`.
    """
    if mask is None:
        return jax.tree.map(lambda _: LeafDecay(), params)
    if isinstance(mask, DecayRules):
        return mask.decays(params, check=check)
    prefix = mask(params) if _is_function(mask) else mask
    _check_bools(prefix, owner)
    covered = tree.broadcast_prefix(prefix, params, name=f"{owner}: the mask")
    return jax.tree.map(lambda decays: LeafDecay(float(decays)), covered)


def check_mask(mask: Mask, owner: str, *, anchors: bool = True) -> None:
    """Raise if a leaf of a mask that is already known is not a bool.

    A mask that is a function is not known before it sees parameters.

    Args:
      mask: as in :func:`resolve_decays`.
      owner: the transform to name in messages.
      anchors: whether the law knows anchors other than zero.

    Returns:
      Nothing.

    Raises:
      TypeError: if a leaf is not a bool.
      ValueError: if ``anchors=False`` and a rule gives an anchor that is not zero.

    Examples:
      >>> from optaxwd import rules
      >>> rules.check_mask({"kernel": True, "bias": False}, "my_transform")
      >>> rules.check_mask({"kernel": "yes"}, "my_transform")  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      ...
      TypeError: my_transform: ...

    References:
      As of :class:`DecayRules`.
    """
    given = mask.anchors if isinstance(mask, DecayRules) and not anchors else ()
    for anchor in given:
        if not (isinstance(anchor, str) and anchor == "zero"):
            raise ValueError(
                f"{owner}: a rule gives the anchor {anchor!r}, which this law has no "
                "place for. Leave it out, or use add_decayed_weights or an optimizer "
                "that takes `anchor`."
            )
    if not (mask is None or isinstance(mask, DecayRules) or _is_function(mask)):
        _check_bools(mask, owner)


def _check_bools(mask: Any, owner: str) -> None:
    for path, leaf in tree.leaves_with_paths(mask):
        if not isinstance(leaf, (bool, np.bool_)):
            raise TypeError(
                f"{owner}: the mask leaf at '{tree.path_string(path)}' must be a bool, "
                f"got {leaf!r} of type {type(leaf).__name__}. True decays, False does "
                "not. For multipliers use DecayRules."
            )


def _is_function(mask: Any) -> bool:
    # An Equinox module full of bools is callable and yet a tree.
    bools = (isinstance(leaf, (bool, np.bool_)) for leaf in jax.tree.leaves(mask))
    return callable(mask) and not any(bools)
