"""The guide to low precision: its code runs, and what it names exists."""

import pathlib
import re
from typing import get_args

import jax
import jax.numpy as jnp
from helpers import run_python_blocks

import optaxwd
from optaxwd.precision import RoundingName, StateName

ROOT = pathlib.Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "low_precision.md").read_text()


def test_its_code_runs():
    names = run_python_blocks(GUIDE)
    params = names["params"]
    for optimizer in (names["optimizer"], names["chain"], names["masters"]):
        updates, _ = optimizer.update(params, optimizer.init(params), params)
        assert updates["kernel"].dtype == jnp.float32


def test_it_names_every_choice():
    assert all(f'`"{name}"`' in GUIDE for name in get_args(RoundingName))
    assert all(f'`"{name}"`' in GUIDE for name in get_args(StateName))


def size_of(tree):
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def test_the_bytes_that_it_names():
    """Counted from the arrays that one matrix of bfloat16 brings with it."""
    params = jnp.zeros((256, 1024), jnp.bfloat16)

    def per_parameter(policy):
        state = jax.eval_shape(optaxwd.adamw(0.1, precision=policy).init, params)
        moments, kept = state.inner_state, state.rounding.residual
        return size_of(moments) / params.size, size_of(kept) / params.size

    rows = dict(re.findall(r'\| `"(\w+)"` \| (\d) bytes \|', GUIDE))
    assert rows == {"compensated": "2", "split": "2", "master": "4"}
    for rounding in get_args(RoundingName):
        _, kept = per_parameter(optaxwd.Policy(rounding))
        assert kept == int(rows.get(rounding, 0))
    switch = GUIDE.split("## One switch")[1].split("\n## ")[0]
    rows = dict(re.findall(r'\| `"(\w+)"` \| ([\d.]+) \|', switch))
    assert set(rows) == set(get_args(StateName))
    for state, stated in rows.items():
        moments, _ = per_parameter(optaxwd.Policy(state=state))
        assert abs(moments - float(stated)) < 0.005
