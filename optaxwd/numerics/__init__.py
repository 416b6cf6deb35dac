"""Arrays in, arrays out: rounding to narrower floats and codes, and what is left."""

from optaxwd.numerics._blocks import BLOCK as BLOCK
from optaxwd.numerics._blocks import dequantize as dequantize
from optaxwd.numerics._blocks import draw as draw
from optaxwd.numerics._blocks import quantize as quantize
from optaxwd.numerics._blocks import scale_shape as scale_shape
from optaxwd.numerics._codes import decode as decode
from optaxwd.numerics._codes import encode as encode
from optaxwd.numerics._rounding import round_nearest as round_nearest
from optaxwd.numerics._rounding import round_stochastic as round_stochastic
from optaxwd.numerics._rounding import spacing as spacing
from optaxwd.numerics._shardings import beside as beside
from optaxwd.numerics._shardings import fit_sharding as fit_sharding
from optaxwd.numerics._shardings import sharding_of as sharding_of
from optaxwd.numerics._shardings import with_auto_axes as with_auto_axes
from optaxwd.numerics._split import join as join
from optaxwd.numerics._split import split as split
from optaxwd.numerics._widen import as_float32 as as_float32
from optaxwd.numerics._widen import widen as widen

__all__ = [
    "BLOCK",
    "as_float32",
    "beside",
    "decode",
    "dequantize",
    "draw",
    "encode",
    "fit_sharding",
    "join",
    "quantize",
    "round_nearest",
    "round_stochastic",
    "scale_shape",
    "sharding_of",
    "spacing",
    "split",
    "widen",
    "with_auto_axes",
]
