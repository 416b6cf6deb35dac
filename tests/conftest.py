"""Settings that must come before any array, and fixtures for all tests."""

import os
import zlib

import jax
import pytest
from hypothesis import HealthCheck, settings

# Tables have one width, whatever the terminal that the tests run in.
os.environ["COLUMNS"] = "120"

# Half of the time is XLA compiling, and what is checked is the same with less of it.
# JAX_DISABLE_MOST_OPTIMIZATIONS=0 is for all of it, as in the suite of oldest versions.
if "JAX_DISABLE_MOST_OPTIMIZATIONS" not in os.environ:
    jax.config.update("jax_disable_most_optimizations", True)

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
