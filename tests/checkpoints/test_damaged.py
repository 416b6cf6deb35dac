"""Checkpoints that are damaged, or not of this run: an error, and never other numbers.

What Orbax and Flax do not see by themselves is said in the guide.
"""

import os
import pathlib
import re
import subprocess
import sys

import flax.serialization
import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
import pytest
from checkpoint_zoo import CASES, parameters, trained
from helpers import assert_identical, cast

import optaxwd

PARAMS = parameters(CASES["adamw"])
TX = optaxwd.adamw(0.1)
LIKE = jax.eval_shape(TX.init, PARAMS)
SAVED = flax.serialization.to_bytes(trained(TX, PARAMS)[1])
WRONG_TARGET = "Build the target with the optimizer, the wrappers, the precision and"


def saved(**changes):
    return {**flax.serialization.msgpack_restore(SAVED), **changes}


def shapes(tx, params=PARAMS):
    return jax.eval_shape(tx.init, params)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            shapes(optaxwd.lionw(0.1)),
            "holds 0/nu/layers/0/b and 1 more, which the target has not",
        ),
        (
            shapes(optaxwd.adamw(0.1, anchor="init")),
            "lacks 1/anchor/layers/0/b and 1 more, which the target has",
        ),
        (
            shapes(optax.adamw(0.1)),
            "holds 1/current_weight_decay and 3 more, which the target has not",
        ),
        (
            shapes(optax.MultiSteps(TX, 2)),
            "lacks mini_step and 12 more, which the target has, and holds 0/count",
        ),
        (shapes(TX, {**PARAMS, "v": jnp.ones(1)}), "lacks 0/mu/v and 1 more"),
        (shapes(TX, {"w": PARAMS["w"]}), "holds 0/mu/layers/0/b and 1 more"),
        (shapes(TX, {**PARAMS, "layers": []}), "holds 0/mu/layers/0/b and 1 more"),
    ],
    ids=["lionw", "anchor", "optax", "wrapper", "more", "fewer", "empty"],
)
def test_other_paths_are_refused(target, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        optaxwd.restore_state(saved(), target)
    assert str(error.value).startswith("restore_state: the checkpoint ")
    assert WRONG_TARGET in str(error.value)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            shapes(TX, {**PARAMS, "w": jnp.ones((5, 2))}),
            r"0/mu/w is float32\[3, 2\], but the target has float32\[5, 2\]",
        ),
        (
            shapes(TX, cast(PARAMS, "bfloat16")),
            r"0/mu/layers/0/b is float32\[2\], but the target has bfloat16\[2\]",
        ),
        (
            shapes(optaxwd.adamw(0.1, mu_dtype="bfloat16"), PARAMS),
            r"0/mu/layers/0/b is float32\[2\], but the target has bfloat16\[2\]",
        ),
    ],
)
def test_other_arrays_are_refused(target, message):
    with pytest.raises(ValueError, match=rf"^restore_state: {message}\. Both must be"):
        optaxwd.restore_state(saved(), target)


def test_codes_are_not_taken_for_moments(tmp_path):
    """As Orbax takes them, whose targets say what to cast to."""
    params = {"w": jnp.ones((2, 256))}
    inner = optaxwd.scale_by_adam()
    state = optaxwd.compress_state(inner, "int8", min_size=256).init(params)
    like = shapes(optaxwd.compress_state(inner, "int8"), params)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state.inner_state)
        checkpointer.wait_until_finished()
        targeted = checkpointer.restore(tmp_path / "state", like.inner_state)
        plain = checkpointer.restore(tmp_path / "state")
    assert targeted.mu["w"].dtype == jnp.float32
    with pytest.raises(ValueError, match=r"mu/w is uint8\[2, 256\], but .* float32"):
        optaxwd.restore_state(plain, like.inner_state)


def test_flax_looks_at_no_shape():
    other = trained(TX, {**PARAMS, "w": jnp.ones((5, 2))})[1]
    found = flax.serialization.from_bytes(other, SAVED)
    assert found[0].mu["w"].shape == (3, 2)
    with pytest.raises(ValueError, match=r"0/mu/w is float32\[3, 2\]"):
        optaxwd.restore_state(found, other)


@pytest.mark.parametrize(
    ("restored", "message"),
    [
        (5, r"lacks 0/count and 8 more, .* holds \(root\), which"),
        (None, "lacks 0/count and 8 more, which the target has. Build"),
        ({"opt_state": saved()}, "holds opt_state/0/count and 8 more"),
        (saved(**{"0": "adam"}), "lacks 0/count and 4 more, .* holds 0, which"),
    ],
)
def test_what_is_no_state_is_refused(restored, message):
    with pytest.raises(ValueError, match=message):
        optaxwd.restore_state(restored, LIKE)


def test_what_is_no_array_is_refused():
    broken = saved()
    broken["0"]["count"] = "three"
    with pytest.raises(ValueError, match=r"0/count is a str, but the target has int32"):
        optaxwd.restore_state(broken, LIKE)
    broken["0"]["count"] = 3.0
    with pytest.raises(ValueError, match=r"0/count is float32\[\], but the target has"):
        optaxwd.restore_state(broken, LIKE)


def test_shapes_on_an_abstract_mesh_are_refused():
    mesh = jax.sharding.AbstractMesh((8,), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    like = {"w": jax.ShapeDtypeStruct((8,), jnp.float32, sharding=sharding)}
    with pytest.raises(ValueError, match="w of the target.*Pass arrays, such as"):
        optaxwd.restore_state({"w": jnp.ones(8)}, like)


def test_convert_state_says_where_stages_come_back():
    with pytest.raises(ValueError, match="pass it to restore_state first"):
        optaxwd.convert_state(saved(), shapes(optax.adamw(0.1)))


def test_bytes_that_end_early_are_refused():
    for end in range(0, len(SAVED), 5):
        with pytest.raises(ValueError, match="Unpack failed|exceeds max"):
            optaxwd.restore_state(flax.serialization.msgpack_restore(SAVED[:end]), LIKE)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no checkpoint")
    with ocp.StandardCheckpointer() as checkpointer:
        for path in (tmp_path, tmp_path / "missing"):
            with pytest.raises((FileNotFoundError, ValueError)):
                checkpointer.restore(path)


@pytest.mark.slow
def test_files_that_end_early_are_refused(tmp_path):
    """In a process of its own: Orbax leaves coroutines behind where it cannot read."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([".", "tests", *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path / "state")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for share in (None, *SHARES):
        assert f"{share}: refused" in done.stdout


SHARES = (0.0, 0.5, 0.95)
LARGE = {"w": jnp.sin(jnp.arange(2048.0)).reshape(64, 32)}  # in a file of its own


def main(directory):
    """Remove and cut one file after the other: an error, or what was saved."""
    expected = trained(TX, LARGE)[1]
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(directory, expected)
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    for share in (None, *SHARES):
        refused = set()
        for path in files:
            data = path.read_bytes()
            path.unlink()
            if share is not None:
                path.write_bytes(data[: int(share * len(data))])
            try:
                with ocp.StandardCheckpointer() as checkpointer:
                    restored = checkpointer.restore(directory)
            except Exception:
                refused.add(path.relative_to(directory).as_posix())
            else:
                like = shapes(TX, LARGE)
                assert_identical(optaxwd.restore_state(restored, like), expected, path)
            path.write_bytes(data)
        assert {"_METADATA", "manifest.ocdbt"} <= refused
        assert any(name.startswith("ocdbt.process_0/d/") for name in refused)
        print(f"{share}: refused {len(refused)} of {len(files)}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
