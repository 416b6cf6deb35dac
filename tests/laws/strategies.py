"""What the laws are searched over: trees, gradients, masks, rates and options.

The fast suite draws the same few hundred examples each time. Ten thousand new ones of
every law come with

    HYPOTHESIS_PROFILE=nightly python -m pytest -n0 tests/laws

in some hours on one core, at 10 to 100 examples a second.

Everything drawn is NumPy. Shapes and dtypes come from a small pool, because JAX
compiles every operation once for each of them; structures and values are free.
"""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import optaxwd

SHAPES = ((), (3,), (2, 3), (0,))
NARROW = ("bfloat16", "float16")
KEYS = ("w", "bias", "kernel", "norm_0", "layers")
FORMS = ("additive", "multiplicative", "proximal")
COUPLINGS = ("l2", "learning_rate", "independent", "constant", "corrected")
PENALTIES = (
    "l2",
    "l1",
    "huber",
    optaxwd.huber(0.5),
    optaxwd.elastic_net(0.25),
    optaxwd.p_norm(1.5),
)
# No number whose square float32 takes for 0, and none that float16 cannot hold.
numbers = st.floats(-8, 8, width=16, allow_subnormal=False)
magnitudes = st.floats(0.125, 8, width=16)


def examples(few):
    """Return settings that draw ``few`` examples, and under ``nightly`` all of its."""
    of_profile = settings()
    is_night = of_profile.max_examples > 1000
    return of_profile if is_night else settings(max_examples=few)


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A leaf to be filled with numbers."""

    shape: tuple[int, ...]
    dtype: str


def skeletons(dtypes=("float32",), shapes=SHAPES):
    """Return trees of :class:`Leaf`, at least one, of any structure."""
    leaves = st.builds(Leaf, st.sampled_from(shapes), st.sampled_from(dtypes))
    trees = st.recursive(
        st.none() | leaves,
        lambda children: (
            st.lists(children, max_size=3)
            | st.tuples(children, children)
            | st.dictionaries(st.sampled_from(KEYS), children, max_size=3)
        ),
        max_leaves=5,
    )
    return trees.filter(jax.tree.leaves)


def filled(draw, skeleton, elements=numbers):
    """Draw the numbers of a tree, in the dtypes of its leaves."""
    return jax.tree.map(
        lambda leaf: draw(hnp.arrays(np.float32, leaf.shape, elements=elements)).astype(
            jnp.dtype(leaf.dtype)
        ),
        skeleton,
    )


@dataclasses.dataclass(frozen=True)
class Case:
    """Parameters, and the gradients of some steps."""

    params: Any
    gradients: list[Any]

    @property
    def is_narrow(self):
        """Whether any leaf has 16 bits."""
        return any(x.dtype.itemsize < 4 for x in jax.tree.leaves(self.params))


@st.composite
def cases(draw, dtypes=("float32",), shapes=SHAPES, steps=2, elements=numbers):
    """Draw a :class:`Case` of one to ``steps`` steps."""
    skeleton = draw(skeletons(dtypes, shapes))
    count = draw(st.integers(1, steps))
    return Case(
        filled(draw, skeleton),
        [filled(draw, skeleton, elements) for _ in range(count)],
    )


@dataclasses.dataclass(frozen=True)
class Rate:
    """A number, an array or a schedule, and its value in every step."""

    value: Any
    at: Callable[[int], float] = dataclasses.field(repr=False)
    values: tuple[float, float]

    @property
    def top(self):
        """The largest value."""
        return max(self.values)


def _rate(kind, first, later):
    first = float(np.float32(first))
    if kind == "schedule":
        later = float(np.float32(later))
        return Rate(
            lambda count: jnp.where(count < 1, first, later),
            lambda t: first if t < 1 else later,
            (first, later),
        )
    value = first if kind == "number" else np.float32(first)
    return Rate(value, lambda t: first, (first, first))


def rates(top, kinds=("number", "array", "schedule"), least=0.0):
    """Return strategies of :class:`Rate` with values from ``least`` to ``top``."""
    values = st.floats(least, top, width=32, allow_subnormal=False)
    return st.builds(_rate, st.sampled_from(kinds), values, values)


def zeros(is_narrow):
    """Return every zero that λ can be; an array would widen updates of 16 bits."""
    zero = [0, 0.0, lambda count: jnp.where(count < 1, 0.0, 0.0)]
    return st.sampled_from(zero if is_narrow else [*zero, np.float32(0)])


@dataclasses.dataclass(frozen=True)
class Mask:
    """A mask, and a tree of the multipliers that it means, worked out beside it."""

    value: Any
    multipliers: Any


def paths(tree):
    """Return the path of every leaf, as patterns see it, in JAX's order."""

    def name(key):
        return str(key.key if hasattr(key, "key") else key.idx)

    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return ["/".join(map(name, path)) or "(root)" for path, _ in flat]


