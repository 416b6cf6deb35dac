"""Gradient transformations, one idea per file.

Each takes updates and returns updates; none knows of a complete optimizer. This
package imports ``rules``, ``schedules``, ``tree`` and below.
"""

from optaxwd.transforms._adam import scale_by_adam as scale_by_adam
from optaxwd.transforms._amos import ScaleByAmosState as ScaleByAmosState
from optaxwd.transforms._amos import amos_stage as amos_stage
from optaxwd.transforms._amos import scale_by_amos as scale_by_amos
from optaxwd.transforms._anchors import InitialNorm as InitialNorm
from optaxwd.transforms._anchors import InitialParameters as InitialParameters
from optaxwd.transforms._anchors import TargetNorm as TargetNorm
from optaxwd.transforms._clip import clip_by_global_norm as clip_by_global_norm
from optaxwd.transforms._clip import clip_factor as clip_factor
from optaxwd.transforms._clip import scale_gradients as scale_gradients
from optaxwd.transforms._constrain import ConstrainNormsState as ConstrainNormsState
from optaxwd.transforms._constrain import constrain_norms as constrain_norms
from optaxwd.transforms._constrain import constraint_stage as constraint_stage
from optaxwd.transforms._decay import AddDecayedWeightsState as AddDecayedWeightsState
from optaxwd.transforms._decay import add_decayed_weights as add_decayed_weights
from optaxwd.transforms._decay import decay_stage as decay_stage
from optaxwd.transforms._dtypes import keep_dtypes as keep_dtypes
from optaxwd.transforms._engine import read_once as read_once
from optaxwd.transforms._freeze import FreezeState as FreezeState
from optaxwd.transforms._freeze import freeze as freeze
from optaxwd.transforms._hide import parameters_only as parameters_only
from optaxwd.transforms._hyperball import StepOnHyperballState as StepOnHyperballState
from optaxwd.transforms._hyperball import hyperball_stage as hyperball_stage
from optaxwd.transforms._hyperball import step_on_hyperball as step_on_hyperball
from optaxwd.transforms._learning_rate import (
    ScaleByLearningRateState as ScaleByLearningRateState,
)
from optaxwd.transforms._learning_rate import (
    scale_by_learning_rate as scale_by_learning_rate,
)
from optaxwd.transforms._multi_output_fusion import (
    enable_multi_output_fusion as enable_multi_output_fusion,
)
from optaxwd.transforms._nadam import ScaleByNadamState as ScaleByNadamState
from optaxwd.transforms._nadam import scale_by_nadam as scale_by_nadam
from optaxwd.transforms._norm_control import (
    control_weight_norm as control_weight_norm,
)
from optaxwd.transforms._norms import root as root
from optaxwd.transforms._one_pass import OnePass as OnePass
from optaxwd.transforms._one_pass import in_one_pass as in_one_pass
from optaxwd.transforms._penalties import Penalty as Penalty
from optaxwd.transforms._penalties import elastic_net as elastic_net
from optaxwd.transforms._penalties import huber as huber
from optaxwd.transforms._penalties import p_norm as p_norm
from optaxwd.transforms._project import ProjectUpdatesState as ProjectUpdatesState
from optaxwd.transforms._project import project_stage as project_stage
from optaxwd.transforms._project import project_updates as project_updates
from optaxwd.transforms._rates import rates_at as rates_at
from optaxwd.transforms._rotate import RotateNeuronsState as RotateNeuronsState
from optaxwd.transforms._rotate import Turning as Turning
from optaxwd.transforms._rotate import rotate_neurons as rotate_neurons
from optaxwd.transforms._rotate import rotation_stage as rotation_stage
from optaxwd.transforms._rotate import unless_turned as unless_turned
from optaxwd.transforms._selective import (
    SelectiveProjectionDecayState as SelectiveProjectionDecayState,
)
from optaxwd.transforms._selective import selective_stage as selective_stage
from optaxwd.transforms._selective import (
    with_selective_projection_decay as with_selective_projection_decay,
)
from optaxwd.transforms._stable import StableWeightDecayState as StableWeightDecayState
from optaxwd.transforms._stable import stable_decay_stage as stable_decay_stage
from optaxwd.transforms._stable import (
    with_stable_weight_decay as with_stable_weight_decay,
)

__all__ = [
    "AddDecayedWeightsState",
    "ConstrainNormsState",
    "FreezeState",
    "InitialNorm",
    "InitialParameters",
    "OnePass",
    "Penalty",
    "ProjectUpdatesState",
    "RotateNeuronsState",
    "ScaleByAmosState",
    "ScaleByLearningRateState",
    "ScaleByNadamState",
    "SelectiveProjectionDecayState",
    "StableWeightDecayState",
    "StepOnHyperballState",
    "TargetNorm",
    "Turning",
    "add_decayed_weights",
    "amos_stage",
    "clip_by_global_norm",
    "clip_factor",
    "constrain_norms",
    "constraint_stage",
    "control_weight_norm",
    "decay_stage",
    "elastic_net",
    "enable_multi_output_fusion",
    "freeze",
    "huber",
    "hyperball_stage",
    "in_one_pass",
    "keep_dtypes",
    "p_norm",
    "parameters_only",
    "project_stage",
    "project_updates",
    "rates_at",
    "read_once",
    "root",
    "rotate_neurons",
    "rotation_stage",
    "scale_by_adam",
    "scale_by_amos",
    "scale_by_learning_rate",
    "scale_by_nadam",
    "scale_gradients",
    "selective_stage",
    "stable_decay_stage",
    "step_on_hyperball",
    "unless_turned",
    "with_selective_projection_decay",
    "with_stable_weight_decay",
]
