"""The rules of docs/porting_masks.md give the masks of the code bases they name.

The originals are written again here from what they do, on flat paths.
"""

import pathlib
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import optaxwd

GUIDE = pathlib.Path(__file__).parent.parent / "docs" / "porting_masks.md"


def rules_of(title, index=0):
    """Run the code block of a section and return its `rules`."""
    section = GUIDE.read_text().split(f"\n## {title}")[1].split("\n## ")[0]
    block = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[index]
    names = {}
    exec(compile(block, f"{GUIDE.name}: {title}", "exec"), names)
    return names["rules"]


def chosen(rules, params):
    rows = rules.explain(params).rows
    return {row.path: row.multiplier > 0 for row in rows}


FLAX = {
    "embed": {"embedding": jnp.ones((4, 2))},
    "encoder": {
        "layer_norm": {"scale": jnp.ones(2), "bias": jnp.ones(2)},
        "dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
        "attn": {"weight": jnp.ones((2, 2))},
        "final_norm": {"scale": jnp.ones(2)},
    },
    "LayerNorm_0": {"scale": jnp.ones(2), "bias": jnp.ones(2)},
    "mlp": {"weight": jnp.ones((2, 2)), "bias": jnp.ones((3, 2))},
    "pos_embed": jnp.ones((3, 2)),
    "cls_token": jnp.ones((1, 2)),
}


def big_vision(path, leaf):
    first = next((m for r, m in [(r".*/kernel$", 1.0)] if re.fullmatch(r, path)), None)
    return bool(first)


def maxtext(path, leaf):
    return not any(re.search(pattern, path) for pattern in ("bias", "norm"))


def timm(path, leaf):
    name = path.replace("/", ".")
    skipped = leaf.ndim <= 1 or name.endswith(".bias")
    return not (skipped or name in ("cls_token", "pos_embed"))


def levanter_modules(path, leaf):
    pattern = r".*attn.*weight|.*mlp.*weight"
    return re.match(pattern, path.replace("/", ".")) is not None


@pytest.mark.parametrize(
    ("title", "index", "original"),
    [
        ("big_vision", 0, big_vision),
        ("MaxText", 0, maxtext),
        ("timm", 0, timm),
        ("levanter", 1, levanter_modules),
    ],
)
def test_flax_masks(title, index, original):
    expected = {
        path: original(path, leaf)
        for path, leaf in zip(
            optaxwd.leaf_paths(FLAX), jax.tree.leaves(FLAX), strict=True
        )
    }
    assert chosen(rules_of(title, index), FLAX) == expected
    assert len(set(expected.values())) == 2


def hugging_face(params):
    """What `decay_mask_fn` does, the substring accident included."""
    flat = [tuple(path.split("/")) for path in optaxwd.leaf_paths(params)]
    norms = {
        path[-2:]
        for name in ("layernorm", "layer_norm", "ln")
        for path in flat
        if name in "".join(path).lower()
    }
    return {
        "/".join(path): path[-1] != "bias" and path[-2:] not in norms for path in flat
    }


def test_hugging_face_where_it_does_what_it_means():
    params = {
        "encoder": {
            "layer_norm": {"scale": jnp.ones(2), "bias": jnp.ones(2)},
            "dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
            "LayerNorm": {"scale": jnp.ones(2)},
        },
        "ln_f": {"scale": jnp.ones(2)},
        "final_layer_norm": {"weight": jnp.ones(2)},
    }
    rules = rules_of("Hugging Face")
    assert chosen(rules, params) == hugging_face(params)


def test_hugging_face_and_its_accident():
    params = {
        "model": {"network": {"dense": {"kernel": jnp.ones((2, 2))}}},
        "other": {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}},
        "ln": {"scale": jnp.ones(2)},
    }
    accident = hugging_face(params)
    assert not accident["model/network/dense/kernel"]
    assert not accident["other/dense/kernel"]
    ours = chosen(rules_of("Hugging Face"), params)
    assert ours["model/network/dense/kernel"] and ours["other/dense/kernel"]
    assert not ours["ln/scale"] and not ours["other/dense/bias"]


class RmsNorm(eqx.Module):
    """levanter spells it so."""

    weight: jax.Array
    bias: jax.Array


class Block(eqx.Module):
    norm: eqx.nn.LayerNorm
    rms: eqx.nn.RMSNorm
    own_rms: RmsNorm
    linear: eqx.nn.Linear

    def __init__(self, key):
        self.norm = eqx.nn.LayerNorm(2)
        self.rms = eqx.nn.RMSNorm(2)
        self.own_rms = RmsNorm(jnp.ones(2), jnp.zeros(2))
        self.linear = eqx.nn.Linear(2, 2, key=key)


class Model(eqx.Module):
    token_table: eqx.nn.Embedding
    blocks: Block

    def __init__(self, key):
        self.token_table = eqx.nn.Embedding(4, 2, key=key)
        self.blocks = eqx.filter_vmap(Block)(jax.random.split(key, 3))


def test_levanter_by_class():
    def decays(module):
        """Ask the class of the owner, as levanter does, and the leaf's name."""
        return {
            name: not (
                any(c in type(module).__name__ for c in ("Norm", "Embedding"))
                or name.endswith("bias")
            )
            for name in ("weight", "bias")
        }

    model = Model(jax.random.key(0))
    expected = {"token_table/weight": decays(model.token_table)["weight"]}
    for part in ("norm", "rms", "own_rms", "linear"):
        for name, answer in decays(getattr(model.blocks, part)).items():
            expected[f"blocks/{part}/{name}"] = answer
    params = eqx.filter(model, eqx.is_inexact_array)
    assert chosen(rules_of("levanter"), params) == expected
