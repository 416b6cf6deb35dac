"""One pass over memory on CPUs, where XLA is told to fuse loops with several outputs.

XLA for CPUs computes each new moment and each update in a loop of its own, 40 bytes per
float32 parameter for AdamW. With one flag it joins loops that read the same arrays, as
long as none needs what another writes. So every output must be computed from the inputs
alone, and XLA must not see that the computations have parts in common. Then the step
reads and writes every array once: 28 bytes. Without the flag that form is slower.
"""

import functools
import os
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optaxwd import tree
from optaxwd._checks import is_known
from optaxwd.transforms._clip import scale_gradients

_OPTIONS = "--xla_backend_extra_options="
_FUSION = "xla_cpu_use_multi_output_fusion"


def enable_multi_output_fusion() -> None:
    r"""Let XLA compile a step of AdamW, and of its kin, into one pass on CPUs.

    Call it once at the start of a program, before the first array. It adds
    ``--xla_backend_extra_options=xla_cpu_use_multi_output_fusion`` to the environment
    variable ``XLA_FLAGS``, which holds for the whole process and those that it starts,
    and for everything that XLA compiles for CPUs in them. Optimizers that are built
    afterwards see the flag and take another form, with the same formulas and states:

    .. math:: 28 = 4 \cdot (\underbrace{g, m, v, \theta}_\text{read}
                   + \underbrace{m, v, \theta}_\text{written})

    bytes per float32 parameter in place of 40, and 32 in place of 44 with
    ``max_grad_norm``. The flag is an experimental one of XLA's, so nothing in this
    library sets it by itself. It changes nothing on GPUs and TPUs.

    Returns:
      Nothing. Where ``XLA_FLAGS`` has the flag already, nothing is done.

    Raises:
      RuntimeError: if JAX has started its backend, which reads the flags only once.

    Examples:
      >>> import os
      >>> import subprocess
      >>> import sys
      >>> program = "import optaxwd; optaxwd.enable_multi_output_fusion()"
      >>> environment = {**os.environ, "XLA_FLAGS": ""}
      >>> done = subprocess.run([sys.executable, "-c", program], env=environment)
      >>> done.returncode
      0
    """
    if is_flag_set():
        return
    if _backend_has_started():
        raise RuntimeError(
            "enable_multi_output_fusion: JAX has started its backend, which reads "
            f"XLA_FLAGS only once, got XLA_FLAGS={os.environ.get('XLA_FLAGS', '')!r}. "
            "Call it before the first array, jax.devices() or compiled function, or "
            f"set XLA_FLAGS={_OPTIONS}{_FUSION} before Python starts."
        )
    flags = os.environ.get("XLA_FLAGS", "").split()
    given = [flag for flag in flags if flag.startswith(_OPTIONS)]
    others = [flag for flag in flags if flag not in given]
    options = [flag.removeprefix(_OPTIONS) for flag in given]
    joined = ",".join(option for option in (*options, _FUSION) if option)
    os.environ["XLA_FLAGS"] = " ".join([*others, _OPTIONS + joined])


class OnePass(optax.GradientTransformationExtraArgs):
    """A transform whose ``update`` takes ``gradient_factor``, to scale gradients by."""


def in_one_pass(
    transform: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Return ``transform`` in the form that takes one pass, if the flag is set.

    Args:
      transform: elementwise: every entry of its updates and of its state is made from
        the same entry of gradients, state and parameters, and from scalars.

    Returns:
      A :class:`OnePass` with the same state, or ``transform`` where the flag is not
      set. While values are known, outside of compiled steps, it does what ``transform``
      does. Numbers differ by rounding: sums and products are contracted differently.
    """
    inner = optax.with_extra_args_support(transform)
    if not is_flag_set():
        return inner

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        *,
        gradient_factor: Any = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        structure = jax.tree.structure(updates)

        def is_part(node: Any) -> bool:
            return jax.tree.structure(node) == structure

        parts, of_parts = jax.tree.flatten(state, is_leaf=is_part)
        are_known = all(map(is_known, jax.tree.leaves((updates, state))))
        if are_known or not _takes_effect():
            if gradient_factor is not None:
                updates = scale_gradients(updates, gradient_factor)
            return inner.update(updates, state, params, **extra_args)

        def apart(one: Any) -> tuple[Any, Any]:
            factor = one if gradient_factor is None else gradient_factor * one
            return inner.update(
                scale_gradients(updates, factor),
                _times(one, state),
                _times(one, params),
                **extra_args,
            )

        # Ones that XLA takes for different numbers until it has fused.
        ones = jax.lax.optimization_barrier((jnp.ones([]),) * (len(parts) + 1))
        new_parts = [
            of_parts.flatten_up_to(apart(one)[1])[index]
            for index, one in enumerate(ones[:-1])
        ]
        return apart(ones[-1])[0], jax.tree.unflatten(of_parts, new_parts)

    return OnePass(inner.init, update)


def is_flag_set() -> bool:
    """Return whether ``XLA_FLAGS`` asks for loops with several outputs on CPUs."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    options = [f.removeprefix(_OPTIONS) for f in flags if f.startswith(_OPTIONS)]
    return _FUSION in ",".join(options).split(",")


@functools.cache
def _takes_effect() -> bool:
    """Return whether XLA does what the flag says; warn if it does not, once."""
    if jax.default_backend() != "cpu":
        return False
    number = jax.ShapeDtypeStruct((8,), jnp.float32)
    compiled = (
        jax.jit(lambda x, y: (x * 2 + y, y * 3 + x)).lower(number, number).compile()
    )
    program = compiled.as_text() or ""
    has_effect = program.partition("ENTRY")[2].count(" fusion(") == 1
    if not has_effect:
        warnings.warn(
            f"XLA_FLAGS has {_FUSION}, but XLA does not heed it: it was set after JAX "
            "started its backend, or this version of XLA has no such option. The step "
            "is compiled as without. Call optaxwd.enable_multi_output_fusion() before "
            "the first array.",
            RuntimeWarning,
            stacklevel=2,
        )
    return has_effect


def _backend_has_started() -> bool:
    """Return whether it is too late for flags, without starting anything."""
    # JAX refuses to change the number of devices from then on.
    before = jax.config.values["jax_num_cpu_devices"]
    try:
        jax.config.update("jax_num_cpu_devices", before + 1)
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", before)
    return False


def _times(one: Any, values: Any) -> Any:
    """Return arrays times 1, which is exact, and all else as it is."""

    def times(value: Any) -> Any:
        if not tree.is_inexact(value) or jnp.ndim(value) == 0:
            return value
        return value * one.astype(jnp.result_type(value))

    return jax.tree.map(times, values)
