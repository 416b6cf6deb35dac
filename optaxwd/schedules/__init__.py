"""Schedules of λ, and planning: how strongly, over time, in whose convention.

Schedules are functions of the step count for any optimizer; the rest works on the host,
in float64, before a run starts. It imports ``_typing``, ``_checks`` and ``_tables``.
"""

from optaxwd.schedules._convert import convert_weight_decay as convert_weight_decay
from optaxwd.schedules._couplings import POWERS as POWERS
from optaxwd.schedules._cumulative import cumulative_decay as cumulative_decay
from optaxwd.schedules._cumulative import (
    warmup_compensated_schedule as warmup_compensated_schedule,
)
from optaxwd.schedules._cumulative import (
    warmup_compensated_weight_decay as warmup_compensated_weight_decay,
)
from optaxwd.schedules._describe import describe as describe
from optaxwd.schedules._equilibrium import equilibrium_rms as equilibrium_rms
from optaxwd.schedules._equilibrium import equilibrium_rotation as equilibrium_rotation
from optaxwd.schedules._equilibrium import predicted_rms as predicted_rms
from optaxwd.schedules._normalized import (
    normalized_weight_decay as normalized_weight_decay,
)
from optaxwd.schedules._plan import Equivalent as Equivalent
from optaxwd.schedules._plan import Plan as Plan
from optaxwd.schedules._scaling import ScalingComparison as ScalingComparison
from optaxwd.schedules._scaling import compare_scaling_rules as compare_scaling_rules
from optaxwd.schedules._scaling import scale_weight_decay as scale_weight_decay
from optaxwd.schedules._schedules import (
    cosine_weight_decay_schedule as cosine_weight_decay_schedule,
)
from optaxwd.schedules._schedules import delayed_schedule as delayed_schedule
from optaxwd.schedules._schedules import (
    linear_weight_decay_schedule as linear_weight_decay_schedule,
)
from optaxwd.schedules._schedules import (
    tied_weight_decay_schedule as tied_weight_decay_schedule,
)
from optaxwd.schedules._timescales import half_life as half_life
from optaxwd.schedules._timescales import timescale as timescale
from optaxwd.schedules._timescales import (
    weight_decay_from_timescale as weight_decay_from_timescale,
)
from optaxwd.schedules._walks import Walk as Walk
from optaxwd.schedules._walks import rotation_per_root_rate as rotation_per_root_rate
from optaxwd.schedules._walks import walk_of as walk_of

__all__ = [
    "POWERS",
    "Equivalent",
    "Plan",
    "ScalingComparison",
    "Walk",
    "compare_scaling_rules",
    "convert_weight_decay",
    "cosine_weight_decay_schedule",
    "cumulative_decay",
    "delayed_schedule",
    "describe",
    "equilibrium_rms",
    "equilibrium_rotation",
    "half_life",
    "linear_weight_decay_schedule",
    "normalized_weight_decay",
    "predicted_rms",
    "rotation_per_root_rate",
    "scale_weight_decay",
    "tied_weight_decay_schedule",
    "timescale",
    "walk_of",
    "warmup_compensated_schedule",
    "warmup_compensated_weight_decay",
    "weight_decay_from_timescale",
]
