"""What steps cost: all that is the same on every run of a compiled program."""

import helpers
import jax
import jax.numpy as jnp
import optax
import pytest

import optaxwd

SIZE = 256
pytestmark = pytest.mark.usefixtures("optimized")


def parameters(dtype="float32", leaves=1):
    return {f"w{i}": jnp.zeros((SIZE, SIZE), dtype) for i in range(leaves)}


def bytes_per_parameter(optimizer, dtype="float32", leaves=1):
    return helpers.bytes_per_parameter(optimizer, parameters(dtype, leaves))


def operations(optimizer, params, kind):
    """Count the operations of a kind, such as ``fusion``, in the entry of a step."""
    program = helpers.compiled_step(optimizer, params).as_text().partition("ENTRY")[2]
    return program.count(f" {kind}(")


@pytest.fixture(scope="module")
def plain(optimized):
    return bytes_per_parameter(optaxwd.adamw(1e-3, weight_decay=0.1))


@pytest.fixture(scope="module")
def of_norm(optimized):
    """Bytes per parameter of a norm alone: 4, and with XLA of 2025 for CPUs 16."""
    leaf = jnp.zeros((SIZE, SIZE))
    cost = jax.jit(lambda x: jnp.sum(x * x)).lower(leaf).compile().cost_analysis()
    return cost["bytes accessed"] / SIZE**2


def test_adamw_moves_what_optax_s_does(plain):
    assert plain <= bytes_per_parameter(optax.adamw(1e-3, weight_decay=0.1)) + 0.1


@pytest.mark.parametrize("max_grad_norm", [None, 1.0], ids=["plain", "clipped"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cautious": True},
        {"cautious": True, "coupling": "independent"},
        {"cautious": True, "form": "proximal"},
        {"coupling": "corrected", "corrected_mask": True},
        {"coupling": "constant"},
        {"penalty": "l1", "form": "proximal"},
        {"penalty": "huber"},
        {"penalty": optaxwd.p_norm(1.5), "form": "proximal"},
        {"form": "multiplicative"},
        {"mask": optaxwd.DecayRules([("w.*", 0.5)])},
    ],
    ids=lambda options: "-".join(options),
)
def test_options_move_no_more(plain, of_norm, options, max_grad_norm):
    optimizer = optaxwd.adamw(
        1e-3, weight_decay=0.1, max_grad_norm=max_grad_norm, **options
    )
    more = 0 if max_grad_norm is None else of_norm
    assert bytes_per_parameter(optimizer, leaves=2) <= plain + more + 0.1


@pytest.mark.parametrize(
    ("anchor", "more"),
    [
        ("init", 4),
        (optaxwd.InitialParameters("bfloat16"), 2),
    ],
    ids=["init", "bfloat16"],
)
def test_an_anchor_is_read_and_not_written(plain, anchor, more):
    optimizer = optaxwd.adamw(1e-3, weight_decay=0.1, anchor=anchor)
    assert bytes_per_parameter(optimizer) <= plain + more + 0.1


def test_clipping_reads_gradients_once_more(plain, of_norm):
    theirs = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(1e-3, weight_decay=0.1)
    )
    ours = optax.chain(
        optaxwd.clip_by_global_norm(1.0), optax.adamw(1e-3, weight_decay=0.1)
    )
    assert bytes_per_parameter(ours) <= plain + of_norm + 0.1
    assert bytes_per_parameter(ours) <= bytes_per_parameter(theirs) - 15.9


@pytest.mark.parametrize("name", ["lionw", "nadamw", "rmspropw", "sgdw"])
def test_clipping_costs_others_one_norm_too(name, of_norm):
    def optimizer(**options):
        return getattr(optaxwd, name)(1e-3, weight_decay=0.1, **options)

    plain = bytes_per_parameter(optimizer())
    assert bytes_per_parameter(optimizer(max_grad_norm=1.0)) <= plain + of_norm + 0.1


@pytest.mark.parametrize("options", [{}, {"max_grad_norm": 1.0}], ids=["", "clipped"])
def test_nothing_is_copied(options):
    optimizer = optaxwd.adamw(1e-3, weight_decay=0.1, **options)
    assert operations(optimizer, parameters(leaves=3), "copy") == 0


def test_nothing_more_is_copied_of_bfloat16_than_in_optax():
    # XLA of 2025 copies the moments.
    theirs = optax.adamw(1e-3, weight_decay=0.1)
    allowed = operations(theirs, parameters("bfloat16", leaves=3), "copy")
    for options in ({}, {"max_grad_norm": 1.0}):
        ours = optaxwd.adamw(1e-3, weight_decay=0.1, **options)
        assert operations(ours, parameters("bfloat16", leaves=3), "copy") <= allowed


def test_there_are_no_more_loops_than_in_optax_but_for_two_counts_and_rates():
    theirs = optax.adamw(1e-3, weight_decay=0.1)
    ours = optaxwd.adamw(1e-3, weight_decay=0.1)
    params = parameters(leaves=5)
    scalars = 2 + 2
    assert (
        operations(ours, params, "fusion")
        <= operations(theirs, params, "fusion") + scalars
    )


@pytest.mark.parametrize("max_grad_norm", [None, 1.0], ids=["plain", "clipped"])
def test_many_leaves_are_traced_and_lowered_once_per_shape(max_grad_norm):
    params = {f"layer_{i}": jnp.zeros((5, 7)) for i in range(100)}

    def size(optimizer):
        traced = helpers.donated_step(optimizer).trace(
            params, optimizer.init(params), params
        )
        return len(traced.jaxpr.eqns), len(traced.lower().as_text())

    theirs = optax.adamw(1e-3, weight_decay=0.1)
    if max_grad_norm is not None:
        theirs = optax.chain(optax.clip_by_global_norm(max_grad_norm), theirs)
    ours = optaxwd.adamw(1e-3, weight_decay=0.1, max_grad_norm=max_grad_norm)
    for got, expected in zip(size(ours), size(theirs), strict=True):
        assert got <= 0.55 * expected


def test_a_step_compiles_once():
    optimizer = optaxwd.adamw(
        lambda count: 1e-3 / (count + 1.0),
        weight_decay=0.1,
        mask=optaxwd.rules.standard(),
        max_grad_norm=1.0,
    )
    step, params = helpers.donated_step(optimizer), parameters(leaves=2)
    grads, state = jax.tree.map(jnp.ones_like, params), optimizer.init(params)
    for _ in range(3):
        state, params = step(grads, state, params)
    assert step._cache_size() == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 8),
        ({"max_grad_norm": 1.0}, 8),
        ({"mu_dtype": jnp.bfloat16}, 6),
        ({"precision": optaxwd.Policy(state="bfloat16", key=0)}, 4),
        ({"precision": optaxwd.Policy(state="int8")}, 2 + 8 / 256),
        ({"anchor": "init"}, 12),
    ],
    ids=["plain", "clipped", "mu_dtype", "bfloat16", "int8", "anchor"],
)
def test_bytes_of_the_state(options, expected):
    optimizer = optaxwd.adamw(1e-3, weight_decay=0.1, **options)
    state = jax.eval_shape(optimizer.init, parameters())
    arrays = [x for x in jax.tree.leaves(state) if x.size >= 256]
    total = sum(x.size * x.dtype.itemsize for x in arrays)
    assert total == expected * SIZE**2
