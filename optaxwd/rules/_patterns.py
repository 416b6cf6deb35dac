"""Patterns: what a rule may match a leaf by."""

import dataclasses
import fnmatch
import re
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from optaxwd import tree


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A pattern made by :func:`glob`, :func:`search` or :func:`owned_by`.

    Attributes:
      text: how it was written, for tables and messages.
      matches: a function of a leaf that tells whether it matches.
      needs_value: whether it looks at the leaf itself and not only at where it stands.
      optional: whether it is no mistake if it matches nothing, as in a preset.

    Examples:
      >>> import optaxwd
      >>> optaxwd.rules.glob("**/bias").text
      'glob(**/bias)'

    References:
      As of :class:`DecayRules`.
    """

    text: str
    matches: Callable[[tree.Leaf], bool] = dataclasses.field(repr=False)
    needs_value: bool = False
    optional: bool = False


# A regular expression for the whole path, a predicate of path and leaf, or a Pattern.
PatternLike: TypeAlias = str | Pattern | Callable[[str, Any], bool]


def glob(pattern: str) -> Pattern:
    """Match a path like a file name.

    ``*`` stands for any text within one component, ``**`` for any number of components,
    also none, ``?`` for one character, ``[ab]`` for one of these and ``[!ab]`` for any
    other, all within one component.

    Args:
      pattern: such as ``"**/bias"`` or ``"encoder/layer_*/kernel"``.

    Returns:
      A :class:`Pattern` for :class:`DecayRules`.

    Raises:
      ValueError: if ``pattern`` is empty, or ``**`` shares a component with other text.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> rules = optaxwd.DecayRules([(optaxwd.rules.glob("**/bias"), False)])
      >>> w = jnp.ones(2)
      >>> rules.mask({"bias": w, "dense": {"bias": w, "w": w}})
      {'bias': False, 'dense': {'bias': False, 'w': True}}

    References:
      Python, `pathlib <https://docs.python.org/3/library/pathlib.html#pattern-language>`_,
      for the pattern language.
    """
    if not isinstance(pattern, str) or not pattern:
        raise ValueError(
            f"glob: pattern must be a text like '**/bias', got {pattern!r}."
        )
    parts = pattern.split("/")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError(
            f"glob: '**' must be a whole component, got {pattern!r}. Write '*' for "
            "text within a component, '**/' for any number of components."
        )
    return Pattern(
        f"glob({pattern})", lambda leaf: _glob_matches(parts, leaf.path.split("/"))
    )


def search(pattern: str) -> Pattern:
    """Match a path in which the regular expression occurs anywhere.

    Args:
      pattern: a regular expression. ``search("norm")`` also matches ``normal/kernel``.

    Returns:
      A :class:`Pattern` for :class:`DecayRules`.

    Raises:
      ValueError: if ``pattern`` is not a regular expression.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> rules = optaxwd.DecayRules([(optaxwd.rules.search("[Nn]orm"), False)])
      >>> rules.mask({"LayerNorm_0": {"scale": jnp.ones(2)}, "w": jnp.ones(2)})
      {'LayerNorm_0': {'scale': False}, 'w': True}

    References:
      Python, `re <https://docs.python.org/3/library/re.html>`_.
    """
    expression = compile_expression(pattern, "search")
    return Pattern(
        f"search({pattern})", lambda leaf: bool(expression.search(leaf.path))
    )


def owned_by(pattern: str) -> Pattern:
    r"""Match leaves by the class of the module that holds them.

    The owner is the nearest object on the path that is not a dict, list or plain tuple.
    In Equinox a norm's ``weight`` is named like a linear layer's, and only its owner
    tells them apart, stacked by ``vmap`` or not. Where the tree does not keep its
    modules (Flax states, Haiku) nothing has an owner.

    Args:
      pattern: a regular expression for the whole class name, such as ``".*Norm"``.

    Returns:
      A :class:`Pattern` for :class:`DecayRules`.

    Raises:
      ValueError: if ``pattern`` is not a regular expression.

    Examples:
      >>> import dataclasses, jax, jax.numpy as jnp
      >>> import optaxwd
      >>> @jax.tree_util.register_dataclass
      ... @dataclasses.dataclass
      ... class LayerNorm:
      ...     weight: jax.Array
      >>> rules = optaxwd.DecayRules([(optaxwd.rules.owned_by(".*Norm"), False)])
      >>> rules.multipliers([LayerNorm(jnp.ones(2)), jnp.ones(2)])
      [LayerNorm(weight=0.0), 1.0]

    References:
      `Levanter <https://github.com/marin-community/levanter>`_, which asks the class
      of the module too.
    """
    expression = compile_expression(pattern, "owned_by")
    return Pattern(
        f"owned_by({pattern})",
        lambda leaf: bool(leaf.owner and expression.fullmatch(leaf.owner)),
    )


def as_pattern(pattern: Any, where: str) -> Pattern:
    """Return ``pattern`` as a :class:`Pattern`; messages name its rule by ``where``.

    Args:
      pattern: what :class:`DecayRules` takes as one.
      where: what the message of an error starts with.

    Returns:
      A :class:`Pattern`; one that is given already as it is.

    Raises:
      ValueError: if it is not a regular expression.
      TypeError: if it is neither text nor pattern nor a predicate.

    Examples:
      >>> from optaxwd import rules
      >>> rules.as_pattern(".*/bias", "rule 0").text
      '.*/bias'

    References:
      As of :class:`DecayRules`.
    """
    if isinstance(pattern, Pattern):
        return pattern
    if isinstance(pattern, str):
        expression = compile_expression(pattern, where)
        return Pattern(pattern, lambda leaf: bool(expression.fullmatch(leaf.path)))
    if callable(pattern):
        name = getattr(pattern, "__name__", type(pattern).__name__)
        return Pattern(f"{name}()", lambda leaf: _ask(pattern, leaf, where), True)
    raise TypeError(
        f"{where}: a pattern must be a regular expression, a glob(…) or a predicate "
        f"(path, leaf) -> bool, got {pattern!r} of type {type(pattern).__name__}."
    )


def compile_expression(pattern: Any, where: str) -> re.Pattern[str]:
    """Compile a regular expression, or say where and why it is not one."""
    if not isinstance(pattern, str):
        raise TypeError(
            f"{where}: a regular expression must be a text, got {pattern!r} of type "
            f"{type(pattern).__name__}."
        )
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        position = getattr(error, "pos", None)
        at = "" if position is None else f" at position {position}"
        reason = getattr(error, "msg", str(error))
        raise ValueError(
            f"{where}: {pattern!r} is not a regular expression: {reason}{at}. "
            "For file-name patterns such as '**/bias' use glob(…)."
        ) from None


def _ask(predicate: Callable[..., Any], leaf: tree.Leaf, where: str) -> bool:
    answer = predicate(leaf.path, leaf.value)
    if not isinstance(answer, (bool, np.bool_)):
        raise TypeError(
            f"{where}: the predicate must return a bool, got {answer!r} for "
            f"'{leaf.path}'. It may look at the leaf's shape and dtype only: "
            "values are not known under jit."
        )
    return bool(answer)


def _glob_matches(parts: list[str], components: list[str]) -> bool:
    # How many components the parts so far may have matched: with several `**`, trying
    # them one after another would take time exponential in their number.
    reached = {0}
    for part in parts:
        if part == "**":
            reached = set(range(min(reached), len(components) + 1))
        else:
            reached = {
                i + 1
                for i in reached
                if i < len(components) and fnmatch.fnmatchcase(components[i], part)
            }
        if not reached:
            return False
    return len(components) in reached