def rules_of(tree, multipliers):
    """Return rules, one for each leaf, that give a tree of multipliers."""
    values = jax.tree.leaves(multipliers)
    return optaxwd.DecayRules(
        [(re.escape(p), m) for p, m in zip(paths(tree), values, strict=True)],
        default=None,
    )


@st.composite
def masks(draw, params):
    """Draw a :class:`Mask` for ``params``: of each kind, and what no mask means."""
    kind = draw(st.sampled_from(("none", "prefix", "tree", "function", "rules")))
    leaves, structure = jax.tree.flatten(params)
    size = len(leaves)
    if kind == "none":
        return Mask(None, jax.tree.unflatten(structure, [1.0] * size))
    if kind == "prefix":
        whole = draw(st.booleans())
        return Mask(whole, jax.tree.unflatten(structure, [float(whole)] * size))
    if kind == "tree":
        chosen = draw(st.lists(st.booleans(), min_size=size, max_size=size))
        tree = jax.tree.unflatten(structure, chosen)
        return Mask(tree, jax.tree.map(float, tree))
    if kind == "function":
        axes = draw(st.integers(0, 2))

        def is_large(params):
            return jax.tree.map(lambda x: x.ndim >= axes, params)

        return Mask(is_large, jax.tree.map(float, is_large(params)))
    return draw(_rule_masks(params))


@st.composite
def _rule_masks(draw, params):
    """Draw rules in which an earlier one hides some leaves from a later one."""
    values = st.sampled_from((0.0, False, 0.5, True, 2.0))
    names = paths(params)
    ranked = draw(st.permutations(names))[: draw(st.integers(0, len(names)))]
    given = [draw(values) for _ in ranked]
    pattern = st.sampled_from((re.escape, _predicate))
    rules = [
        (draw(pattern)(name), value) for name, value in zip(ranked, given, strict=True)
    ]
    rest = default = draw(values)
    if draw(st.booleans()):
        everything = optaxwd.rules.Pattern("all", lambda leaf: True, optional=True)
        rules.append((everything, rest))
        default = draw(values)
    known = dict(zip(ranked, given, strict=True))
    multipliers = [float(known.get(name, rest)) for name in names]
    return Mask(
        optaxwd.DecayRules(rules, default=default),
        jax.tree.unflatten(jax.tree.structure(params), multipliers),
    )


def _predicate(name):
    return lambda path, leaf: path == name


@st.composite
def options(draw, params, learning_rate, couplings=COUPLINGS, forms=FORMS):
    """Draw arguments of an optimizer that may stand together, all but λ."""
    coupling = draw(st.sampled_from(couplings))
    is_free = coupling != "l2"
    chosen = {
        "coupling": coupling,
        "peak_learning_rate": learning_rate.top * draw(st.sampled_from((1.0, 2.0))),
        "penalty": draw(st.sampled_from(PENALTIES)),
        "form": draw(st.sampled_from(forms)) if is_free else "additive",
        "cautious": is_free and draw(st.booleans()),
        "anchor": draw(anchors(params)),
        "mask": draw(masks(params)).value,
    }
    if coupling == "corrected" and draw(st.booleans()):
        chosen["corrected_mask"] = draw(masks(params)).value
    return chosen


def anchors(params):
    """Return every kind of anchor."""
    return st.sampled_from(
        (
            None,
            "init",
            optaxwd.InitialParameters("bfloat16"),
            optaxwd.InitialNorm(0.5),
            optaxwd.TargetNorm(1.5),
            jax.tree.map(lambda p: np.full_like(p, 0.5), params),
        )
    )
