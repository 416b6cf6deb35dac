"""Rules that suit most networks, by name and by owner, never by rank alone."""

import functools
import re
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from optaxwd import tree
from optaxwd._checks import check_count
from optaxwd.rules._patterns import Pattern, as_pattern
from optaxwd.rules._rules import DecayRules
from optaxwd.rules._values import FROZEN

# Leaves of Flax, Haiku, Equinox and Keras: `b` is Haiku's bias, `offset` its norm's.
_BIAS = re.compile(r"b([qkvo]|\d+)?|bias|b_.+|bias_.+|.+_bias|offset|beta")
_SCALE = re.compile(r"scale|gamma|.+_scale")
_WEIGHT = re.compile(r"weight|w|g|scale|gamma")
_TABLE = re.compile(r"embeddings?|weight|w|table")
_NORM_CLASS = re.compile(r".*Norm(alization)?(\dd)?")
_ADAPTER = re.compile(r"(.+_)?lora_?(a|b|A|B|down|up)")
# Words that make up the names of modules: ln_f, final_layer_norm, InstanceNorm2d_0.
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_NORM_KINDS = ("", "pre", "post", "layer", "rms", "batch", "group", "instance")
_NORM_WORDS = {kind + "norm" for kind in _NORM_KINDS}
_NORM_WORDS |= {"norms", "normalization", "ln", "bn", "gn"}
_EMBEDDING_WORDS = {"emb", "embed", "embeds", "embedder", "embedding", "embeddings"}
_EMBEDDING_WORDS |= {"wte"}
_POSITION_WORDS = {"pos", "position", "positions", "positional"}
_POSITION_NAMES = {"wpe", "posemb", "posembed", "posembedding"}


def standard(
    *, embeddings: bool = True, positional_embeddings: bool = True
) -> DecayRules:
    """Everything decays but biases and the scales and offsets of norms.

    Told by name (Flax Linen and NNX ``bias``, ``scale``; Haiku ``b``, ``scale``,
    ``offset``; Keras ``gamma``, ``beta``) and by the class of the owner (the ``weight``
    of an Equinox ``LayerNorm``), never by rank: layers stacked by ``nn.scan`` or
    ``nnx.vmap`` have biases of rank 2, and so have the biases of attention heads.

    Args:
      embeddings: whether token embeddings decay. With tied embeddings one leaf is also
        the output head, and ``False`` spares the head too.
      positional_embeddings: whether learned positional embeddings decay.

    Returns:
      A :class:`DecayRules` that does not mind if one of its rules matches nothing.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> params = {"scanned": {"ln": {"scale": jnp.ones((3, 8))},
      ...                       "fc": {"kernel": jnp.ones((3, 8, 8))}}}
      >>> optaxwd.rules.standard().mask(params)
      {'scanned': {'fc': {'kernel': True}, 'ln': {'scale': False}}}

    References:
      He et al., `Bag of Tricks for Image Classification with Convolutional Neural
      Networks <https://arxiv.org/abs/1812.01187>`_, 2018, section 3.1.
    """
    kinds = {"norm": _is_norm, "bias": _is_bias}
    if not positional_embeddings:
        kinds["positional embedding"] = _is_position
    if not embeddings:
        kinds["embedding"] = _is_embedding
    return DecayRules(
        [(Pattern(name, test, optional=True), False) for name, test in kinds.items()]
    )


def matrices_only(*, stacked: Mapping[Any, int] | None = None) -> DecayRules:
    """Only leaves of two or more dimensions decay.

    The rule of many training scripts, and wrong where layers are stacked: the bias of
    eight scanned layers is a matrix. Leaves with the name or the owner of a bias or a
    norm that decay by this rule are warned of; say how they are stacked, or use
    :func:`standard`.

    Args:
      stacked: number of leading axes that only stack layers, by pattern, such as
        ``{"blocks/.*": 1}``.

    Returns:
      A :class:`DecayRules`.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> params = {"blocks": {"w": jnp.ones((8, 4, 4)), "bias": jnp.ones((8, 4))}}
      >>> optaxwd.rules.matrices_only(stacked={"blocks/.*": 1}).mask(params)
      {'blocks': {'bias': False, 'w': True}}

    References:
      Karpathy, `nanoGPT <https://github.com/karpathy/nanoGPT>`_, 2022, where
      parameters of two and more dimensions decay.
    """
    axes = [
        (as_pattern(pattern, "matrices_only: stacked"), count)
        for pattern, count in (stacked or {}).items()
    ]
    for pattern, count in axes:
        check_count(count, f"stacked[{pattern.text!r}]", "matrices_only")
    warned = False

    def is_matrix(leaf: tree.Leaf) -> bool:
        nonlocal warned
        extra = next((count for pattern, count in axes if pattern.matches(leaf)), 0)
        matrix = getattr(leaf.value, "ndim", 0) - extra >= 2
        if matrix and (_is_bias(leaf) or _is_norm(leaf)) and not warned:
            warned = True
            warnings.warn(
                f"matrices_only: '{leaf.path}' {leaf.value.shape} is named like a bias "
                "or a norm and decays, because stacked layers or attention heads gave "
                "it another axis. Pass stacked={pattern: axes}, or use standard().",
                stacklevel=2,
            )
        return matrix

    matrix = Pattern("matrix", is_matrix, needs_value=True, optional=True)
    return DecayRules([(matrix, True)], default=False)


