"""Write the golden checkpoints of this version: states, and where they lead.

    python tests/write_golden.py [--overwrite]

A version's files are kept for good. ``--overwrite`` is for a version that nobody has
yet: after a change of a state's names, shapes or dtypes, raise the version or, where
the version is out, add what reads the old files first.
"""

import argparse
import pathlib

import flax.serialization
from checkpoint_zoo import CASES, parameters, trained

import optaxwd

GOLDEN = pathlib.Path(__file__).parent / "checkpoints" / "golden"
SAVED, END = 2, 5  # steps


def golden(name):
    """Return what a file holds: a run after two steps, and its parameters after five.

    All of it in the dicts of ``flax.serialization``, which know no classes.
    """
    case = CASES[name]
    tx = case.build()
    params, state = trained(tx, parameters(case), stop=SAVED)
    end, _ = trained(tx, params, state, start=SAVED, stop=END)
    return flax.serialization.to_state_dict(
        {"params": params, "state": state, "end": end}
    )


def main(argv=None):
    """Write one file per case into the folder of the current version."""
    parser = argparse.ArgumentParser(description="Write golden checkpoints.")
    parser.add_argument("--overwrite", action="store_true")
    overwrite = parser.parse_args(argv).overwrite
    directory = GOLDEN / optaxwd.__version__
    if directory.exists() and not overwrite:
        parser.error(f"{directory} exists; --overwrite if nobody has that version yet")
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        path.unlink()
    for name in CASES:
        data = flax.serialization.msgpack_serialize(golden(name))
        (directory / f"{name}.msgpack").write_bytes(data)
    print(f"{len(CASES)} files: {directory}")


if __name__ == "__main__":
    main()
