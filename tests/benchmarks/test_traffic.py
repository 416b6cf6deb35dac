"""Bytes that a compiled program moves, counted in its text."""

import pytest

from benchmarks.ahead_of_time import traffic

PROGRAM = """HloModule jit_step

%fused (p: f32[8,4], q: bf16[32]) -> (f32[8,4], pred[32]) {
  %p = f32[8,4]{1,0} parameter(0)
  ROOT %t = (f32[8,4]{1,0}, pred[32]{0}) tuple(%p, %p)
}

ENTRY %main (a: f32[8,4], b: bf16[32]) -> f32[8,4] {
  %a = f32[8,4]{1,0} parameter(0)
  %b = bf16[32]{0} parameter(1)
  %v = f32[32]{0} bitcast(%a)
  %both = (f32[8,4]{1,0}, pred[32]{0}) fusion(%a, %v, %b), kind=kLoop, calls=%fused
  %first = f32[8,4]{1,0} get-tuple-element(%both), index=0
  ROOT %copy.1 = f32[8,4]{1,0} copy(%first)
}
"""


def test_by_hand():
    # The fusion reads a once, whatever its shape is called, and b; and writes two.
    fusion = (128 + 64) + (128 + 32)
    copy = 128 + 128
    assert traffic(PROGRAM) == (fusion + copy, 2, 1)


def test_what_is_not_known_is_no_nothing():
    with pytest.raises(ValueError, match="how wide is 'token'"):
        traffic(PROGRAM.replace("pred[32]", "token[32]"))
    narrow, _, _ = traffic(PROGRAM.replace("pred[32]", "f8e4m3fn[32]"))
    assert narrow == traffic(PROGRAM)[0]
