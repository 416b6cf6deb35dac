"""Which of Optax's tests are run, which are left out, and which may fail, and why."""

import fnmatch
from typing import NamedTuple


class Suite(NamedTuple):
    """A module of Optax's tests, in ``parts`` that run beside each other."""

    module: str
    parts: int = 1


# The longest come first, so that all processes end at about the same time.
SUITES = (
    Suite("optax.contrib._common_test", parts=4),
    Suite("optax._src.alias_test", parts=2),
    Suite("optax.contrib._muon_test"),
    Suite("optax.transforms._accumulation_test"),
    Suite("optax._src.float64_test"),
    Suite("optax._src.sharding_test"),
    Suite("optax._src.transform_test"),
    Suite("optax.schedules._inject_test"),
    Suite("optax.transforms._clipping_test"),
    Suite("optax.transforms._masking_test"),
    Suite("optax.transforms._conditionality_test"),
    Suite("optax.transforms._combining_test"),
    Suite("optax.transforms._adding_test"),
    Suite("optax.transforms._layouts_test"),
    Suite("optax.tree_utils._state_utils_test"),
)

# Not run, and why.
LEFT_OUT = {
    "*.alias_test.LBFGSTest.*": "L-BFGS has no counterpart here, and takes long",
    "*._common_test.ContribTest.test_optimizers*_setup_matrix_parabola*": (
        "the target of mixed tensors has such a matrix, and a vector beside it"
    ),
    "*._accumulation_test.AccumulationTest.test_multi_steps_mixed_precision0 *": (
        "the case after it is the same with mu_dtype; each compiles 180 eager steps"
    ),
}

_BY_POSITION = "looks into the state by position; ours has the decay first, in a chain"
# Run, and failing: each with its argument. An entry that no failure needs is an error.
EXCEPTIONS = {
    "*._adding_test.AddingTest.test_none_argument": (
        "passes 0 as state, because Optax's is empty for a constant λ; ours has one "
        "structure for numbers, arrays and schedules, so that a checkpoint fits all"
    ),
    "*._masking_test.MaskedTest.test_masked_state_structure": _BY_POSITION,
    "*._muon_test.MuonTest.test_dim_nums_combinations_*": _BY_POSITION,
    "*._state_utils_test.StateUtilsTest.test_adam": (
        "compares the whole state with a literal, in which the learning rate keeps "
        "nothing; ours keeps its count and value always"
    ),
    "*._state_utils_test.StateUtilsTest.test_map_non_params_to_none": (
        "compares the whole state with a literal, in which a constant λ keeps nothing"
    ),
    "*.test_optimizers_can_be_wrapped_in_inject_hyperparams*'adafactorw'*": (
        "does not name min_dim_size_to_factor as static, as the test of Optax's own "
        "adafactor does: shapes cannot be compared with a traced number"
    ),
}


def matching(name: str, patterns: dict[str, str]) -> str | None:
    """Return the first of ``patterns`` that fits the test ``name``."""
    return next((p for p in patterns if fnmatch.fnmatchcase(name, p)), None)
