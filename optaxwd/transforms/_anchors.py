"""What parameters decay to, if not to zero: anchors kept or computed."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optaxwd import tree
from optaxwd._checks import check_scalar_or_schedule
from optaxwd._typing import ScalarOrSchedule
from optaxwd.numerics import widen
from optaxwd.transforms._norms import nonzero, norm
from optaxwd.transforms._rates import value_at


@dataclasses.dataclass(frozen=True)
class InitialParameters:
    r"""Anchor at the parameters given to ``init``: :math:`a = \theta_0`.

    ``anchor="init"`` is this with no argument. The state holds a copy of every
    parameter that decays, and of no other: 4 bytes per float32 parameter, or 2 in
    bfloat16, which is off by up to :math:`2^{-9}|\theta_0|`; parameters then decay to
    the rounded values.

    Attributes:
      dtype: dtype of the copy; ``None``: that of the parameters. Complex parameters
        keep theirs.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> anchor = optaxwd.InitialParameters(dtype="bfloat16")
      >>> decay = optaxwd.add_decayed_weights(0.5, anchor=anchor)
      >>> state = decay.init(jnp.array([1.5]))
      >>> state.anchor.dtype.name
      'bfloat16'
      >>> updates, _ = decay.update(jnp.zeros(1), state, jnp.array([2.0]))
      >>> float(updates[0])  # 0.5 * (2 - 1.5)
      0.25

    References:
      Li et al., `Explicit Inductive Bias for Transfer Learning with Convolutional
      Networks <https://arxiv.org/abs/1802.01483>`_, 2018.
    """

    dtype: Any = None

    def __post_init__(self) -> None:
        """Raise unless the dtype is one of floating-point numbers."""
        if self.dtype is not None and not _is_floating(self.dtype):
            raise ValueError(
                "InitialParameters: dtype must be a floating-point dtype such as "
                f"'bfloat16', got {self.dtype!r}."
            )

    def keep(self, param: Any) -> Any:
        """Return what the state holds for ``param``."""
        # A copy, so that the parameters may be donated; shapes and functions are kept.
        if not isinstance(param, (jax.Array, np.ndarray)):
            return param
        narrow = tree.is_inexact(param) and not jnp.iscomplexobj(param)
        return jnp.array(param, self.dtype if narrow else None)

    def at(self, kept: Any, param: Any, count: Any) -> Any:
        """Return the anchor of ``param`` at step ``count``."""
        del param, count
        return kept


@dataclasses.dataclass(frozen=True)
class InitialNorm:
    r"""Anchor at the initial norm: :math:`a = r\|\theta_0\| \, \theta / \|\theta\|`.

    Decay to it pulls the norm of each tensor to :math:`r\|\theta_0\|`, up or down, and
    leaves its direction alone. Norms are Euclidean and of whole leaves: stacked layers
    share one. A parameter that is zero has no direction and stays. The state holds 4
    bytes per tensor.

    Attributes:
      ratio: :math:`r \ge 0`, a number, a scalar array or a schedule of the step count;
        0 is plain decay.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.sgdw(0.2, weight_decay=0.5, anchor=optaxwd.InitialNorm(0.5))
      >>> params = jnp.array([3.0, 4.0])
      >>> updates, _ = tx.update(jnp.zeros(2), tx.init(params), params)
      >>> [round(float(u), 6) for u in updates]  # -0.2 * 0.5 * (1 - 2.5/5) * params
      [-0.15, -0.2]

    References:
      Loshchilov, `Weight Norm Control <https://arxiv.org/abs/2311.11446>`_, 2023.
    """

    ratio: ScalarOrSchedule = 1.0

    def __post_init__(self) -> None:
        """Raise unless the ratio is a number >= 0 or a schedule."""
        check_scalar_or_schedule(self.ratio, "ratio", "InitialNorm")

    def keep(self, param: Any) -> Any:
        """Return what the state holds for ``param``."""
        is_array = isinstance(param, (jax.Array, np.ndarray))
        return norm(widen(param)) if is_array else jnp.zeros([])

    def at(self, kept: Any, param: Any, count: Any) -> Any:
        """Return the anchor of ``param`` at step ``count``."""
        ratio = value_at(self.ratio, count, "ratio", "InitialNorm")
        return _on_sphere(param, ratio * kept)


@dataclasses.dataclass(frozen=True)
class TargetNorm:
    r"""Anchor at a given norm: :math:`a = \nu \, \theta / \|\theta\|`.

    As :class:`InitialNorm`, with a norm ν that is told and so needs no state.

    Attributes:
      norm: :math:`\nu \ge 0`, in units of θ, a number, a scalar array or a schedule of
        the step count; one for all tensors.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.sgdw(0.2, weight_decay=0.5, anchor=optaxwd.TargetNorm(2.5))
      >>> params = jnp.array([3.0, 4.0])
      >>> updates, _ = tx.update(jnp.zeros(2), tx.init(params), params)
      >>> [round(float(u), 6) for u in updates]  # -0.2 * 0.5 * (1 - 2.5/5) * params
      [-0.15, -0.2]

    References:
      Loshchilov, `Weight Norm Control <https://arxiv.org/abs/2311.11446>`_, 2023.
    """

    norm: ScalarOrSchedule

    def __post_init__(self) -> None:
        """Raise unless the norm is a number >= 0 or a schedule."""
        check_scalar_or_schedule(self.norm, "norm", "TargetNorm")

    def keep(self, param: Any) -> Any:
        """Return what the state holds for ``param``."""
        del param
        return optax.MaskedNode()

    def at(self, kept: Any, param: Any, count: Any) -> Any:
        """Return the anchor of ``param`` at step ``count``."""
        del kept
        return _on_sphere(param, value_at(self.norm, count, "norm", "TargetNorm"))


def _is_floating(dtype: Any) -> bool:
    try:
        return jnp.issubdtype(dtype, jnp.floating)
    except TypeError:
        return False


def _on_sphere(param: Any, radius: Any) -> jax.Array:
    """Return ``param`` scaled to the norm ``radius``; a zero stays what it is."""
    wide = widen(param)
    length = norm(wide)
    return jnp.where(length != 0, radius / nonzero(length), 1) * wide
