"""Two problems with a loud coordinate θ₁ and a quiet one, θ₂."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from docs.sandbox import _grid


class Problem(NamedTuple):
    r"""A quadratic with noise in its gradient.

    With the minimum θ*, standard normal ξ, and the ratio r of the slider,

    .. math:: g_i = r^{p_i} (\theta_i - \theta^*_i + \sigma_i r^{q_i} \xi_i)

    is the gradient of the loss ½ Σ r^p_i (θ_i − θ*_i)² and noise.

    Attributes:
      title: for the choice on the page.
      words: what the ratio says, with ``{ratio}`` in it.
      scale_power: p.
      noise: σ.
      noise_power: q.
    """

    title: str
    words: str
    scale_power: Sequence[int]
    noise: Sequence[float]
    noise_power: Sequence[int]

    def gradient(self, theta: Any, xi: Any, ratio: Any) -> Any:
        """Return g at θ with the noise ξ of one step."""
        noise = jnp.asarray(self.noise) * ratio ** jnp.asarray(self.noise_power)
        scale = ratio ** jnp.asarray(self.scale_power)
        return scale * (theta - jnp.asarray(_grid.MINIMUM) + noise * xi)


PROBLEMS = {
    "smaller": Problem(
        title="θ₂ has smaller gradients",
        words="The gradients of θ₂ are {ratio} times smaller than those of θ₁.",
        scale_power=(0, -1),
        noise=(0.3, 0.3),
        noise_power=(0, 0),
    ),
    "noisier": Problem(
        title="θ₁ has noisier gradients",
        words="The gradients of θ₁ have {ratio} times the noise of those of θ₂.",
        scale_power=(0, 0),
        noise=(0.03, 0.03),
        noise_power=(1, 0),
    ),
}


def draw_noise() -> np.ndarray:
    """Return ξ of every step, the same in all runs; shape ``(STEPS, 2)``."""
    # Of NumPy's generators only this one promises the same numbers in every version.
    return np.random.RandomState(_grid.SEED).standard_normal((_grid.STEPS, 2))
