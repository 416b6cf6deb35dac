"""The anchors of one decay stage, leaf by leaf: from the state, a tree or a rule."""

import dataclasses
from typing import Any

import jax
import numpy as np
import optax

from optaxwd import tree
from optaxwd.rules import DecayRules, LeafDecay
from optaxwd.transforms._anchors import InitialNorm, InitialParameters, TargetNorm


@dataclasses.dataclass(frozen=True)
class Anchors:
    """The anchors of one decay stage: the transform's own, and those of its rules.

    Attributes:
      default: ``None`` for zero, an anchor object, ``"update"`` or a tree.
      kept: the one kind of anchor that the state keeps something for, or ``None``.
      is_passed: whether every update is given a tree.
      owner: the transform to name in messages.
    """

    default: Any
    kept: type | None
    is_passed: bool
    owner: str

    @classmethod
    def build(cls, anchor: Any, mask: Any, owner: str) -> "Anchors":
        """Return the anchors of ``anchor`` and of the rules in ``mask``, or raise."""
        default = _resolved(anchor, owner)
        by_rule = mask.anchors if isinstance(mask, DecayRules) else ()
        every = [default, *(_resolved(own, owner) for own in by_rule)]
        kinds = {type(own) for own in every} & {InitialParameters, InitialNorm}
        if len(kinds) > 1:
            raise ValueError(
                f"{owner}: the state keeps initial parameters or initial norms, got "
                f"anchors of both kinds: {every!r}. Use two transforms with a mask "
                "each."
            )
        is_passed = any(isinstance(own, str) for own in every)
        if is_passed and _is_tree(default):
            raise ValueError(
                f"{owner}: a rule has the anchor 'update', which every update is "
                "given, and the transform has a tree of its own. Pass anchor='update' "
                "and give all of it to the updates."
            )
        return cls(default, next(iter(kinds), None), is_passed, owner)

    def init(self, params: Any, decays: Any) -> Any:
        """Return what the state keeps: a tree like the parameters, or ``None``."""
        if _is_tree(self.default):
            self._laid_over(self.default, params, decays)
        if self.kept is None:
            return None

        def leaf(param: Any, decay: LeafDecay) -> Any:
            own = self._own(decay)
            unused = hasattr(param, "dtype") and not _pulls(decay, param)
            if unused or not isinstance(own, _OBJECTS):
                return optax.MaskedNode()
            return own.keep(param)

        return jax.tree.map(leaf, params, decays)

    def without_leaves(self, params: Any) -> Any:
        """Return what the state keeps of a tree that has no leaves.

        ``optax.tree.map_params`` initialises with one, to learn what in a state is
        shaped like the parameters: copies are, norms are not.
        """
        if self.kept is InitialNorm:
            return 0.0
        return None if self.kept is None else params

    def at(
        self, kept: Any, params: Any, decays: Any, count: Any, passed: Any = None
    ) -> Any:
        """Return the anchor of every leaf at step ``count``; ``None`` is zero.

        ``kept`` is what the state holds, ``passed`` what the update was given.
        """

        def leaf(param: Any, decay: LeafDecay, kept: Any, given: Any) -> Any:
            own = self._own(decay)
            if own is None or not _pulls(decay, param):
                return None
            return own.at(kept, param, count) if isinstance(own, _OBJECTS) else given

        nothing = jax.tree.map(lambda _: None, params)
        if kept is None or not jax.tree.leaves(params):
            kept = nothing
        return jax.tree.map(
            leaf, params, decays, kept, self._given(passed, params, decays)
        )

    def _own(self, decay: LeafDecay) -> Any:
        if decay.anchor is None:
            return self.default
        return _resolved(decay.anchor, self.owner)

    def _given(self, passed: Any, params: Any, decays: Any) -> Any:
        """Return the anchor that is a tree, in the structure of ``params``."""
        if self.is_passed and passed is None:
            raise ValueError(
                f"{self.owner}: anchor='update' is a tree that every update is given, "
                "got none: call `update(updates, state, params, anchor=tree)`."
            )
        given = passed if self.is_passed else self.default
        if not _is_tree(given):
            return jax.tree.map(lambda _: None, params)
        return self._laid_over(given, params, decays)

    def _laid_over(self, anchor: Any, params: Any, decays: Any) -> Any:
        """Return the tree ``anchor`` in the structure of ``params``.

        Nothing is asked of it where a parameter does not decay, or not to it: a new
        head may have another shape than the pretrained one, or none.
        """

        def used(param: Any, decay: LeafDecay) -> Any:
            pulled = _pulls(decay, param) and _is_given(self._own(decay))
            return param if pulled else optax.MaskedNode()

        return lay_over(anchor, jax.tree.map(used, params, decays), self.owner)


_OBJECTS = (InitialParameters, InitialNorm, TargetNorm)
_NAMED = {"zero": None, "init": InitialParameters(), "update": "update"}


def _is_given(anchor: Any) -> bool:
    return anchor is not None and not isinstance(anchor, _OBJECTS)


def _is_tree(anchor: Any) -> bool:
    return _is_given(anchor) and not isinstance(anchor, str)


def _pulls(decay: LeafDecay, param: Any) -> bool:
    return decay.decays and tree.is_inexact(param)


def _resolved(anchor: Any, owner: str) -> Any:
    """Return ``anchor`` with its names resolved, or raise."""
    if isinstance(anchor, str) and anchor in _NAMED:
        return _NAMED[anchor]
    if anchor is None or isinstance(anchor, _OBJECTS):
        return anchor
    if isinstance(anchor, type):
        raise ValueError(
            f"{owner}: anchor must be an object, got the class {anchor.__name__}. Call "
            f"it: {anchor.__name__}()."
        )
    if any(isinstance(leaf, (str, *_OBJECTS)) for leaf in jax.tree.leaves(anchor)):
        raise ValueError(
            f"{owner}: anchor must be None, 'init', 'update' or a tree like the "
            f"parameters, got {anchor!r}. For an anchor by group use "
            "optaxwd.rules.anchored."
        )
    return anchor


def lay_over(anchor: Any, params: Any, owner: str) -> Any:
    """Return ``anchor`` in the structure of ``params``."""
    covered = tree.broadcast_prefix(anchor, params, name=f"{owner}: the anchor")
    for (path, param), leaf in zip(
        tree.leaves_with_paths(params), jax.tree.leaves(covered), strict=True
    ):
        if tree.is_inexact(param) and np.shape(leaf) != np.shape(param):
            raise ValueError(
                f"{owner}: the anchor has shape {np.shape(leaf)} at "
                f"'{tree.path_string(path)}', the parameter {np.shape(param)}. Give it "
                "the shapes of the parameters."
            )
    return covered
