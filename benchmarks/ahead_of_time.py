"""Compile steps for a GPU on a machine that has none, and count what they move.

    python -m benchmarks.ahead_of_time h100_sxm.txtpb

The argument is a description of the GPU as XLA's repository has them, in
``xla/backends/gpu/target_config/specs``. Needed besides: the packages
``jax-cuda13-plugin`` and ``jax-cuda13-pjrt`` of the version of jaxlib (with pip's
``--no-deps``), and CUDA's ``ptxas`` and ``libdevice``. Nothing is run, so there are no
times: the numbers are bytes that kernels read and write, without caches.
"""

import argparse
import contextlib
import os
import pathlib
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.experimental import topologies

import optaxwd
from benchmarks._cases import DEFAULT_FLAGS, STATES, Candidate, Case
from benchmarks._laws import LEARNING_RATE, WEIGHT_DECAY
from benchmarks._programs import step_of
from benchmarks._tensors import as_tree, names_of


def _in_8_bits(state: Any, kernel: bool) -> Candidate:
    """Return AdamW with 8-bit states, in kernels or not whatever the device is."""

    def build() -> optax.GradientTransformation:
        policy = optaxwd.Policy(state=state, key=0, kernel=kernel)
        return optaxwd.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY, precision=policy)

    return Candidate(f"optaxwd, by {'kernels' if kernel else 'XLA'}", build)


_LAYOUTS = {"1 leaf": (1, 2**26), "16 leaves": (16, 2**22), "400 leaves": (400, 2500)}
_FEW = {name: _LAYOUTS[name] for name in ("1 leaf", "16 leaves")}
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}


def _cases() -> Iterator[tuple[Case, dict[str, tuple[int, int]]]]:
    """Yield what is compiled, and as how many leaves."""
    for case in DEFAULT_FLAGS.values():
        if case is not STATES:
            yield case, _LAYOUTS
    # What a device chooses for 8 bits is there in both forms below.
    others = tuple(one for one in STATES.candidates if "8-bit" not in one.name)
    yield STATES._replace(candidates=others), _LAYOUTS
    nearest = tuple(_in_8_bits("int8", kernel) for kernel in (False, True))
    # The least that is compressed.
    yield Case("8-bit states", "", nearest), {**_FEW, "400 leaves": (400, 4096)}
    yield Case("8-bit states, bfloat16 parameters", "", nearest, "bfloat16"), _FEW
    # XLA alone compiles the random numbers of 400 leaves for a quarter of an hour.
    noisy = tuple(_in_8_bits("int8_stochastic", kernel) for kernel in (False, True))
    yield Case("8-bit states at random", "", noisy), _FEW


class Instruction(NamedTuple):
    """One line of a compiled program.

    Attributes:
      name: of its result.
      type: of its result, as XLA writes it.
      operation: such as ``fusion``.
      operands: names of what it reads.
    """

    name: str
    type: str
    operation: str
    operands: list[str]


def main() -> None:
    """Print a table of all JAX candidates."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ahead_of_time")
    parser.add_argument("target", type=pathlib.Path, help="XLA's target config")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
    topology = topologies.get_topology_desc(
        platform="cuda",
        topology="1x1x1",
        target_config=parser.parse_args().target.read_text(),
    )
    device = jax.sharding.SingleDeviceSharding(topology.devices[0])
    print(
        "| case | candidate | leaves | bytes/parameter | kernels | copies | compile |"
    )
    print("|---|---|---|---|---|---|---|")
    for case, layouts in _cases():
        for one in case.candidates:
            if one.origin == "torch":
                continue
            for layout, shape in layouts.items():
                with lowering_for(topology.devices[0].device_kind):
                    row = _row(one, shape, case.dtype, device)
                print(f"| {case.name} | {one.name} | {layout} | {row} |", flush=True)


def lowering_for(kind: str) -> Any:
    """Return a context in which JAX lowers kernels for a GPU that is not there.

    Args:
      kind: of the device, such as ``"NVIDIA H100 80GB HBM3"``.
    """
    if not hasattr(jax.sharding, "AbstractDevice"):
        return contextlib.nullcontext()
    device = jax.sharding.AbstractDevice(kind, num_cores=None, platform="gpu")
    mesh = jax.sharding.AbstractMesh((), (), abstract_device=device)
    return jax.sharding.use_abstract_mesh(mesh)


def _row(one: Candidate, shape: tuple[int, int], dtype: str, device: Any) -> str:
    leaves, size = shape
    leaf = jax.ShapeDtypeStruct((size,), jnp.dtype(dtype), sharding=device)
    params = as_tree(names_of(leaves), [leaf] * leaves)
    optimizer: optax.GradientTransformation = one.build()
    state = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
        jax.eval_shape(optimizer.init, params),
    )
    lowered = step_of(optimizer).lower(params, params, state)
    start = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - start
    moved, kernels, copies = traffic(compiled.as_text() or "")
    return f"{moved / (leaves * size):.2f} | {kernels} | {copies} | {seconds:.1f} s"


def traffic(program: str) -> tuple[int, int, int]:
    """Return the bytes that a program's kernels move, the kernels, and the copies."""
    computations = dict(_computations(program))
    entry = program[program.index("\nENTRY ") + 7 :].split(" ", 1)[0].lstrip("%")
    moved = kernels = copies = 0
    waiting = [entry]
    while waiting:
        instructions = computations[waiting.pop()]
        known = {one.name: one for one in instructions}
        for one in instructions:
            if one.operation in _FREE:
                continue
            if one.operation == "call":
                waiting.append(one.operands[-1])
                continue
            read = {_source(name, known) for name in one.operands if name in known}
            moved += _size(one.type) + sum(_size(known[name].type) for name in read)
            kernels += 1
            copies += one.operation.startswith("copy")
    return moved, kernels, copies


def _computations(program: str) -> Iterator[tuple[str, list[Instruction]]]:
    header = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
    line_form = re.compile(
        r"^  (?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$"
    )
    name, found = "", []
    for line in program.splitlines():
        if opened := header.match(line):
            name, found = opened[1], []
        elif line.startswith("}"):
            yield name, found
        elif one := line_form.match(line):
            called = re.findall(r"to_apply=%([\w.\-]+)", one[4])
            operands = re.findall(r"%([\w.\-]+)", one[4].split("), ")[0])
            found.append(Instruction(one[1], one[2], one[3], [*operands, *called]))


def _source(name: str, known: dict[str, Instruction]) -> str:
    """Return the array that a name stands for, whatever its shape is called."""
    while known[name].operation == "bitcast":
        name = known[name].operands[0]
    return name


def _size(type_: str) -> int:
    """Return the bytes of all arrays in a type."""
    total = 0
    for dtype, dimensions in re.findall(r"\b([a-z]\w*)\[([0-9,]*)\]", type_):
        bits = re.match(r"[a-z]+(\d+)", dtype)
        size = 1 if dtype == "pred" else int(bits[1]) // 8 if bits else 0
        if size == 0:
            raise ValueError(f"_size: how wide is {dtype!r}, in {type_!r}?")
        for dimension in filter(None, dimensions.split(",")):
            size *= int(dimension)
        total += size
    return total


if __name__ == "__main__":
    main()
