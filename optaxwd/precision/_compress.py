"""The large arrays of a state in 8 or 16 bits, around any transformation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optaxwd._checks import check_bool, check_choice, check_count, check_transformation
from optaxwd.precision._in_kernels import run_in_kernels, uses_kernels
from optaxwd.precision._keys import KeySource
from optaxwd.precision._storages import STORAGES, Compression, Storage, Stored

_NAME = "compress_state"

# Fields of states, ours and Optax's, that hold parameters or what belongs to them.
_EXACT_FIELDS = {"anchor", "residual", "init_params", "params0", "init_particles", "z"}


class CompressedState(NamedTuple):
    """State of :func:`compress_state`.

    Attributes:
      compression_count: number of updates seen so far; shape ``()``, dtype int32.
      compression_key: data of the PRNG key, ``[n]`` uint32; ``None`` if nothing is
        random.
      inner_state: the transformation's state. What is compressed has its place, its
        shape and its sharding there, in bfloat16 or as uint8 codes.
      scales: one entry per leaf of ``inner_state``, nested as there, but in tuples
        where there are names, so that :func:`optax.tree.get` finds each name once. With
        8 bits the largest magnitude of each 256 entries, in the dtype of what is
        compressed, with as many axes; ``optax.MaskedNode`` for all other leaves, and
        for all with ``"bfloat16"``, but for those that were in bfloat16 before, which
        have an ``optax.EmptyState``.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.compress_state(optaxwd.scale_by_adam(), "int8")
      >>> state = tx.init(jnp.ones(8192))  # smaller ones stay as they are
      >>> state.inner_state.mu.dtype.name
      'uint8'

    References:
      As of :func:`compress_state`.
    """

    compression_count: jax.typing.ArrayLike
    compression_key: Any
    inner_state: Any
    scales: Any


def compress_state(
    transform: optax.GradientTransformation,
    dtype: Compression,
    *,
    min_size: int = 4096,
    key: Any = None,
    kernel: bool | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Store the moments of a transformation in 8 or 16 bits per number.

    At every step the stored numbers are widened to what the transformation keeps by
    itself, it updates them, and they are rounded again. Per parameter, Adam's moments
    take

    ===================== ============================= =====================
    dtype                 bytes                         rounding
    ===================== ============================= =====================
    not compressed        8
    ``"bfloat16"``        4                             at random, mean exact
    ``"int8"``            :math:`2 (1 + 4/256) = 2.03`  to the nearest
    ``"int8_stochastic"`` the same                      at random, mean exact
    ===================== ============================= =====================

    To the nearest, a mean over many steps stands still where one step moves it by less
    than half a code, which is 3 to 6 %: with :math:`b_2 = 0.999`, second moments keep
    the proportions that they had within a block after some twenty steps, and only their
    scale follows. Where gradients change in the course of a run, take
    ``"int8_stochastic"``, whose noise is about a third of a second moment.

    With 8 bits, each block of 256 numbers x, one after another in memory, has a scale
    :math:`a = \max |x|` and for each a code c:

    .. math:: c = Q(x / a \cdot c_{\max}), \quad \hat x = a \, c / c_{\max}

    with Q to the floats with 3 bits of fraction. The largest of a block is exact, the
    others are off by up to 1/17, at random 1/8, more where they are below
    :math:`2^{-15} a`, and what is below :math:`2^{-19} a` becomes 0. In blocks without
    negative numbers, such as those of second moments, the sign makes room for another
    bit of exponent: these are :math:`2^{-31} a`, and :math:`2^{-34} a`, to which what
    is smaller is rounded up, because an update divides by it.

    Wrap a preconditioner or an optimizer whose large state is moments. All that is
    large and floating in the state is compressed: do not wrap what sums gradients
    (:class:`optax.MultiSteps`) or averages weights. Copies of parameters are left as
    they are: anchors and what roundings keep, and those of Optax's schedule-free,
    Prodigy, DoG and COCOB. With 8 bits, one number that is not finite makes its block
    so, for good: put :func:`optax.apply_if_finite` around.
    :func:`with_stable_weight_decay` reads the moments of its preconditioner, so this
    goes around it and not inside.

    Deviations from the paper:

    1. Codes are floats, computed from bits. The paper's are in a table, with more bits
       of fraction for large numbers and fewer for small ones.
    2. Whether codes have signs follows from the numbers of each block, not from the
       name of the moment, so any transformation can be wrapped.
    3. Blocks have 256 numbers in place of 2048.
    4. Embeddings are compressed as all else. The paper keeps theirs in 32 bits; for
       that, wrap the transformations of the other groups of :func:`optax.partition`.

    Args:
      transform: a preconditioner or a whole optimizer, ours or Optax's.
      dtype: ``"int8"``, ``"int8_stochastic"`` or ``"bfloat16"``.
      min_size: arrays with fewer entries stay as they are. So do those that are no
        whole blocks of 256 (with 8 bits), that have 64 bits or are complex.
      key: an integer or a PRNG key; ``None``: 0. Only what is random draws from it. The
        noise of an array follows from the key, the step and its path in the state.
      kernel: whether compiled steps load and store 8-bit codes in kernels, along with
        what leads from old moments to new ones entry by entry. ``None``: on an NVIDIA
        GPU, if it is the only one. ``True``: on any number of devices, among which XLA
        does not divide a kernel; those that are no NVIDIA GPUs interpret it, which is
        slow and for tests. ``False``: nowhere. Where there can be none, as over
        explicit axes or if moments need norms of each other, XLA computes the same.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs` with a :class:`CompressedState`.
      Updates are as the transformation gives them. Moments that it keeps in 16 bits
      itself are compressed to 8 bits, and stay as they are with ``"bfloat16"``.

    Raises:
      ValueError: if ``dtype`` is unknown, ``min_size`` is no whole number or ``key`` no
        key.
      TypeError: if ``transform`` is not a transformation, or ``kernel`` neither a bool
        nor ``None``.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.compress_state(optax.scale_by_adam(), "int8")
      >>> params = {"kernel": jnp.ones((64, 128)), "bias": jnp.ones(128)}
      >>> state = tx.init(params)
      >>> mu = optax.tree.get(state, "mu")
      >>> mu["kernel"].dtype.name, mu["bias"].dtype.name
      ('uint8', 'float32')

    References:
      Dettmers et al., `8-bit Optimizers via Block-wise Quantization
      <https://arxiv.org/abs/2110.02861>`_, 2021.
    """
    check_transformation(transform, "transform", _NAME)
    check_choice(dtype, STORAGES, "dtype", _NAME)
    check_count(min_size, "min_size", _NAME)
    if kernel is not None:
        check_bool(kernel, "kernel", _NAME)
    storage = STORAGES[dtype]
    source = KeySource.build(key, _NAME)
    inner = optax.with_extra_args_support(transform)

    def init(params: optax.Params) -> CompressedState:
        inner_state = inner.init(params)
        stored = [
            storage.start(leaf, may_round and _is_large(leaf, min_size, storage))
            for leaf, may_round in _leaves(inner_state)
        ]
        return CompressedState(
            jnp.zeros([], jnp.int32),
            source.init() if storage.is_random else None,
            *_assemble(inner_state, stored),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        leaves, structure = jax.tree.flatten(state.inner_state)
        notes = jax.tree.structure(_unnamed(state.inner_state)).flatten_up_to(
            state.scales
        )
        held = [
            i
            for i, pair in enumerate(zip(leaves, notes, strict=True))
            if storage.holds(*pair)
        ]
        keys = [None] * len(held)
        if storage.is_random:
            keys = _keys(held, leaves, structure, source, state)

        def step(loaded: list[Any]) -> tuple[list[Any], Any]:
            """Return new numbers of what is held, then updates and all other leaves."""
            whole = jax.tree.unflatten(structure, _replaced(leaves, held, loaded))
            made, inner_state = inner.update(updates, whole, params, **extra_args)
            new = structure.flatten_up_to(inner_state)
            others = _replaced(new, held, [None] * len(held))
            return [new[i] for i in held], (made, others)

        parts = [
            Stored(leaves[i], notes[i], key) for i, key in zip(held, keys, strict=True)
        ]
        stored, (updates, others) = _run(storage, step, parts, kernel)
        entries = [
            (new if new is None else _like(new, leaf), note)
            for new, leaf, note in zip(others, leaves, notes, strict=True)
        ]
        entries = _replaced(entries, held, stored)
        return updates, CompressedState(
            optax.safe_increment(state.compression_count),
            state.compression_key,
            *_assemble(state.inner_state, entries),
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _run(
    storage: Storage,
    step: Callable[[list[Any]], tuple[list[Any], Any]],
    parts: list[Stored],
    kernel: bool | None,
) -> tuple[list[tuple[Any, Any]], Any]:
    """Return what is stored of a step's new numbers, with notes, and all else of it."""
    if storage.has_kernels and uses_kernels(kernel, parts):
        fallback = "interpret" if kernel else "xla"
        if done := run_in_kernels(step, parts, fallback=fallback):
            return done
    new, others = step([storage.load(one.leaf, one.note) for one in parts])
    stored = [
        storage.store(x, one.note, one.key) for x, one in zip(new, parts, strict=True)
    ]
    return stored, others


def _leaves(state: Any) -> list[tuple[Any, bool]]:
    """Return the leaves, and of each whether it may be rounded at all."""

    def may_round(keys: Any) -> bool:
        names = {key.name for key in keys if isinstance(key, jax.tree_util.GetAttrKey)}
        return not names & _EXACT_FIELDS

    entries = jax.tree_util.tree_flatten_with_path(state)[0]
    return [(leaf, may_round(keys)) for keys, leaf in entries]


def _is_large(leaf: Any, min_size: int, storage: Storage) -> bool:
    return hasattr(leaf, "dtype") and leaf.size >= min_size and storage.accepts(leaf)


def _keys(
    held: list[int], leaves: list[Any], structure: Any, source: KeySource, state: Any
) -> list[Any]:
    """Return a key for each leaf that is held."""
    # The others are left out of the tree whose paths name the noise.
    rounded = _replaced([None] * len(leaves), held, [leaves[i] for i in held])
    keys = source.keys(
        state.compression_key,
        state.compression_count,
        jax.tree.unflatten(structure, rounded),
        "state",
    )
    return jax.tree.leaves(keys)


def _replaced(values: list[Any], at: list[int], by: list[Any]) -> list[Any]:
    """Return a list with other values in some places."""
    others = dict(zip(at, by, strict=True))
    return [others.get(i, value) for i, value in enumerate(values)]


def _like(leaf: Any, before: Any) -> Any:
    """Return ``leaf`` in the dtype that the state has had for it."""
    dtype = getattr(before, "dtype", None)
    if dtype is None or getattr(leaf, "dtype", None) == dtype:
        return leaf
    return jnp.asarray(leaf, dtype)


def _assemble(state: Any, stored: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Return a tree like ``state`` of what is stored, and one of the notes."""
    return (
        jax.tree.unflatten(jax.tree.structure(state), [leaf for leaf, _ in stored]),
        jax.tree.unflatten(
            jax.tree.structure(_unnamed(state)), [note for _, note in stored]
        ),
    )


def _unnamed(node: Any, is_field: bool = False) -> Any:
    """Return a tree of the same leaves in the same order, without the names of fields.

    Below, where a state holds trees like the parameters, it holds those still.
    """
    if isinstance(node, tuple):
        has_names = hasattr(node, "_fields")
        return tuple(_unnamed(child, has_names) for child in node) or node
    if jax.tree_util.all_leaves([node]):
        return node
    if is_field and isinstance(node, dict) and _are_numbers(node):
        # The hyperparameters of optax.inject_hyperparams.
        return tuple(jax.tree.leaves(node))
    return jax.tree.map(_unnamed, node, is_leaf=lambda child: child is not node)


def _are_numbers(node: Any) -> bool:
    return all(
        jax.tree_util.all_leaves([child]) and np.ndim(child) == 0
        for child in node.values()
    )
