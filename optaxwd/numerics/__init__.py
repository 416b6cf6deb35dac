"""Arrays in, arrays out: rounding to narrower floats."""

from optaxwd.numerics._rounding import round_nearest as round_nearest
from optaxwd.numerics._rounding import round_stochastic as round_stochastic
from optaxwd.numerics._rounding import spacing as spacing

__all__ = ["round_nearest", "round_stochastic", "spacing"]
