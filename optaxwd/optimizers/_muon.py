"""Muon with decoupled weight decay, for its matrices and for the rest."""

import inspect
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from optaxwd._checks import check_choice, check_decay_factor, one_mask
from optaxwd._typing import Coupling, Form, Mask, Scalar, ScalarOrSchedule
from optaxwd.numerics import sharding_of, with_auto_axes
from optaxwd.optimizers._assemble import assemble, guard
from optaxwd.optimizers._clipped import clip_before
from optaxwd.precision import Precision
from optaxwd.rules import resolve_decays
from optaxwd.transforms import Penalty, keep_dtypes, scale_by_adam

# Before 0.2.7, scale_by_muon scaled its directions by their aspect ratio itself.
_OPTAX_SCALES = "consistent_rms" not in inspect.signature(optax.contrib.muon).parameters

# The names that optax.contrib.muon knows from 0.2.7 on; Dion's are of five steps.
_NS_COEFFS: dict[str, Any] = {
    "standard": (3.4445, -4.7750, 2.0315),
    "dion": (
        (4.0848, -6.8946, 2.9270),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ),
}


def muonw(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Any = (3.4445, -4.7750, 2.0315),
    ns_steps: Scalar = 5,
    beta: Scalar = 0.95,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.1,
    mask: Mask = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    adam_b1: Scalar = 0.9,
    adam_b2: Scalar = 0.999,
    adam_eps_root: Scalar = 0.0,
    adam_weight_decay: ScalarOrSchedule = 0.0,
    adam_learning_rate: ScalarOrSchedule | None = None,
    adam_peak_learning_rate: Any = None,
    muon_weight_dimension_numbers: Any = None,
    consistent_rms: Scalar | None = None,
    coupling: Coupling = "learning_rate",
    peak_learning_rate: Any = None,
    cautious: bool = False,
    penalty: str | Penalty = "l2",
    form: Form = "additive",
    anchor: Literal["init", "update"] | optax.Params | None = None,
    corrected_mask: Mask = None,
    weight_decay_mask: Mask = None,
    precision: Precision | None = None,
    max_grad_norm: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Muon with decoupled weight decay; in place of ``optax.contrib.muon``.

    Matrices take the orthogonalised momentum as direction, scaled by their shape; all
    other parameters take Adam's:

    .. math::

        \theta \leftarrow \theta - \eta_t \left(
            c(\text{shape}) \, \mathrm{orth}(m) + \lambda \theta \right)

    The shape's factor c never multiplies the decay. Two groups, two λ: as in Optax,
    parameters that are not matrices do not decay unless ``adam_weight_decay`` says so.

    Args:
      learning_rate: :math:`\eta_t`, a number, a scalar array or a schedule.
      ns_coeffs: coefficients of the Newton-Schulz iteration: three numbers, three for
        each step, or ``"standard"`` or ``"dion"`` (Ahn et al.).
      ns_steps: number of its steps.
      beta: rate in [0, 1) of the momentum.
      eps: added to denominators, of Adam's part too.
      weight_decay: :math:`\lambda_t` of the matrices, a number, a scalar array or a
        schedule. The default is that of Liu et al.; Optax's is 0.
      mask: which parameters decay, in both groups; see :func:`add_decayed_weights`.
      mu_dtype: dtype of the momentum; ``None``: that of the parameters.
      nesterov: use Nesterov momentum, in both groups.
      adaptive: scale directions by the dual norm of the momentum.
      preconditioning: what precedes the iteration; from optax 0.2.7 on also
        ``"spectral"``, ``"aol"`` or ``"schatten"``.
      adam_b1: Adam's ``b1``.
      adam_b2: Adam's ``b2``.
      adam_eps_root: Adam's ``eps_root``.
      adam_weight_decay: :math:`\lambda_t` of the parameters that are not matrices.
      adam_learning_rate: their learning rate; ``None``: ``learning_rate``.
      adam_peak_learning_rate: the largest ``adam_learning_rate``, where that is given.
      muon_weight_dimension_numbers: which parameters are matrices and along which
        axes, as in ``optax.contrib.muon``; ``None``: those with two dimensions.
      consistent_rms: RMS to scale directions to; ``None``: scale by the root of the
        aspect ratio.
      coupling, peak_learning_rate, cautious, penalty, form: as in
        :func:`with_weight_decay`.
      anchor, corrected_mask, weight_decay_mask: likewise.
      precision: see :func:`with_precision`; ``None``: the dtypes that Optax keeps.
      max_grad_norm: the largest norm of all gradients together, to which they are
        clipped first as by :func:`clip_by_global_norm`; ``None``: no clipping.

    Returns:
      A :class:`optax.GradientTransformationExtraArgs`.

    Raises:
      ValueError: as :func:`with_weight_decay`.
      TypeError: likewise.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optaxwd
      >>> tx = optaxwd.muonw(0.1, weight_decay=0.5)
      >>> params = {"kernel": jnp.eye(2), "bias": jnp.ones(2)}
      >>> grads = {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}
      >>> updates, _ = tx.update(grads, tx.init(params), params)
      >>> round(float(updates["kernel"][0, 0]), 6), abs(float(updates["bias"][0]))
      (-0.05, 0.0)

    References:
      Jordan et al., `Muon: An Optimizer for Hidden Layers in Neural Networks
      <https://kellerjordan.github.io/posts/muon/>`_, 2024.

      Liu et al., `Muon is Scalable for LLM Training
      <https://arxiv.org/abs/2502.16982>`_, 2025.

      Ahn et al., `Dion: Distributed Orthonormalized Updates
      <https://arxiv.org/abs/2504.05295>`_, 2025.
    """
    check_decay_factor(beta, "beta", "muonw")
    numbers_of = numbers_of_matrices(muon_weight_dimension_numbers)
    orthogonalised = optax.chain(
        orthogonalise(
            ns_coeffs,
            ns_steps,
            beta,
            eps,
            mu_dtype,
            nesterov=nesterov,
            adaptive=adaptive,
            preconditioning=preconditioning,
            numbers_of=numbers_of,
            owner="muonw",
        ),
        _scale_by_shape(numbers_of, consistent_rms),
    )
    adam = scale_by_adam(
        adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, nesterov=nesterov
    )
    if adam_learning_rate is None:
        adam_learning_rate = learning_rate
        adam_peak_learning_rate = peak_learning_rate
    mask = one_mask(mask, weight_decay_mask, "muonw")

    def groups(params: optax.Params) -> Any:
        # On the whole tree: one group cannot tell that a rule matches nothing.
        resolve_decays(mask, params, owner="muonw")
        resolve_decays(corrected_mask, params, owner="muonw: corrected_mask")
        return muon_groups(params, muon_weight_dimension_numbers)

    options: dict[str, Any] = {
        "owner": "muonw",
        "coupling": coupling,
        "mask": mask,
        "cautious": cautious,
        "penalty": penalty,
        "form": form,
        "anchor": anchor,
        "corrected_mask": corrected_mask,
        "precision": precision,
    }
    optimizer = optax.partition(
        {
            "muon": assemble(
                orthogonalised,
                learning_rate,
                weight_decay,
                peak_learning_rate=peak_learning_rate,
                **options,
            ),
            "adam": assemble(
                adam,
                adam_learning_rate,
                adam_weight_decay,
                peak_learning_rate=adam_peak_learning_rate,
                prefix="adam_",
                **options,
            ),
        },
        groups,
    )
    # Around the groups, because all gradients count in one norm.
    clipped = clip_before(
        optimizer, max_grad_norm, "muonw", mask=mask, widened=precision is not None
    )
    return guard(clipped, mask, "muonw")


def orthogonalise(
    ns_coeffs: Any,
    ns_steps: Scalar,
    beta: Scalar,
    eps: Scalar,
    mu_dtype: Any,
    *,
    nesterov: bool,
    adaptive: bool,
    preconditioning: str,
    numbers_of: Callable[[optax.Updates], Any],
    owner: str,
) -> optax.GradientTransformationExtraArgs:
    """Return Optax's Muon directions, in a state that keeps its dtypes."""
    if isinstance(ns_coeffs, str):
        check_choice(ns_coeffs, _NS_COEFFS, "ns_coeffs", owner)
        ns_coeffs = _NS_COEFFS[ns_coeffs]
    newer: dict[str, Any] = {}
    if preconditioning != "frobenius":
        newer["preconditioning"] = preconditioning
    muon = keep_dtypes(
        optax.contrib.scale_by_muon(
            ns_coeffs,
            ns_steps,
            beta,
            eps,
            mu_dtype,
            nesterov=nesterov,
            adaptive=adaptive,
            weight_dimension_numbers=numbers_of,
            **newer,
        )
    )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        # Products over sharded axes, whose results JAX cannot place by itself.
        shardings = jax.tree.map(sharding_of, (updates, state))
        apply = with_auto_axes(
            lambda *args: muon.update(*args, **extra_args), shardings
        )
        return apply(updates, state, params)

    return optax.GradientTransformationExtraArgs(muon.init, update)


def numbers_of_matrices(dimension_numbers: Any) -> Callable[[optax.Updates], Any]:
    """Return what gives the dimension numbers where only Muon's group is left."""

    def numbers_of(updates: optax.Updates) -> Any:
        # Adam's group is masked here.
        return _per_parameter(updates, dimension_numbers, lambda n: n)

    return numbers_of


def muon_groups(params: optax.Params, dimension_numbers: Any) -> Any:
    """Return ``"muon"`` or ``"adam"`` for every parameter."""
    return _per_parameter(
        params, dimension_numbers, lambda n: "adam" if n is None else "muon"
    )


def _is_numbers(node: Any) -> bool:
    return node is None or isinstance(node, optax.contrib.MuonDimensionNumbers)


def _given_numbers(params: optax.Params, dimension_numbers: Any) -> Any:
    if dimension_numbers is None:
        # Optax divides by the shape, so a matrix without entries must be Adam's.
        matrix = optax.contrib.MuonDimensionNumbers()
        return jax.tree.map(
            lambda x: matrix if x.ndim == 2 and x.size else None, params
        )
    return (
        dimension_numbers(params) if callable(dimension_numbers) else dimension_numbers
    )


def _per_parameter(
    params: optax.Params, dimension_numbers: Any, of: Callable[[Any], Any]
) -> Any:
    """Return ``of`` the dimension numbers of every parameter, ``None`` for Adam's."""
    given = _given_numbers(params, dimension_numbers)

    def cover(numbers: Any, subtree: Any) -> Any:
        return jax.tree.map(lambda _: of(numbers), subtree)

    return jax.tree.map(cover, given, params, is_leaf=_is_numbers)


def _scale_by_shape(
    numbers_of: Callable[[optax.Updates], Any], consistent_rms: Scalar | None
) -> optax.GradientTransformation:
    """Scale directions by their shape, as ``optax.contrib`` does without exporting it.

    By the root of max(1, fan out / fan in), or to ``consistent_rms`` by the root of
    max(fan in, fan out).
    """

    def scale(update: jax.Array, numbers: Any) -> jax.Array:
        fan_in = _size(update, numbers.reduction_axis)
        fan_out = _size(update, numbers.output_axis)
        by_aspect = jnp.sqrt(jnp.maximum(1, fan_out / fan_in))
        if consistent_rms is None:
            return update if _OPTAX_SCALES else by_aspect * update
        by_size = jnp.sqrt(jnp.maximum(fan_in, fan_out)) * consistent_rms
        return (by_size / by_aspect if _OPTAX_SCALES else by_size) * update

    def update(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        del params
        return jax.tree.map(scale, updates, numbers_of(updates))

    return optax.stateless(update)


def _size(x: jax.Array, axes: Any) -> int:
    axes = (axes,) if isinstance(axes, int) else axes
    return math.prod(x.shape[axis] for axis in axes)