def everything() -> DecayRules:
    """Return rules by which everything decays: biases and norms too.

    Returns:
      A :class:`DecayRules`.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> optaxwd.rules.everything().mask({"bias": jnp.ones(2)})
      {'bias': True}

    References:
      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019, whose decay
      spares nothing.
    """
    return DecayRules([], default=1.0)


def lora(*, base: Any = FROZEN) -> DecayRules:
    """Adapters decay; the weights they adapt do not.

    Adapters are the leaves named ``lora_a``, ``lora_b`` and the like, as in Flax NNX.
    Decay pulls the product of the adapters to zero, so the model to the base weights.

    Args:
      base: what becomes of everything else: ``"frozen"`` (no update at all), or
        ``False`` (trained, without decay).

    Returns:
      A :class:`DecayRules`.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> params = {"kernel": jnp.ones((4, 4)), "lora_a": jnp.ones((4, 1))}
      >>> optaxwd.rules.lora().mask(params), optaxwd.rules.lora().frozen(params)
      ({'kernel': False, 'lora_a': True}, {'kernel': True, 'lora_a': False})

    References:
      Hu et al., `LoRA: Low-Rank Adaptation of Large Language Models
      <https://arxiv.org/abs/2106.09685>`_, 2021.
    """
    return DecayRules([(Pattern("adapter", _is_adapter), 1.0)], default=base)


class _Place(NamedTuple):
    """What the presets look at: a leaf's name, its parent's, and its owner."""

    name: str
    parent: str
    owner: str | None


def _place(leaf: tree.Leaf) -> _Place:
    # Haiku marks modules made in a constructor by a component of their own.
    parts = leaf.path.replace("/~/", "/").rsplit("/", 2)
    return _Place(parts[-1], parts[-2] if len(parts) > 1 else "", leaf.owner)


# Names recur from layer to layer, so each place is judged once.
_judge = functools.lru_cache(maxsize=4096)


def _is_norm(leaf: tree.Leaf) -> bool:
    return _norm_at(_place(leaf))


def _is_bias(leaf: tree.Leaf) -> bool:
    return bool(_BIAS.fullmatch(_place(leaf).name))


def _is_embedding(leaf: tree.Leaf) -> bool:
    return _embedding_at(_place(leaf))


def _is_position(leaf: tree.Leaf) -> bool:
    return _position_at(_place(leaf))


def _is_adapter(leaf: tree.Leaf) -> bool:
    place = _place(leaf)
    if place.parent == "lora" and place.name in ("a", "b"):
        return True
    return any(_ADAPTER.fullmatch(component) for component in leaf.path.split("/"))


@_judge
def _norm_at(place: _Place) -> bool:
    if place.owner and _NORM_CLASS.fullmatch(place.owner):
        return True
    if _SCALE.fullmatch(place.name):
        return True
    return bool(_WEIGHT.fullmatch(place.name) and _words(place.parent) & _NORM_WORDS)


@_judge
def _embedding_at(place: _Place) -> bool:
    if _position_at(place):
        return False
    if place.owner == "Embedding":
        return True
    return any(_words(name) & _EMBEDDING_WORDS for name in _table_names(place))


@_judge
def _position_at(place: _Place) -> bool:
    def positional(name: str) -> bool:
        words = _words(name)
        kind = words & (_EMBEDDING_WORDS | {"enc", "encoding", "encodings"})
        return bool(words & _POSITION_NAMES or (words & _POSITION_WORDS and kind))

    return any(map(positional, _table_names(place)))


def _table_names(place: _Place) -> tuple[str, ...]:
    """Return the names that may call a leaf a table: its own, and its parent's.

    The parent's only for leaves that hold a table: a patch embedding's ``kernel`` is a
    convolution.
    """
    if _TABLE.fullmatch(place.name):
        return place.name, place.parent
    return (place.name,)


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(name)}
