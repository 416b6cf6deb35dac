"""Arrays in, arrays out: rounding to narrower floats, and what it leaves over."""

from optaxwd.numerics._rounding import round_nearest as round_nearest
from optaxwd.numerics._rounding import round_stochastic as round_stochastic
from optaxwd.numerics._rounding import spacing as spacing
from optaxwd.numerics._split import join as join
from optaxwd.numerics._split import split as split
from optaxwd.numerics._widen import widen as widen

__all__ = ["join", "round_nearest", "round_stochastic", "spacing", "split", "widen"]
