"""Settings that must come before any array, and fixtures for all tests."""

import os
import tempfile
import zlib

import jax
import pytest
from hypothesis import HealthCheck, settings

# Tables have one width, whatever the terminal that the tests run in.
os.environ["COLUMNS"] = "120"

# Half of the time is XLA compiling, and what is checked is the same with less of it.
# JAX_DISABLE_MOST_OPTIMIZATIONS=0 is for all of it, as in the suite of oldest versions.
if os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") != "0":
    jax.config.update("jax_disable_most_optimizations", True)
    # XLA's older emitters take less than half as long. JAX 0.12 has none, and a flag
    # that XLA does not know ends the process.
    if jax.__version_info__ <= (0, 10, 2):
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

# Tests compile the same programs again and again, and so do the processes they start:
# they share what is compiled, in a folder that goes when the first of them ends.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _COMPILED = tempfile.TemporaryDirectory(prefix="optaxwd-compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)

# `ci` draws the same examples in every run and keeps none on disk; `nightly` draws new
# ones and prints how to repeat a failure. A deadline would time the compiler.
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.register_profile(
    "nightly",
    deadline=None,
    database=None,
    max_examples=10_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def key(request):
    """A PRNG key fixed by the test's name, so that tests do not share numbers."""
    return jax.random.key(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="module")
def optimized():
    """Let XLA do all that it does, also where the tests run with less of it."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
