"""Low-precision parameters and states that lose neither decay nor gradient."""

from optaxwd.precision._compress import CompressedState as CompressedState
from optaxwd.precision._compress import compress_state as compress_state
from optaxwd.precision._policy import Policy as Policy
from optaxwd.precision._policy import Precision as Precision
from optaxwd.precision._policy import RoundingName as RoundingName
from optaxwd.precision._policy import StateName as StateName
from optaxwd.precision._round_updates import round_updates as round_updates
from optaxwd.precision._rounder import RoundUpdatesState as RoundUpdatesState
from optaxwd.precision._with_precision import PrecisionState as PrecisionState
from optaxwd.precision._with_precision import apply_precision as apply_precision
from optaxwd.precision._with_precision import float32_parameters as float32_parameters
from optaxwd.precision._with_precision import with_master_weights as with_master_weights
from optaxwd.precision._with_precision import with_precision as with_precision

__all__ = [
    "CompressedState",
    "Policy",
    "Precision",
    "PrecisionState",
    "RoundUpdatesState",
    "RoundingName",
    "StateName",
    "apply_precision",
    "compress_state",
    "float32_parameters",
    "round_updates",
    "with_master_weights",
    "with_precision",
]
