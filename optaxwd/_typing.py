"""Type aliases, all built on Optax's public types."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import optax

Scalar: TypeAlias = float | jax.Array
ScalarOrSchedule: TypeAlias = Scalar | Callable[[Any], Any]

# A tree of bools shaped like the parameters, a prefix of such a tree, or a
# function of the parameters that returns one.
Mask: TypeAlias = Any

Coupling: TypeAlias = Literal[
    "l2", "learning_rate", "independent", "constant", "corrected"
]

Preconditioner: TypeAlias = optax.GradientTransformation
Optimizer: TypeAlias = optax.GradientTransformationExtraArgs
