"""Masks: trees, prefixes and functions, matched by path."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import optaxwd
from optaxwd.rules import resolve_decays

PARAMS = {
    "dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
    "layers": [jnp.ones(1), jnp.ones(1)],
}


def resolve(mask, params=PARAMS):
    return jax.tree.map(
        lambda decay: decay.multiplier, resolve_decays(mask, params, owner="here")
    )


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (None, [1.0, 1.0, 1.0, 1.0]),
        (False, [0.0, 0.0, 0.0, 0.0]),
        (np.bool_(True), [1.0, 1.0, 1.0, 1.0]),
        ({"dense": True, "layers": False}, [1.0, 1.0, 0.0, 0.0]),
        (
            {"dense": {"kernel": True, "bias": False}, "layers": [False, True]},
            [0.0, 1.0, 0.0, 1.0],
        ),
        (
            lambda params: jax.tree.map(lambda x: x.ndim > 1, params),
            [0.0, 1.0, 0.0, 0.0],
        ),
        (lambda params: {"dense": False, "layers": True}, [0.0, 0.0, 1.0, 1.0]),
    ],
)
def test_multipliers(mask, expected):
    multipliers = resolve(mask)
    assert jax.tree.structure(multipliers) == jax.tree.structure(PARAMS)
    assert jax.tree.leaves(multipliers) == expected


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"dense": True}, "does not cover the parameter 'layers/0'"),
        ({"dense": True, "layers": True, "dens": True}, "a leaf at 'dens'"),
        (
            {"dense": {"kernel": True}, "layers": True},
            "does not cover the parameter 'dense/bias'",
        ),
        (
            {"dense": {"kernel": True, "bias": None}, "layers": True},
            "does not cover the parameter 'dense/bias'",
        ),
        ({}, "it has no leaf"),
    ],
)
def test_another_structure_names_the_path(mask, message):
    with pytest.raises(ValueError, match=f"here: the mask.*{message}"):
        resolve(mask)
    with pytest.raises(ValueError, match=message):
        resolve(lambda params: mask)


@pytest.mark.parametrize("leaf", ["yes", 0.5, 2, jnp.array(True), np.ones(2, bool)])
def test_a_leaf_that_is_not_a_bool(leaf):
    mask = {"dense": {"kernel": leaf, "bias": True}, "layers": True}
    with pytest.raises(TypeError, match=r"leaf at 'dense/kernel' must be a bool, got"):
        resolve(mask)


def test_empty_nodes_need_no_mask_and_may_have_one():
    params = {"w": jnp.ones(1), "none": None, "empty": {}, "masked": optax.MaskedNode()}
    assert resolve({"w": True}, params)["w"] == 1.0
    full = {"w": False, "none": True, "empty": True, "masked": True}
    assert resolve(full, params)["w"] == 0.0


def test_a_full_mask_inside_partition():
    optimizer = optax.partition(
        {
            "a": optaxwd.sgdw(1.0, weight_decay=0.5, mask={"x": True, "y": False}),
            "b": optaxwd.sgdw(1.0, weight_decay=0.1, mask={"x": False, "y": True}),
        },
        {"x": "a", "y": "b"},
    )
    params = {"x": jnp.array([2.0]), "y": jnp.array([2.0])}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    assert float(updates["x"][0]) == -1.0
    assert float(updates["y"][0]) == pytest.approx(-0.2)


NESTED = {
    "dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
    "norm": {"scale": jnp.ones(2)},
}


@pytest.mark.parametrize("anchor", [None, jax.tree.map(jnp.zeros_like, NESTED)])
def test_a_full_mask_and_anchor_where_a_whole_module_is_masked_out(anchor):
    mask = jax.tree.map(lambda x: x.ndim > 1, NESTED)
    muon = optaxwd.muonw(0.1, mask=mask, anchor=anchor)
    zeros = jax.tree.map(jnp.zeros_like, NESTED)
    updates, _ = muon.update(zeros, muon.init(NESTED), NESTED)
    assert float(updates["dense"]["kernel"][0, 0]) == pytest.approx(-0.01)
    sgd = optaxwd.sgdw(1.0, weight_decay=0.5, mask=mask, anchor=anchor)
    masked = optax.masked(sgd, {"dense": True, "norm": False})
    updates, _ = masked.update(zeros, masked.init(NESTED), NESTED)
    assert updates["dense"]["kernel"][0, 0] == -0.5 and updates["dense"]["bias"][0] == 0
    groups = {"dense": "a", "norm": "b"}
    parts = optax.partition({"a": sgd, "b": optax.set_to_zero()}, groups)
    updates, _ = parts.update(zeros, parts.init(NESTED), NESTED)
    assert updates["dense"]["kernel"][0, 0] == -0.5


@pytest.mark.parametrize(
    "factory", [optaxwd.adamw, optaxwd.muonw, optaxwd.rmspropw, optaxwd.sgd_l2]
)
def test_a_known_mask_is_checked_when_the_optimizer_is_built(factory):
    for mask in ({"w": "yes"}, {"w": 1}, 1, jnp.array(True)):
        with pytest.raises(TypeError, match=f"{factory.__name__}: the mask leaf at"):
            factory(0.1, mask=mask)
    tx = factory(0.1, mask={"nope": True})
    with pytest.raises(
        ValueError, match=f"{factory.__name__}: the mask does not cover"
    ):
        tx.init({"w": jnp.ones((2, 2))})


class Net(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(2, 2, rngs=rngs)
        layers = [nnx.Linear(2, 1, rngs=rngs)]
        self.layers = nnx.List(layers) if hasattr(nnx, "List") else layers

    def __call__(self, x):
        return self.layers[0](self.dense(x))


def only_kernels(state):
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "kernel" in jax.tree_util.keystr(path), state
    )


@pytest.mark.parametrize("form", ["State", "pure dict", "callable"])
def test_nnx_optimizer_takes_static_masks(form):
    # nnx.Optimizer gives `init` a State of Variables and `update` one of bare arrays.
    model = Net(nnx.Rngs(0))
    state = nnx.state(model, nnx.Param)
    mask = {
        "State": only_kernels(state),
        "pure dict": {
            "dense": {"kernel": True, "bias": False},
            "layers": {0: {"kernel": True, "bias": False}},
        },
        "callable": only_kernels,
    }[form]
    tx = optaxwd.sgdw(1.0, weight_decay=0.5, mask=mask, anchor=None)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    model.dense.bias[...] = jnp.ones(2)
    before = jax.tree.map(jnp.copy, nnx.to_pure_dict(nnx.state(model, nnx.Param)))

    @nnx.jit
    def step(model, optimizer):
        zeros = jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param))
        optimizer.update(model, zeros)

    step(model, optimizer)
    after = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    np.testing.assert_allclose(after["dense"]["kernel"], before["dense"]["kernel"] / 2)
    np.testing.assert_array_equal(after["dense"]["bias"], before["dense"]["bias"])
    np.testing.assert_allclose(
        after["layers"][0]["kernel"], before["layers"][0]["kernel"] / 2
    )


@pytest.mark.parametrize("anchor", ["init", "State"])
def test_nnx_optimizer_takes_anchors(anchor):
    model = Net(nnx.Rngs(0))
    start = jax.tree.map(jnp.copy, nnx.state(model, nnx.Param))
    tx = optaxwd.sgdw(
        1.0, weight_decay=1.0, anchor=start if anchor == "State" else anchor
    )
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    model.dense.kernel[...] = model.dense.kernel[...] + 1.0
    zeros = jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param))
    optimizer.update(model, zeros)
    np.testing.assert_allclose(
        model.dense.kernel[...], start["dense"]["kernel"][...], rtol=1e-6
    )
