"""All that is compared, in one table, and the thresholds that hold for all of it."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import optax

import optaxwd
from benchmarks import _torch
from benchmarks._laws import (
    B1,
    B2,
    BFLOAT16_PARAMETERS,
    BFLOAT16_STATE,
    EPS,
    FLOAT32,
    INT8,
    LEARNING_RATE,
    MAX_NORM,
    MULTIPLIERS,
    PEAK_LEARNING_RATE,
    WEIGHT_DECAY,
    Law,
    Tolerance,
)

Library = Literal["optax", "optaxwd", "torch", "limit"]


class Candidate(NamedTuple):
    """One way to take a step.

    Attributes:
      name: unique within its case, the library's name first.
      build: for JAX ``() -> GradientTransformation``, for torch from a list of
        tensors to an optimizer of torch's.
      law: what it should compute.
      tolerance: how well.
    """

    name: str
    build: Callable[..., Any]
    law: Law = Law()
    tolerance: Tolerance = FLOAT32

    @property
    def origin(self) -> str:
        """Whose it is."""
        return self.name.split()[0]


class Case(NamedTuple):
    """Candidates that are measured in turns, by one process.

    Attributes:
      name: what they have in common.
      reference: name of the candidate that others are divided by.
      candidates: all of them.
      dtype: of parameters and gradients.
      bytes: that a step cannot do without, per parameter; ``None``: no floor is drawn.
      limit: whether the memory's bandwidth is measured in turns with them.
    """

    name: str
    reference: str
    candidates: tuple[Candidate, ...]
    dtype: str = "float32"
    bytes: float | None = None
    limit: bool = False

    @property
    def ours(self) -> list[str]:
        """The names of the candidates that are optaxwd's."""
        return [one.name for one in self.candidates if one.origin == "optaxwd"]

    @property
    def peers(self) -> list[str]:
        """The names of the others."""
        return [one.name for one in self.candidates if one.origin != "optaxwd"]

    def __getitem__(self, name: Any) -> Any:
        """Return a candidate by its name."""
        if not isinstance(name, str):
            return tuple.__getitem__(self, name)
        return next(one for one in self.candidates if one.name == name)


def _ours(**options: Any) -> Callable[[], optax.GradientTransformation]:
    options = {"weight_decay": WEIGHT_DECAY, **options}
    return lambda: optaxwd.adamw(LEARNING_RATE, B1, B2, EPS, **options)


def _optax() -> optax.GradientTransformation:
    return optax.adamw(LEARNING_RATE, B1, B2, EPS, weight_decay=WEIGHT_DECAY)


def _optax_clipped() -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(MAX_NORM), _optax())


def _rules() -> optaxwd.DecayRules:
    return optaxwd.DecayRules(
        [(rf".*/{kind}", multiplier) for kind, multiplier in MULTIPLIERS.items()],
        strict=False,
    )


_RATE = Law().rate
_CLIPPED = Law(max_norm=MAX_NORM)
_TORCH = (
    Candidate("torch fused", _torch.adamw(fused=True)),
    Candidate("torch foreach", _torch.adamw(foreach=True)),
)

ADAMW = Case(
    "adamw",
    "optax",
    (Candidate("optax", _optax), Candidate("optaxwd", _ours()), *_TORCH),
    bytes=28,
    limit=True,
)
VARIANTS = Case(
    "variants",
    "optaxwd",
    (
        Candidate("optaxwd", _ours()),
        Candidate(
            "optaxwd rules, multipliers",
            lambda: _ours(mask=_rules())(),
            Law(multipliers=MULTIPLIERS),
        ),
        Candidate("optaxwd cautious", _ours(cautious=True), Law(cautious=True)),
        Candidate(
            "optaxwd independent",
            _ours(
                coupling="independent",
                peak_learning_rate=PEAK_LEARNING_RATE,
                weight_decay=1e-4,
            ),
            Law(rate=LEARNING_RATE / PEAK_LEARNING_RATE * 1e-4),
        ),
        Candidate(
            "optaxwd corrected",
            _ours(coupling="corrected", peak_learning_rate=PEAK_LEARNING_RATE),
            Law(rate=_RATE * LEARNING_RATE / PEAK_LEARNING_RATE),
        ),
        Candidate("optaxwd anchor", _ours(anchor="init"), Law(anchored=True)),
    ),
)
CLIP = Case(
    "clip + adamw",
    "optax",
    (
        Candidate("optax", _optax_clipped, _CLIPPED),
        Candidate("optaxwd", _ours(max_grad_norm=MAX_NORM), _CLIPPED),
        Candidate("torch fused", _torch.adamw(fused=True), _CLIPPED),
    ),
    bytes=32,
)
STATES = Case(
    "compressed states",
    "optax",
    (
        Candidate("optax", _optax),
        Candidate(
            "optaxwd 8-bit states",
            _ours(precision=optaxwd.Policy(state="int8")),
            tolerance=INT8,
        ),
        Candidate(
            "optaxwd bfloat16 states",
            _ours(precision=optaxwd.Policy(state="bfloat16", key=0)),
            tolerance=BFLOAT16_STATE,
        ),
    ),
)
BFLOAT16 = Case(
    "bfloat16 parameters",
    "optax",
    (
        Candidate("optax", _optax, tolerance=BFLOAT16_PARAMETERS),
        Candidate("optaxwd split", _ours(precision="split")),
        Candidate(
            "torch fused", _torch.adamw(fused=True), tolerance=BFLOAT16_PARAMETERS
        ),
    ),
    dtype="bfloat16",
)
# What a process measures that compiles with the flag: the same two, under new names.
ONE_PASS = ADAMW._replace(name="one pass: adamw")
ONE_PASS_CLIP = CLIP._replace(name="one pass: clip + adamw")

DEFAULT_FLAGS = {c.name: c for c in (ADAMW, VARIANTS, CLIP, STATES, BFLOAT16)}
WITH_FLAG = {case.name: case for case in (ONE_PASS, ONE_PASS_CLIP)}
CASES = {**DEFAULT_FLAGS, **WITH_FLAG}

LEAVES_OF_STEPS = 16
TIE = 0.10  # Ratios closer to 1 than this are ties.
DRIFT = 0.20  # Of the reference between halves of a run, above which it is refused.
ATTEMPTS = 3
BUSY = 0.10  # Share of the processors that others had, above which a report warns.
CHECKED_STEPS = 5
