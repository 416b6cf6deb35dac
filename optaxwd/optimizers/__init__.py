"""Complete optimizers, each only a chain, and the two builders that they stand on.

This package imports ``transforms`` and below.
"""

from optaxwd.optimizers._adafactor import adafactorw as adafactorw
from optaxwd.optimizers._adam import adam_l2 as adam_l2
from optaxwd.optimizers._adam import adamw as adamw
from optaxwd.optimizers._adam import nadamw as nadamw
from optaxwd.optimizers._adam_variants import adamc as adamc
from optaxwd.optimizers._adam_variants import adamwn as adamwn
from optaxwd.optimizers._adamcpr import adamcpr as adamcpr
from optaxwd.optimizers._adamp import adamp as adamp
from optaxwd.optimizers._adamp import sgdp as sgdp
from optaxwd.optimizers._amos import amos as amos
from optaxwd.optimizers._builders import decouple as decouple
from optaxwd.optimizers._builders import with_weight_decay as with_weight_decay
from optaxwd.optimizers._convert_state import convert_state as convert_state
from optaxwd.optimizers._hyperball import adamh as adamh
from optaxwd.optimizers._hyperball import muonh as muonh
from optaxwd.optimizers._lion import lionw as lionw
from optaxwd.optimizers._muon import muonw as muonw
from optaxwd.optimizers._registry import OptimizerInfo as OptimizerInfo
from optaxwd.optimizers._registry import create_optimizer as create_optimizer
from optaxwd.optimizers._registry import list_optimizers as list_optimizers
from optaxwd.optimizers._restore_state import restore_state as restore_state
from optaxwd.optimizers._rmsprop import rmsprop_l2 as rmsprop_l2
from optaxwd.optimizers._rmsprop import rmspropw as rmspropw
from optaxwd.optimizers._rotational import rotational_adamw as rotational_adamw
from optaxwd.optimizers._rotational import rotational_lion as rotational_lion
from optaxwd.optimizers._rotational import rotational_sgd as rotational_sgd
from optaxwd.optimizers._selective import adamspd as adamspd
from optaxwd.optimizers._sgd import sgd_l2 as sgd_l2
from optaxwd.optimizers._sgd import sgdw as sgdw
from optaxwd.optimizers._stable import adams as adams
from optaxwd.optimizers._stable import sgds as sgds

__all__ = [
    "OptimizerInfo",
    "adafactorw",
    "adam_l2",
    "adamc",
    "adamcpr",
    "adamh",
    "adamp",
    "adams",
    "adamspd",
    "adamw",
    "adamwn",
    "amos",
    "convert_state",
    "create_optimizer",
    "decouple",
    "lionw",
    "list_optimizers",
    "muonh",
    "muonw",
    "nadamw",
    "restore_state",
    "rmsprop_l2",
    "rmspropw",
    "rotational_adamw",
    "rotational_lion",
    "rotational_sgd",
    "sgd_l2",
    "sgdp",
    "sgds",
    "sgdw",
    "with_weight_decay",
]
