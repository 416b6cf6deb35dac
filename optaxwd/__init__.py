"""Weight decay for Optax, done so that you know what it does."""

from optaxwd import plots as plots
from optaxwd import rules as rules
from optaxwd.auditor import AuditError as AuditError
from optaxwd.auditor import AuditReport as AuditReport
from optaxwd.auditor import Finding as Finding
from optaxwd.auditor import LeafReport as LeafReport
from optaxwd.auditor import audit as audit
from optaxwd.optimizers import OptimizerInfo as OptimizerInfo
from optaxwd.optimizers import adafactorw as adafactorw
from optaxwd.optimizers import adam_l2 as adam_l2
from optaxwd.optimizers import adamc as adamc
from optaxwd.optimizers import adamcpr as adamcpr
from optaxwd.optimizers import adamh as adamh
from optaxwd.optimizers import adamp as adamp
from optaxwd.optimizers import adams as adams
from optaxwd.optimizers import adamspd as adamspd
from optaxwd.optimizers import adamw as adamw
from optaxwd.optimizers import adamwn as adamwn
from optaxwd.optimizers import amos as amos
from optaxwd.optimizers import convert_state as convert_state
from optaxwd.optimizers import create_optimizer as create_optimizer
from optaxwd.optimizers import decouple as decouple
from optaxwd.optimizers import lionw as lionw
from optaxwd.optimizers import list_optimizers as list_optimizers
from optaxwd.optimizers import muonh as muonh
from optaxwd.optimizers import muonw as muonw
from optaxwd.optimizers import nadamw as nadamw
from optaxwd.optimizers import restore_state as restore_state
from optaxwd.optimizers import rmsprop_l2 as rmsprop_l2
from optaxwd.optimizers import rmspropw as rmspropw
from optaxwd.optimizers import rotational_adamw as rotational_adamw
from optaxwd.optimizers import rotational_lion as rotational_lion
from optaxwd.optimizers import rotational_sgd as rotational_sgd
from optaxwd.optimizers import sgd_l2 as sgd_l2
from optaxwd.optimizers import sgdp as sgdp
from optaxwd.optimizers import sgds as sgds
from optaxwd.optimizers import sgdw as sgdw
from optaxwd.optimizers import with_weight_decay as with_weight_decay
from optaxwd.precision import CompressedState as CompressedState
from optaxwd.precision import Policy as Policy
from optaxwd.precision import PrecisionState as PrecisionState
from optaxwd.precision import RoundUpdatesState as RoundUpdatesState
from optaxwd.precision import compress_state as compress_state
from optaxwd.precision import float32_parameters as float32_parameters
from optaxwd.precision import round_updates as round_updates
from optaxwd.precision import with_master_weights as with_master_weights
from optaxwd.precision import with_precision as with_precision
from optaxwd.rules import DecayRules as DecayRules
from optaxwd.schedules import Plan as Plan
from optaxwd.schedules import ScalingComparison as ScalingComparison
from optaxwd.schedules import compare_scaling_rules as compare_scaling_rules
from optaxwd.schedules import convert_weight_decay as convert_weight_decay
from optaxwd.schedules import (
    cosine_weight_decay_schedule as cosine_weight_decay_schedule,
)
from optaxwd.schedules import cumulative_decay as cumulative_decay
from optaxwd.schedules import delayed_schedule as delayed_schedule
from optaxwd.schedules import describe as describe
from optaxwd.schedules import equilibrium_rms as equilibrium_rms
from optaxwd.schedules import equilibrium_rotation as equilibrium_rotation
from optaxwd.schedules import half_life as half_life
from optaxwd.schedules import (
    linear_weight_decay_schedule as linear_weight_decay_schedule,
)
from optaxwd.schedules import normalized_weight_decay as normalized_weight_decay
from optaxwd.schedules import predicted_rms as predicted_rms
from optaxwd.schedules import scale_weight_decay as scale_weight_decay
from optaxwd.schedules import tied_weight_decay_schedule as tied_weight_decay_schedule
from optaxwd.schedules import timescale as timescale
from optaxwd.schedules import warmup_compensated_schedule as warmup_compensated_schedule
from optaxwd.schedules import (
    warmup_compensated_weight_decay as warmup_compensated_weight_decay,
)
from optaxwd.schedules import weight_decay_from_timescale as weight_decay_from_timescale
from optaxwd.telemetry import CSVWriter as CSVWriter
from optaxwd.telemetry import DecayMonitor as DecayMonitor
from optaxwd.telemetry import DecayWarning as DecayWarning
from optaxwd.telemetry import JSONLinesWriter as JSONLinesWriter
from optaxwd.telemetry import RecordDecayState as RecordDecayState
from optaxwd.telemetry import TensorBoardWriter as TensorBoardWriter
from optaxwd.telemetry import format_telemetry as format_telemetry
from optaxwd.telemetry import read_json_lines as read_json_lines
from optaxwd.telemetry import read_telemetry as read_telemetry
from optaxwd.telemetry import record_decay as record_decay
from optaxwd.transforms import AddDecayedWeightsState as AddDecayedWeightsState
from optaxwd.transforms import ConstrainNormsState as ConstrainNormsState
from optaxwd.transforms import FreezeState as FreezeState
from optaxwd.transforms import InitialNorm as InitialNorm
from optaxwd.transforms import InitialParameters as InitialParameters
from optaxwd.transforms import Penalty as Penalty
from optaxwd.transforms import ProjectUpdatesState as ProjectUpdatesState
from optaxwd.transforms import RotateNeuronsState as RotateNeuronsState
from optaxwd.transforms import ScaleByAmosState as ScaleByAmosState
from optaxwd.transforms import ScaleByLearningRateState as ScaleByLearningRateState
from optaxwd.transforms import ScaleByNadamState as ScaleByNadamState
from optaxwd.transforms import (
    SelectiveProjectionDecayState as SelectiveProjectionDecayState,
)
from optaxwd.transforms import StableWeightDecayState as StableWeightDecayState
from optaxwd.transforms import StepOnHyperballState as StepOnHyperballState
from optaxwd.transforms import TargetNorm as TargetNorm
from optaxwd.transforms import add_decayed_weights as add_decayed_weights
from optaxwd.transforms import clip_by_global_norm as clip_by_global_norm
from optaxwd.transforms import constrain_norms as constrain_norms
from optaxwd.transforms import control_weight_norm as control_weight_norm
from optaxwd.transforms import elastic_net as elastic_net
from optaxwd.transforms import (
    enable_multi_output_fusion as enable_multi_output_fusion,
)
from optaxwd.transforms import freeze as freeze
from optaxwd.transforms import huber as huber
from optaxwd.transforms import p_norm as p_norm
from optaxwd.transforms import project_updates as project_updates
from optaxwd.transforms import rotate_neurons as rotate_neurons
from optaxwd.transforms import scale_by_adam as scale_by_adam
from optaxwd.transforms import scale_by_amos as scale_by_amos
from optaxwd.transforms import scale_by_learning_rate as scale_by_learning_rate
from optaxwd.transforms import scale_by_nadam as scale_by_nadam
from optaxwd.transforms import step_on_hyperball as step_on_hyperball
from optaxwd.transforms import (
    with_selective_projection_decay as with_selective_projection_decay,
)
from optaxwd.transforms import with_stable_weight_decay as with_stable_weight_decay
from optaxwd.tree import leaf_paths as leaf_paths
from optaxwd.tree import state_shardings as state_shardings

