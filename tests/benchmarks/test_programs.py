"""What is counted in programs, which jobs there are, and the whole of a tiny run."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks._bandwidth import BYTES, bandwidth_runner
from benchmarks._compiled import count_equations
from benchmarks._jobs import SECTIONS, SIZES, describe, jobs_of, run_job
from benchmarks._programs import JaxRunner, identity
from benchmarks._tensors import kind_of, make_tensors, names_of

ROOT = pathlib.Path(__file__).parents[2]


def test_equations_that_make_arrays():
    def f(x):
        return jax.jit(lambda y: y * 2)(x) + 1, x.sum() * 3

    assert count_equations(jax.make_jaxpr(f)(jnp.ones(3)).jaxpr) == 2


def test_the_limit_is_one_fusion_in_place():
    runner = bandwidth_runner(1 << 16)
    arguments = (jnp.ones((128, 1, 512)), runner.params, runner.state)
    compiled = runner.program.lower(*arguments).compile()
    assert compiled.as_text().count(" fusion(") == 1
    accessed = compiled.cost_analysis()["bytes accessed"]
    assert accessed / (1 << 16) == pytest.approx(BYTES, rel=1e-3)
    assert compiled.memory_analysis().alias_size_in_bytes == 12 * (1 << 16)


def test_the_identity_returns_what_it_was_given():
    runner = JaxRunner(identity(), jnp.arange(3.0), jnp.ones(2), [jnp.zeros(3)])
    runner.step()
    runner.wait()
    np.testing.assert_array_equal(runner.params, [0, 1, 2])


def test_tensors_are_the_same_each_time():
    one, other = make_tensors(10**4, 4), make_tensors(10**4, 4)
    np.testing.assert_array_equal(one.params[3], other.params[3])
    norms = [np.sqrt(sum(np.sum(leaf**2) for leaf in tree)) for tree in one.grads]
    np.testing.assert_allclose(norms, [0.5, 4.0, 1.5], rtol=0.05)
    assert one.count == pytest.approx(10**4, rel=0.03)
    names = names_of(10**4)
    assert names == sorted(names)
    assert {kind_of(name) for name in names} == {"kernel", "embedding", "bias"}


def test_jobs():
    size = SIZES["quick"]
    jobs = jobs_of(size, 2, SECTIONS)
    counts = {name: sum(job["section"] == name for job in jobs) for name in SECTIONS}
    assert counts == {
        "steps": 12,
        "leaves": 6,
        "compiled": 3,
        "memory": 5,
        "audit": 0,
    }
    assert describe(jobs[1]) == "steps, 1e5 parameters, process 1, one pass"
    assert jobs_of(SIZES["full"], 1, ["audit"]) == [{"section": "audit", "size": 10**8}]


def test_a_job_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"failed, got exit code 1:(.|\n)*KeyError"):
        run_job({"section": "leaves"})


def test_arguments(capsys):
    for wrong in (["--processes", "0"], ["--only", "nothing"], ["--quick", "--smoke"]):
        with pytest.raises(SystemExit):
            command.main(wrong)
    assert "must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "figures"),
    [
        # Over one number of parameters no curve is drawn.
        pytest.param(["--parameters", "1e4"], set(), marks=pytest.mark.slow),
        pytest.param([], {"steps.png"}, marks=pytest.mark.nightly),
    ],
    ids=["one size", "whole"],
)
def test_a_run(options, figures, tmp_path):
    output = ["--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--smoke", *options, *output],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.json",
        "report.md",
        "leaves.png",
        "bytes.png",
        "ratios.png",
    } | figures
    record = json.loads((tmp_path / "results.json").read_text())
    checked = [
        one
        for run in record["runs"]
        for case in run["result"].get("cases", {}).values()
        for one in case["equality"].values()
    ]
    assert len(checked) >= 20 and all(one["passed"] for one in checked)
    assert "## Targets" in (tmp_path / "report.md").read_text()
    assert "optaxwd cautious" in done.stdout and "(error " in done.stdout
