"""Print which parameters decay in real networks, under the same rules in each library.

Flax Linen (layers one by one, and scanned), Flax NNX (layers stacked by vmap, and
LoRA), Equinox, Haiku. Nothing is trained; shapes are enough.

    python examples/choose_what_decays.py [NAME ...]
"""

import argparse
from collections.abc import Callable
from typing import Any

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx

import optaxwd

TOKENS = jnp.zeros((1, 3), int)


class LinenBlock(nn.Module):
    """A transformer block, in the form that ``nn.scan`` wants."""

    @nn.compact
    def __call__(self, x, _):
        """Return the block's output and nothing to collect."""
        y = nn.LayerNorm(name="ln")(x)
        x = x + nn.MultiHeadDotProductAttention(num_heads=2, name="attention")(y)
        y = nn.Dense(8, name="up")(nn.RMSNorm(name="rms")(x))
        return x + nn.Dense(4, name="down")(nn.gelu(y)), None


class LinenTransformer(nn.Module):
    """Two blocks between an embedding and the same embedding as head."""

    scanned: bool

    @nn.compact
    def __call__(self, tokens):
        """Return logits of ``tokens``."""
        embed = nn.Embed(10, 4, name="embed")
        x = embed(tokens) + self.param("pos_embedding", nn.initializers.ones, (3, 4))
        if self.scanned:
            axes: dict[str, Any] = {"variable_axes": {"params": 0}}
            axes["split_rngs"] = {"params": True}
            x, _ = nn.scan(LinenBlock, length=2, **axes)(name="blocks")(x, None)
        else:
            for i in range(2):
                x, _ = LinenBlock(name=f"block_{i}")(x, None)
        return embed.attend(nn.LayerNorm(name="ln_f")(x))


class NnxBlock(nnx.Module):
    """A transformer block's parts."""

    def __init__(self, rngs: nnx.Rngs):
        """Make the layers."""
        self.norm = nnx.LayerNorm(4, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 4, rngs=rngs, decode=False)
        self.linear = nnx.Linear(4, 4, rngs=rngs)


class NnxTransformer(nnx.Module):
    """Two stacked blocks, one that is not stacked, and an adapted head."""

    def __init__(self, rngs: nnx.Rngs):
        """Make the layers."""
        self.embed = nnx.Embed(10, 4, rngs=rngs)
        self.blocks = nnx.split_rngs(splits=2)(nnx.vmap(NnxBlock))(rngs)
        self.last = NnxBlock(rngs)
        self.head = nnx.LoRALinear(4, 10, lora_rank=1, rngs=rngs)


class EquinoxNetwork(eqx.Module):
    """Norms and linear layers, stacked and not, with leaves that are no arrays."""

    embed: eqx.nn.Embedding
    norm: eqx.nn.LayerNorm
    linear: eqx.nn.Linear
    attention: eqx.nn.MultiheadAttention
    stacked_norm: eqx.nn.LayerNorm
    stacked_linear: eqx.nn.Linear
    activation: Callable[[jax.Array], jax.Array]

    def __init__(self, key: jax.Array):
        """Make the layers."""
        keys = jax.random.split(key, 4)
        self.activation = jax.nn.gelu
        self.embed = eqx.nn.Embedding(10, 4, key=keys[0])
        self.norm = eqx.nn.LayerNorm(4)
        self.linear = eqx.nn.Linear(4, 4, key=keys[1])
        self.attention = eqx.nn.MultiheadAttention(
            2, 4, use_query_bias=True, key=keys[2]
        )
        many = jax.random.split(keys[3], 3)
        self.stacked_norm = eqx.filter_vmap(lambda _: eqx.nn.LayerNorm(4))(many)
        self.stacked_linear = eqx.filter_vmap(lambda key: eqx.nn.Linear(4, 4, key=key))(
            many
        )


def haiku_network(tokens):
    """Return the output of an embedding, an MLP and two norms."""
    x = hk.Embed(10, 4)(tokens)
    x = hk.LayerNorm(-1, create_scale=True, create_offset=True)(x)
    x = hk.nets.MLP([4, 4])(x)
    return hk.RMSNorm(-1)(x)


def linen(scanned: bool) -> Any:
    """Return the shapes of a Linen transformer's parameters."""
    model = LinenTransformer(scanned)
    return jax.eval_shape(model.init, jax.random.key(0), TOKENS)["params"]


STANDARD = optaxwd.rules.standard()
NO_EMBEDDINGS = optaxwd.rules.standard(embeddings=False, positional_embeddings=False)
NETWORKS = {
    "linen": (STANDARD, lambda: linen(scanned=False)),
    "linen-scanned": (STANDARD, lambda: linen(scanned=True)),
    "linen-tied": (NO_EMBEDDINGS, lambda: linen(scanned=True)),
    "nnx": (STANDARD, lambda: nnx.state(NnxTransformer(nnx.Rngs(0)), nnx.Param)),
    "nnx-lora": (
        optaxwd.rules.lora(),
        lambda: nnx.state(NnxTransformer(nnx.Rngs(0)).head, nnx.Param),
    ),
    "equinox": (NO_EMBEDDINGS, lambda: EquinoxNetwork(jax.random.key(0))),
    "haiku": (
        STANDARD,
        lambda: hk.transform(haiku_network).init(jax.random.key(0), TOKENS),
    ),
}


def main(argv=None):
    """Print the tables of the networks named, or of all."""
    parser = argparse.ArgumentParser(description="What decays in real networks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    names = parser.parse_args(argv).names or list(NETWORKS)
    for name in names:
        if name not in NETWORKS:
            parser.error(f"unknown network {name!r}; choose from {', '.join(NETWORKS)}")
        rules, parameters = NETWORKS[name]
        print(f"\n{name}\n{rules.explain(parameters(), weight_decay=0.1)}")
        if name == "linen-tied":
            print("embed/embedding is also the head: without decay of embeddings, the")
            print("head is spared too. One leaf cannot decay as one and not the other.")


if __name__ == "__main__":
    main()
