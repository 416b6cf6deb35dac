"""Axes of channels and stacks: one vocabulary, strict, in every law that reads it."""

import jax
import jax.numpy as jnp
import optax
import pytest
from helpers import by_stage

import optaxwd

PARAMS = {"blocks": {"w": jnp.ones((2, 3, 4))}, "head": jnp.ones((3, 4))}
SIDE = optax.sgd(0.1)
STACKED = {
    "adamh": lambda **o: optaxwd.adamh(0.1, **o),
    "adamp": lambda **o: optaxwd.adamp(0.1, **o),
    "adamspd": lambda **o: optaxwd.adamspd(0.1, **o),
    "muonh": lambda **o: optaxwd.muonh(0.1, **o),
    "project_updates": lambda **o: optaxwd.project_updates(SIDE, **o),
    "rotate_neurons": lambda **o: optaxwd.rotate_neurons(0.1, 0.1, **o),
    "rotational_adamw": lambda **o: optaxwd.rotational_adamw(0.1, **o),
    "rotational_lion": lambda **o: optaxwd.rotational_lion(0.1, **o),
    "rotational_sgd": lambda **o: optaxwd.rotational_sgd(0.1, **o),
    "sgdp": lambda **o: optaxwd.sgdp(0.1, **o),
    "step_on_hyperball": lambda **o: optaxwd.step_on_hyperball(0.1, **o),
    "with_selective_projection_decay": lambda **o: (
        optaxwd.with_selective_projection_decay(SIDE, **o)
    ),
}
CHANNELS = [name for name in STACKED if "proj" in name[:4] or "rota" in name[:4]]
CHANNELS += ["adamp", "sgdp"]


@pytest.mark.parametrize("name", STACKED)
def test_stacked_is_strict(name):
    build = STACKED[name]
    build(stacked={"blocks/.*": 1}).init(PARAMS)
    with pytest.raises(ValueError, match=f"^{name}: stacked: .*'block/w'.* nothing"):
        build(stacked={"block/w": 1}).init(PARAMS)
    with pytest.raises(ValueError, match=f"{name}: stacked gives 4 axes .* fewer"):
        build(stacked={"blocks/w": 4}).init(PARAMS)


@pytest.mark.parametrize("name", CHANNELS)
def test_channel_axis_is_strict(name):
    build = STACKED[name]
    build(channel_axis={"head": 0, ".*": (-1,)}).init(PARAMS)
    with pytest.raises(ValueError, match=f"^{name}: channel_axis: .*shadowed"):
        build(channel_axis={".*": 0, "head": 1}).init(PARAMS)
    with pytest.raises(ValueError, match=f"{name}: .*=.2,. is not an axis of 'head'"):
        build(channel_axis=2).init(PARAMS)


@pytest.mark.parametrize("name", by_stage(STACKED, first="adamp"))
def test_a_group_need_not_have_what_patterns_name(name):
    def build():
        return STACKED[name](stacked={"blocks/.*": 1})

    labels = {"blocks": {"w": "x"}, "head": "y"}
    for tx in (
        optax.partition({"x": build(), "y": build()}, labels),
        optax.masked(build(), {"blocks": {"w": False}, "head": True}),
    ):
        state = tx.init(PARAMS)
        updates, _ = tx.update(PARAMS, state, PARAMS)
        assert jax.tree.structure(updates) == jax.tree.structure(PARAMS)
