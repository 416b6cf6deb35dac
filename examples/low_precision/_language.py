"""The source of Python's standard library, character by character."""

import functools
import hashlib
import pathlib
import sysconfig

import jax
import jax.numpy as jnp
import numpy as np

from examples.low_precision import _transformer
from examples.low_precision._train import Task

BATCH, LENGTH = 8, _transformer.CONTEXT + 1
TRAIN = """
argparse ast calendar configparser contextlib csv dataclasses difflib enum fractions
ftplib functools gettext heapq imaplib inspect ipaddress locale mailbox optparse pickle
plistlib posixpath pprint queue random selectors shutil
"""
VALID, TEST = "statistics smtplib socket", "subprocess tarfile textwrap"
# Printable ASCII from 0 to 94, the end of a line, and all else.
LINE_END, OTHER, VOCABULARY = 95, 96, 97


def language(steps: int) -> Task:
    """Return the task; files that are held out are held out as a whole."""
    text = read(TRAIN)

    def batch(key):
        return _windows(text, jax.random.randint(key, (BATCH,), 0, text.size - LENGTH))

    return Task(
        init=functools.partial(_transformer.init, vocabulary=VOCABULARY),
        batch=batch,
        loss=_transformer.loss,
        valid=held_out(VALID, 48),
        test=held_out(TEST, 256),
        peak_learning_rate=5e-3,
        weight_decay=0.3,
        steps=steps,
    )


def read(names: str) -> jax.Array:
    """Return the characters of modules: ``[n]`` integers below ``VOCABULARY``."""
    codes = np.frombuffer(_source(names), np.uint8).astype(np.int32)
    others = np.where(codes == ord("\n"), LINE_END, OTHER)
    is_printable = (codes >= ord(" ")) & (codes <= ord("~"))
    return jnp.asarray(np.where(is_printable, codes - ord(" "), others))


def held_out(names: str, count: int) -> jax.Array:
    """Return ``count`` windows, evenly spaced: ``[count, LENGTH]``."""
    text = read(names)
    starts = np.linspace(0, text.size - LENGTH, count).astype(int)
    return _windows(text, jnp.asarray(starts))


def fingerprint() -> str:
    """Return the SHA-256 of all text: other versions of Python have another one."""
    return hashlib.sha256(_source(f"{TRAIN} {VALID} {TEST}")).hexdigest()


def _source(names):
    folder = pathlib.Path(sysconfig.get_paths()["stdlib"])
    return b"".join((folder / f"{name}.py").read_bytes() for name in names.split())


def _windows(text, starts):
    return text[starts[:, None] + jnp.arange(LENGTH)]