__version__ = "0.1.0"

__all__ = [
    "AddDecayedWeightsState",
    "AuditError",
    "AuditReport",
    "CSVWriter",
    "CompressedState",
    "ConstrainNormsState",
    "DecayMonitor",
    "DecayRules",
    "DecayWarning",
    "Finding",
    "FreezeState",
    "InitialNorm",
    "InitialParameters",
    "JSONLinesWriter",
    "LeafReport",
    "OptimizerInfo",
    "Penalty",
    "Plan",
    "Policy",
    "PrecisionState",
    "ProjectUpdatesState",
    "RecordDecayState",
    "RotateNeuronsState",
    "RoundUpdatesState",
    "ScaleByAmosState",
    "ScaleByLearningRateState",
    "ScaleByNadamState",
    "ScalingComparison",
    "SelectiveProjectionDecayState",
    "StableWeightDecayState",
    "StepOnHyperballState",
    "TargetNorm",
    "TensorBoardWriter",
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
    "add_decayed_weights",
    "amos",
    "audit",
    "clip_by_global_norm",
    "compare_scaling_rules",
    "compress_state",
    "constrain_norms",
    "control_weight_norm",
    "convert_state",
    "convert_weight_decay",
    "cosine_weight_decay_schedule",
    "create_optimizer",
    "cumulative_decay",
    "decouple",
    "delayed_schedule",
    "describe",
    "elastic_net",
    "enable_multi_output_fusion",
    "equilibrium_rms",
    "equilibrium_rotation",
    "float32_parameters",
    "format_telemetry",
    "freeze",
    "half_life",
    "huber",
    "leaf_paths",
    "linear_weight_decay_schedule",
    "lionw",
    "list_optimizers",
    "muonh",
    "muonw",
    "nadamw",
    "normalized_weight_decay",
    "p_norm",
    "predicted_rms",
    "project_updates",
    "read_json_lines",
    "read_telemetry",
    "record_decay",
    "restore_state",
    "rmsprop_l2",
    "rmspropw",
    "rotate_neurons",
    "rotational_adamw",
    "rotational_lion",
    "rotational_sgd",
    "round_updates",
    "scale_by_adam",
    "scale_by_amos",
    "scale_by_learning_rate",
    "scale_by_nadam",
    "scale_weight_decay",
    "sgd_l2",
    "sgdp",
    "sgds",
    "sgdw",
    "state_shardings",
    "step_on_hyperball",
    "tied_weight_decay_schedule",
    "timescale",
    "warmup_compensated_schedule",
    "warmup_compensated_weight_decay",
    "weight_decay_from_timescale",
    "with_master_weights",
    "with_precision",
    "with_selective_projection_decay",
    "with_stable_weight_decay",
    "with_weight_decay",
]
