"""What docs/performance.md says of bytes on CPUs is what the compiled programs move."""

import pathlib
import re

import jax
import jax.numpy as jnp
import optax
import pytest
from helpers import bytes_per_parameter, run_python_blocks

import optaxwd

GUIDE = (pathlib.Path(__file__).parent.parent / "docs" / "performance.md").read_text()
CLIP = optax.clip_by_global_norm(1.0)
ROWS = {
    "AdamW": (optax.adamw(1e-3), optaxwd.adamw(1e-3)),
    "with an anchor": (None, optaxwd.adamw(1e-3, anchor="init")),
    "clipped by the global norm": (
        optax.chain(CLIP, optax.adamw(1e-3)),
        optaxwd.adamw(1e-3, max_grad_norm=1.0),
    ),
    "NAdamW": (optax.nadamw(1e-3), optaxwd.nadamw(1e-3)),
    "Lion": (optax.lion(1e-3), optaxwd.lionw(1e-3)),
    "SGD with momentum": (optax.sgd(1e-3, 0.9), optaxwd.sgdw(1e-3, 0.9)),
    "RMSProp": (optax.rmsprop(1e-3), optaxwd.rmspropw(1e-3)),
    "AdamW, bfloat16": (optax.adamw(1e-3), optaxwd.adamw(1e-3)),
    "the same, clipped": (
        optax.chain(CLIP, optax.adamw(1e-3)),
        optaxwd.adamw(1e-3, max_grad_norm=1.0),
    ),
}
pytestmark = [
    pytest.mark.usefixtures("optimized"),
    pytest.mark.skipif(
        jax.__version_info__[:2] != (0, 10), reason="its numbers are those of JAX 0.10"
    ),
]


def told():
    rows = re.findall(r"^\| ([^|]+) \| \d+ \| (\S+) \| (\d+) \| \d+ \|$", GUIDE, re.M)
    return {name: (theirs, int(ours)) for name, theirs, ours in rows}


def test_every_row_is_checked():
    options = {
        "with rules, multipliers, `cautious`, another coupling, `form` or `penalty`"
    }
    assert set(told()) == set(ROWS) | options


@pytest.mark.parametrize("name", ROWS)
def test_bytes_are_as_told(name):
    dtype = (
        "bfloat16" if name in ("AdamW, bfloat16", "the same, clipped") else "float32"
    )
    for optimizer, words in zip(ROWS[name], told()[name], strict=True):
        if optimizer is None:
            assert words == "–"
        else:
            got = bytes_per_parameter(optimizer, {"w": jnp.zeros((256, 256), dtype)})
            assert got == pytest.approx(float(words), abs=0.1)


def test_its_code_runs(capsys):
    run_python_blocks(GUIDE)
    assert round(float(capsys.readouterr().out)) == 44
