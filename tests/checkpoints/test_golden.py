"""States that earlier versions wrote: today's code opens them and trains on."""

import flax.serialization
import jax
import numpy as np
import pytest
from checkpoint_zoo import CASES, parameters, trained
from helpers import assert_close, describe
from test_contracts import COMPOSED
from write_golden import END, GOLDEN, SAVED

import optaxwd
from optaxwd.tree import leaves_with_paths, path_string

# Those of an unreleased version are written anew as long as nobody has them.
VERSIONS = sorted(
    (path.name for path in GOLDEN.iterdir()),
    key=lambda name: tuple(map(int, name.split("."))),
)
CHANGED = (
    "the states of {name} have changed since version {version}. Checkpoints are a "
    "public format: let restore_state or convert_state read the old names, raise the "
    "version, and run `python tests/write_golden.py`."
)


def read(version, name):
    data = (GOLDEN / version / f"{name}.msgpack").read_bytes()
    return flax.serialization.msgpack_restore(data)


def opened(version, name, tx):
    """Return parameters and state of a golden file, in today's classes."""
    file = read(version, name)
    params = parameters(CASES[name])
    like = {"params": params, "state": jax.eval_shape(tx.init, params)}
    run = {key: file[key] for key in like}
    return optaxwd.restore_state(run, like), optaxwd.restore_state(file["end"], params)


def files():
    for version in VERSIONS:
        for path in sorted((GOLDEN / version).iterdir()):
            slow = path.stem in COMPOSED or path.stem not in optaxwd.list_optimizers()
            yield pytest.param(
                version,
                path.stem,
                marks=[pytest.mark.slow] if slow else [],
                id=f"{version}-{path.stem}",
            )


@pytest.mark.parametrize(("version", "name"), list(files()))
def test_every_version_opens_and_trains_on(version, name):
    tx = CASES[name].build()
    run, end = opened(version, name, tx)
    found, _ = trained(tx, run["params"], run["state"], start=SAVED, stop=END)
    # XLA orders sums and Newton-Schulz iterations anew from version to version.
    assert_close(found, jax.device_get(end), steps=20, message=f"{version} {name}")
    moved = jax.tree.map(
        lambda a, b: np.abs(np.float64(a) - np.float64(b)).max(), end, run["params"]
    )
    assert any(jax.tree.leaves(moved)), "nothing has been trained"


def test_every_case_has_a_file():
    files = {path.stem for path in (GOLDEN / VERSIONS[-1]).iterdir()}
    assert files == set(CASES)


def names(tree):
    return {path_string(path): leaf for path, leaf in leaves_with_paths(tree)}


@pytest.mark.parametrize("name", CASES)
def test_today_s_states_are_the_newest_golden_ones(name):
    case = CASES[name]
    today = jax.eval_shape(case.build().init, parameters(case))
    golden = read(VERSIONS[-1], name)["state"]
    assert describe(names(golden)) == describe(names(today)), CHANGED.format(
        name=name, version=VERSIONS[-1]
    )


def test_files_are_small():
    assert sum(p.stat().st_size for p in GOLDEN.rglob("*.msgpack")) < 200_000
