"""Where Optax's own tests are: in the installed wheel, or else in the sdist."""

import importlib
import importlib.metadata
import importlib.util
import pathlib
import subprocess
import sys
import tarfile

VERSION = importlib.metadata.version("optax")


def provide_tests(module: str, folder: pathlib.Path) -> None:
    """Make ``module``, a module of Optax's tests, importable beside Optax.

    Optax's wheels bring their tests. Of a version whose wheel does not, the source
    distribution is fetched into ``folder``.
    """
    if importlib.util.find_spec(module) is not None:
        return
    package = module.rpartition(".")[0]
    root = fetch_source(folder)
    path = importlib.import_module(package).__path__
    path.append(str(root.joinpath(*package.split("."))))
    importlib.invalidate_caches()


def fetch_source(folder: pathlib.Path) -> pathlib.Path:
    """Fetch the sdist of the installed Optax with pip and return its root."""
    root = folder / f"optax-{VERSION}"
    if root.is_dir():
        return root
    command = ["-m", "pip", "download", "--no-deps", "--no-binary=optax"]
    done = subprocess.run(
        [sys.executable, *command, f"--dest={folder}", f"optax=={VERSION}"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise OSError(f"pip cannot fetch the source of optax {VERSION}: {done.stderr}")
    with tarfile.open(folder / f"optax-{VERSION}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return root
