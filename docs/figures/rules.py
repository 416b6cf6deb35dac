"""Which parameters of a small transformer decay, kind by kind."""

import collections

import jax
import jax.numpy as jnp

import optaxwd
from docs.figures._common import panels
from optaxwd.plots._style import BLUE, ORANGE

WIDTH, VOCABULARY, LAYERS = 256, 4_096, 4
SAID = {
    "kernel": "kernels",
    "embedding": "embeddings",
    "bias": "biases: a shift",
    "scale": "norm scales: a unit",
}


def _parameters():
    def shape(*sizes):
        return jax.ShapeDtypeStruct(sizes, jnp.float32)

    def dense(before, after):
        return {"kernel": shape(before, after), "bias": shape(after)}

    def norm():
        return {"scale": shape(WIDTH), "bias": shape(WIDTH)}

    def block():
        return {
            "ln_1": norm(),
            "attention": dense(WIDTH, 4 * WIDTH),
            "ln_2": norm(),
            "up": dense(WIDTH, 4 * WIDTH),
            "down": dense(4 * WIDTH, WIDTH),
        }

    blocks = {f"block_{index}": block() for index in range(LAYERS)}
    embed = {"embedding": shape(VOCABULARY, WIDTH)}
    return {"embed": embed, **blocks, "ln_f": norm()}


def draw():
    """Draw the picture."""
    params = _parameters()
    mask = optaxwd.rules.standard().mask(params)
    sizes, decays = collections.Counter(), {}
    leaves = jax.tree.leaves_with_path(params)
    for (path, leaf), decay in zip(leaves, jax.tree.leaves(mask), strict=True):
        kind = path[-1].key
        sizes[kind] += leaf.size
        decays[kind] = decay
    figure, axes = panels(1, height=2.4)
    for at, kind in enumerate(SAID):
        style = {"color": BLUE} if decays[kind] else {"color": ORANGE, "hatch": "///"}
        axes.barh(at, sizes[kind], edgecolor="black", **style)
        verdict = "decay" if decays[kind] else "are left alone"
        axes.text(sizes[kind] * 1.15, at, f"{sizes[kind]:,} {verdict}", va="center")
    axes.set_yticks(range(len(SAID)), list(SAID.values()))
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(1e3, 1e8)
    axes.set_xlabel("parameters of a transformer, 4 layers of width 256")
    axes.set_title("rules.standard()")
    return figure
