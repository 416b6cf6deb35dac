"""What one leaf of a factory's optimizers showed in the probes."""

import dataclasses

import numpy as np

from optaxwd.auditor import _fits as fits
from optaxwd.auditor._scripts import carry_from, moving


@dataclasses.dataclass
class Seen:
    """What one leaf showed: `pull`, what λ adds to the updates, and `base`, the rest.

    Arrays of shape ``(steps, size)``. Suffixes: `a`, `b`: two sets of parameters under
    one sequence of gradients; `other`, `large`: `a` under other and under
    eight-fold gradients; `carry`: `a`, then zeros;
    `moving`: from `a` to `b`; `double`: twice `a`; `decay_2`,
    `rate_2`: λ and the learning rate doubled. `scheduled` and `held` are pull and base
    under a learning rate that halves at each step (``None``: not accepted) and under
    one gradient held; `held_negative` is the base under that gradient negated.
    """

    start: np.ndarray
    a: np.ndarray
    b: np.ndarray
    grads: np.ndarray
    pull_a: np.ndarray
    pull_b: np.ndarray
    pull_other: np.ndarray
    pull_large: np.ndarray
    pull_carry: np.ndarray
    pull_moving: np.ndarray
    pull_decay_2: np.ndarray
    pull_rate_2: np.ndarray
    base_a: np.ndarray
    base_b: np.ndarray
    base_other: np.ndarray
    base_large: np.ndarray
    base_carry: np.ndarray
    base_moving: np.ndarray
    base_double: np.ndarray
    base_rate_2: np.ndarray
    scheduled: tuple[np.ndarray, np.ndarray] | None
    held: tuple[np.ndarray, np.ndarray]
    held_negative: np.ndarray
    rest_is_finite: bool
    plain_rest_is_finite: bool
    learning_rate: np.ndarray
    weight_decay: float

    @property
    def floor(self) -> float:
        """Size of what rounding leaves of a difference of two updates."""
        size = np.max(np.abs(self.base_a), initial=0.0) + self.pull_size
        return fits.ROUNDING * float(size)

    @property
    def pull_size(self) -> float:
        """Largest entry of the pull."""
        return float(np.max(np.abs(self.pull_a), initial=0.0))

    @property
    def carried(self) -> np.ndarray:
        """Parameters of the carry probe."""
        params = np.array(np.broadcast_to(self.a, self.pull_carry.shape))
        params[carry_from(len(params)) :] = 0.0
        return params

    @property
    def moving(self) -> np.ndarray:
        """Parameters of the probe in which they move."""
        return moving(self.a, self.b, len(self.pull_moving))

    @property
    def is_finite(self) -> bool:
        """Whether every update under generic gradients is finite."""
        pulls = (self.pull_a, self.pull_b, self.pull_other, self.pull_large)
        return all(np.isfinite(pull).all() for pull in pulls)

    @property
    def is_untouched(self) -> bool:
        """Whether λ changes nothing."""
        pulls = (
            self.pull_a,
            self.pull_b,
            self.pull_other,
            self.pull_large,
            self.pull_carry,
            self.pull_moving,
        )
        return all(fits.is_zero(pull, self.floor) for pull in pulls)

    @property
    def ascends(self) -> bool:
        """Whether the optimizer without decay goes along the gradient."""
        return fits.goes_along(self.held[1] - self.held_negative, self.grads[0])

    @property
    def decays_before_it_learns(self) -> bool:
        """Whether decay acts in a step whose update no gradient changes."""
        unmoved = np.all(self.held[1] == self.held_negative, axis=1)
        acts = np.max(np.abs(self.held[0]), axis=1, initial=0.0) > self.floor
        return bool(np.any(unmoved & acts))
