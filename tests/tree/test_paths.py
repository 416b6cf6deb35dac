"""Canonical paths and trees matched by them."""

import collections

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from optaxwd.tree import broadcast_prefix, is_inexact, leaves_with_paths, path_string

Point = collections.namedtuple("Point", ["x", "y"])


def paths(tree, **options):
    return [path_string(path) for path, _ in leaves_with_paths(tree, **options)]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"a": {"b": 1.0}, "c": [2.0, 3.0]}, ["a/b", "c/0", "c/1"]),
        (Point(1.0, (2.0,)), ["x", "y/0"]),
        (1.0, ["(root)"]),
        ({0: 1.0, 1: {"value": 2.0}}, ["0", "1/value"]),
        ({"mlp/~/linear_0": {"w": 1.0}}, ["mlp/~/linear_0/w"]),
        ({"a": None, "b": {}, "c": 1.0}, ["c"]),
    ],
)
def test_paths(tree, expected):
    assert paths(tree) == expected


def test_empty_nodes_on_request():
    tree = {"a": None, "b": {}, "c": 1.0, "d": optax.MaskedNode(), "e": ((), ())}
    assert paths(tree, keep_empty=True) == ["a", "b", "c", "d", "e/0", "e/1"]


def test_leaves_are_in_jax_order():
    tree = {"b": [1, {"z": 2, "a": 3}], "a": Point(4, 5)}
    assert [leaf for _, leaf in leaves_with_paths(tree)] == jax.tree.leaves(tree)


def test_the_value_of_a_variable_is_not_part_of_a_path():
    state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Param)
    assert paths(state) == ["bias", "kernel"]
    assert paths(nnx.to_pure_dict(state)) == ["bias", "kernel"]
    assert [leaf.shape for _, leaf in leaves_with_paths(state)] == [(3,), (2, 3)]
    assert paths({"attention": {"value": jnp.ones(1)}}) == ["attention/value"]


def test_a_prefix_covers_what_lies_below():
    tree = {"a": {"b": 1, "c": 2}, "d": 3}
    covered = broadcast_prefix({"a": "x", "d": "y"}, tree, name="it")
    assert covered == {"a": {"b": "x", "c": "x"}, "d": "y"}


def test_many_paths_are_cut_short_in_a_message():
    tree = {f"p{i:02}": 1.0 for i in range(20)}
    with pytest.raises(ValueError, match=r"'p07' and 12 more"):
        broadcast_prefix({**tree, "q": 1.0}, tree, name="it")


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        (jnp.ones(1), True),
        (jnp.ones(1, jnp.bfloat16), True),
        (1.0, True),
        (1j, True),
        (jnp.ones(1, int), False),
        (jax.ShapeDtypeStruct((1,), jnp.float32), True),
        (1, False),
        (jnp.tanh, False),
        (jax.random.key(0), False),
    ],
)
def test_is_inexact(leaf, expected):
    assert is_inexact(leaf) is expected
