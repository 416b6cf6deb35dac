"""The flag that lets XLA join loops on CPUs: to set it, and whether it is heeded."""

import functools
import os
import pathlib
import warnings

import jax
import jax.numpy as jnp

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
    ``max_grad_norm`` (jaxlib 0.10.2). The flag is an experimental one of XLA's, so
    nothing in this library sets it by itself. It changes nothing on GPUs and TPUs, and
    versions of XLA that do not have it ignore it: a warning says so at the first step.

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

    References:
      OpenXLA, `XLA architecture <https://openxla.org/xla/architecture>`_, for fusion.
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
    flags = _flags()
    given = [flag for flag in flags if flag.startswith(_OPTIONS)]
    others = [flag for flag in flags if flag not in given]
    options = [flag.removeprefix(_OPTIONS) for flag in given]
    joined = ",".join(option for option in (*options, _FUSION) if option)
    os.environ["XLA_FLAGS"] = " ".join([*others, _OPTIONS + joined])


def is_flag_set() -> bool:
    """Return whether ``XLA_FLAGS`` asks for loops with several outputs on CPUs."""
    options = [f.removeprefix(_OPTIONS) for f in _flags() if f.startswith(_OPTIONS)]
    return _FUSION in ",".join(options).split(",")


@functools.cache
def takes_effect() -> bool:
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


def _flags() -> list[str]:
    """Return the flags in ``XLA_FLAGS``, or in the file that it names instead."""
    text = os.environ.get("XLA_FLAGS", "")
    if text and not text.lstrip().startswith("-") and os.path.isfile(text):
        text = pathlib.Path(text).read_text()
    return text.split()


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
