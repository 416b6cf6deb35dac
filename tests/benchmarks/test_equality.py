"""The check against NumPy: it passes what is right, and what is wrong fails."""

import ml_dtypes
import numpy as np
import optax
import pytest

from benchmarks import _torch
from benchmarks._cases import ADAMW, CASES, CLIP, VARIANTS, Candidate, Case
from benchmarks._equality import check
from benchmarks._laws import FLOAT32, MAX_NORM, MULTIPLIERS, Law
from benchmarks._steps import build_runners, check_all
from benchmarks._tensors import Tensors, make_tensors

TENSORS = make_tensors(4 * 1024, 4)


def errors_of(candidate, case=ADAMW):
    """Return the equality of one candidate."""
    case = case._replace(candidates=(candidate,))
    tensors = TENSORS.rounded(case.dtype)
    runners, _ = build_runners(case, tensors)
    return check_all(case, runners, tensors)[candidate.name]


def test_first_step_by_hand():
    # Adam's first step is η·sign(g), decay is η·λ·θ: 2 - 1e-3 - 1e-4 * 2.
    tensors = Tensors(["0/kernel"], [np.full((1, 4), 2.0)], [[np.full((1, 4), 0.3)]])
    found = [np.full(4, 1.9988)]
    assert check(found, tensors, Law(), FLOAT32, 1).largest < 1e-4
    # A bias does not decay: 2 - 1e-3.
    tensors = tensors._replace(names=["0/bias"])
    law = Law(multipliers=MULTIPLIERS)
    assert check([np.full(4, 1.999)], tensors, law, FLOAT32, 1).passed
    assert not check(found, tensors, law, FLOAT32, 1).passed


@pytest.mark.parametrize("case", [ADAMW, VARIANTS, CLIP], ids=lambda case: case.name)
def test_candidates_are_right(case: Case):
    for candidate in case.candidates:
        if candidate.origin == "torch" and _torch.reason_to_skip():
            continue
        found = errors_of(candidate, case)
        assert found.passed, (candidate.name, found)
        assert found.compared + found.undecided == TENSORS.count


@pytest.mark.parametrize(
    "wrong",
    [
        optax.adam(1e-3),
        optax.adamw(1e-3, weight_decay=0.11),
        optax.adamw(1.01e-3, weight_decay=0.1),
        optax.adamw(1e-3, b2=0.99, weight_decay=0.1),
        optax.chain(
            optax.clip_by_global_norm(MAX_NORM), CASES["adamw"]["optax"].build()
        ),
        optax.set_to_zero(),
        optax.scale(float("nan")),
    ],
)
def test_a_wrong_candidate_fails(wrong):
    assert not errors_of(Candidate("optax", lambda: wrong)).passed


def test_every_law_differs_from_plain_adamw():
    plain = ADAMW["optaxwd"]
    for case in (VARIANTS, CLIP):
        for candidate in case.candidates:
            if candidate.law != Law():
                assert not errors_of(plain._replace(law=candidate.law)).passed, (
                    candidate
                )


def test_bfloat16_values_are_shared():
    rounded = TENSORS.rounded("bfloat16")
    for leaf in (*rounded.params, *rounded.grads[0]):
        again = leaf.astype(ml_dtypes.bfloat16).astype(np.float32)
        np.testing.assert_array_equal(leaf, again)


def test_torch_may_be_missing(monkeypatch):
    monkeypatch.setattr(_torch, "reason_to_skip", lambda: "torch is not installed")
    runners, skipped = build_runners(ADAMW, TENSORS)
    assert list(runners) == ["optax", "optaxwd"]
    assert skipped["torch fused"] == "torch is not installed"
