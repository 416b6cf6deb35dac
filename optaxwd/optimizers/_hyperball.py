"""Adam and Muon on the hyperball: matrices keep their norm, and nothing decays."""

from collections.abc import Mapping
from typing import Any

import jax
import optax

from optaxwd._checks import check_decay_factor, one_mask
from optaxwd._typing import Mask, Scalar, ScalarOrSchedule
from optaxwd.optimizers._assemble import complete
from optaxwd.optimizers._muon import muon_groups, numbers_of_matrices, orthogonalise
from optaxwd.precision import Precision
from optaxwd.rules import resolve_decays
from optaxwd.transforms import hyperball_stage, scale_by_adam


def adamh(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: Any = None,
    mask: Mask = None,
    *,
    nesterov: bool = False,
    adam_learning_rate: ScalarOrSchedule | None = None,
    stacked: Mapping[Any, int] | None = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam Hyperball: matrices keep their initial norm, and nothing decays.

    For a matrix of initial norm R, with Adam's direction u and
    :math:`\mathrm{N}(x) = x / \|x\|`,

    .. math:: \theta \leftarrow R \, \mathrm{N}(\theta - \eta_t R \, \mathrm{N}(u))

    All other parameters take Adam's step. See :func:`step_on_hyperball` for what
    becomes of matrices that start at 0, and for how this deviates from the paper.

    Args:
      learning_rate: :math:`\eta_t` of the matrices, relative to their norm, so about
        the angle of a step: a number, a scalar array or a schedule. A start is
        :math:`\sqrt{\eta\lambda}` of the AdamW that this replaces.
      b1, b2, eps, eps_root, mu_dtype: as in :func:`scale_by_adam`.
      mask: which parameters keep their norm; see :func:`step_on_hyperball`. ``None``:
        those of two or more dimensions, embeddings among them.
      nesterov: use Nesterov momentum, as in :func:`nadamw`.
      adam_learning_rate: the learning rate of all others, not relative to anything;
        ``None``: ``learning_rate``, which is mostly too large for them.
      stacked, weight_decay_mask: as in :func:`step_on_hyperball`.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: Adam's, 4 bytes, and 4
      bytes per matrix.

    Raises:
      ValueError: as :func:`step_on_hyperball` and :func:`scale_by_adam`.
      TypeError: likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> tx = optaxwd.adamh(0.1, adam_learning_rate=1e-3)
      >>> params = {"kernel": jnp.array([[3.0, 4.0]]), "bias": jnp.array([0.0])}
      >>> state = tx.init(params)
      >>> for _ in range(3):
      ...     grads = {"kernel": params["kernel"] ** 2, "bias": jnp.array([1.0])}
      ...     updates, state = tx.update(grads, state, params)
      ...     params = optax.apply_updates(params, updates)
      >>> round(float(jnp.linalg.norm(params["kernel"])), 4)
      5.0
      >>> round(float(params["bias"][0]), 4)
      -0.003

    References:
      Wen et al., `Fantastic Pretraining Optimizers and Where to Find Them II:
      Hyperball Optimization <https://arxiv.org/abs/2606.16899>`_, 2026.
    """
    mask = one_mask(mask, weight_decay_mask, "adamh")
    stages = (
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        hyperball_stage(
            learning_rate,
            other_learning_rate=adam_learning_rate,
            mask=mask,
            stacked=stacked,
            owner="adamh",
            other_name="adam_learning_rate",
        ),
    )
    return complete(stages, mask, "adamh", precision, max_grad_norm)


def muonh(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Any = (3.4445, -4.7750, 2.0315),
    ns_steps: Scalar = 5,
    beta: Scalar = 0.95,
    eps: Scalar = 1e-8,
    mask: Mask = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    preconditioning: str = "frobenius",
    adam_b1: Scalar = 0.9,
    adam_b2: Scalar = 0.999,
    adam_eps_root: Scalar = 0.0,
    adam_learning_rate: ScalarOrSchedule | None = None,
    muon_weight_dimension_numbers: Any = None,
    stacked: Mapping[Any, int] | None = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Muon Hyperball: matrices keep their initial norm, and nothing decays.

    For a matrix of initial norm R and momentum m, with
    :math:`\mathrm{N}(x) = x / \|x\|`,

    .. math::

        \theta \leftarrow R \, \mathrm{N}(
            \theta - \eta_t R \, \mathrm{N}(\mathrm{orth}(m)))

    What scales a whole direction, as :func:`muonw` does by shape, has no effect here.
    Parameters that keep their norm but are no matrices to Muon, such as an output head
    that ``muon_weight_dimension_numbers`` leaves out, take the step of :func:`adamh`;
    all others take Adam's. See :func:`step_on_hyperball` for what becomes of matrices
    that start at 0, and for how this deviates from the paper. One more deviation: the
    momentum is Optax's, with its bias corrected, which only counts with Nesterov's.

    Args:
      learning_rate: :math:`\eta_t` of what keeps its norm, relative to that norm: a
        number, a scalar array or a schedule. A start is :math:`\sqrt{\eta\lambda}` of
        the Muon with weight decay that this replaces.
      ns_coeffs: coefficients of the Newton-Schulz iteration, as in :func:`muonw`.
      ns_steps: number of its steps.
      beta: rate in [0, 1) of the momentum.
      eps: added to denominators, of Adam's part too.
      mask: which parameters keep their norm; see :func:`step_on_hyperball`. ``None``:
        those that are matrices to Muon.
      mu_dtype: dtype of the momentum; ``None``: that of the parameters.
      nesterov: use Nesterov momentum, in both groups.
      preconditioning, adam_b1, adam_b2, adam_eps_root, muon_weight_dimension_numbers:
        as in :func:`muonw`.
      adam_learning_rate: the learning rate of what does not keep its norm; ``None``:
        ``learning_rate``, which is mostly too large for it.
      stacked, weight_decay_mask: as in :func:`step_on_hyperball`.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`. State: one moment for what
      Muon steps, two for the rest, 12 bytes, and 4 bytes per parameter array that keeps
      its norm.

    Raises:
      ValueError: as :func:`step_on_hyperball` and :func:`scale_by_adam`.
      TypeError: likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.muonh(0.1, adam_learning_rate=1e-3)
      >>> params = {"kernel": 3 * jnp.eye(2), "bias": jnp.zeros(2)}
      >>> grads = {"kernel": jnp.eye(2)[::-1], "bias": jnp.ones(2)}
      >>> updates, _ = tx.update(grads, tx.init(params), params)
      >>> new = optax.apply_updates(params, updates)
      >>> round(float(jnp.linalg.norm(new["kernel"])), 4)  # 3 * sqrt(2)
      4.2426
      >>> round(float(-new["kernel"][0, 1] / new["kernel"][0, 0]), 4)
      0.1

    References:
      Wen et al., `Fantastic Pretraining Optimizers and Where to Find Them II:
      Hyperball Optimization <https://arxiv.org/abs/2606.16899>`_, 2026.
    """
    check_decay_factor(beta, "beta", "muonh")
    mask = one_mask(mask, weight_decay_mask, "muonh")

    def groups(params: optax.Params) -> Any:
        return muon_groups(params, muon_weight_dimension_numbers)

    def matrices(params: optax.Params) -> Any:
        return jax.tree.map(lambda group: group == "muon", groups(params))

    on_ball = matrices if mask is None else mask

    def steppers(params: optax.Params) -> Any:
        # The norms of the rest are free, so Muon's long steps would not fit.
        decays = resolve_decays(on_ball, params, owner="muonh", check=False)
        return jax.tree.map(
            lambda group, decay: group if decay.multiplier else "adam",
            groups(params),
            decays,
        )

    muon = orthogonalise(
        ns_coeffs,
        ns_steps,
        beta,
        eps,
        mu_dtype,
        nesterov=nesterov,
        adaptive=False,
        preconditioning=preconditioning,
        numbers_of=numbers_of_matrices(muon_weight_dimension_numbers),
        owner="muonh",
    )
    adam = scale_by_adam(
        adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, nesterov=nesterov
    )
    stages = (
        optax.partition({"muon": muon, "adam": adam}, steppers),
        hyperball_stage(
            learning_rate,
            other_learning_rate=adam_learning_rate,
            mask=on_ball,
            stacked=stacked,
            owner="muonh",
            other_name="adam_learning_rate",
        ),
    )
    return complete(stages, mask, "muonh", precision, max_grad_norm)
