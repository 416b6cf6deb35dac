"""The site builds without a warning, with the sandbox beside its guide."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_site_builds(tmp_path):
    pytest.importorskip("sphinx", reason="needs the extra docs")
    # Notebooks are executed by tests of their own.
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
    command += ["-D", "nb_execution_mode=off", "-d", str(tmp_path / "trees")]
    done = subprocess.run(
        [*command, "docs", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert (site / "index.html").exists()
    sandbox = ROOT / "optaxwd" / "_commands" / "sandbox.html"
    assert (site / "play.html").read_bytes() == sandbox.read_bytes()
    assert 'href="play.html"' in (site / "sandbox.html").read_text()
