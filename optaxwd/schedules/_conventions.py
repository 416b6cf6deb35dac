"""What λ means in each code base, and how one convention becomes another."""

import dataclasses
from typing import Any, NamedTuple

from optaxwd._checks import check_choice
from optaxwd.schedules._couplings import POWERS, Powers
from optaxwd.schedules._normalized import normalized_weight_decay


@dataclasses.dataclass(frozen=True)
class Convention:
    """What a number called weight decay means.

    Attributes:
      name: its canonical name.
      meaning: the rate, or the term of the loss, in symbols.
      powers: of the learning rate and its peak in the rate; of a term of the loss, as
        plain SGD has it.
      is_penalty: whether it is a term of the loss, which the optimizer preconditions.
      factor: what λ is multiplied by: 2 for the gradient of λ‖θ‖².
      per_period: whether λ is multiplied by √(b/(B·T)) as well.
      aliases: other names, lower case, spaces and dashes as underscores.
      used_by: where it is found.
    """

    name: str
    meaning: str
    used_by: str
    powers: Powers
    is_penalty: bool = False
    factor: float = 1.0
    per_period: bool = False
    aliases: tuple[str, ...] = ()


CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention(
            "learning_rate",
            "R = η·λ",
            "AdamW of PyTorch, Optax, Keras 3 and timm",
            POWERS["learning_rate"],
            aliases=(
                "adamw",
                "pytorch",
                "torch",
                "pytorch_adamw",
                "torch.optim.adamw",
                "optax",
                "optax_adamw",
                "optax.adamw",
                "keras",
                "keras.optimizers.adamw",
                "timm",
            ),
        ),
        Convention(
            "independent",
            "R = (η/η_peak)·λ",
            "Algorithm 2 of the AdamW paper, MosaicML, optimi, big_vision",
            POWERS["independent"],
            aliases=(
                "algorithm_2",
                "algorithm2",
                "paper",
                "loshchilov_hutter",
                "mosaicml",
                "composer",
                "decoupled_adamw",
                "decoupled_sgdw",
                "decoupledadamw",
                "decoupledsgdw",
                "composer.optim.decoupledadamw",
                "composer.optim.decoupledsgdw",
                "optimi",
                "big_vision",
            ),
        ),
        Convention(
            "constant",
            "R = λ",
            "TensorFlow Addons, optax.adafactor",
            POWERS["constant"],
            aliases=(
                "tfa",
                "tfa.optimizers.adamw",
                "tfa.optimizers.sgdw",
                "tensorflow_addons",
                "optax.adafactor",
            ),
        ),
        Convention(
            "corrected",
            "R = (η²/η_peak)·λ",
            "AdamC",
            POWERS["corrected"],
            aliases=("adamc",),
        ),
        Convention(
            "learning_rate_squared",
            "R = η²·λ",
            "modded-nanogpt",
            Powers(2, 0),
            aliases=("modded_nanogpt",),
        ),
        Convention(
            "normalized",
            "R = (η/η_peak)·λ·√(b/(B·T))",
            "AdamWR",
            POWERS["independent"],
            per_period=True,
            aliases=("adamwr", "normalised"),
        ),
        Convention(
            "l2",
            "loss + ½λ‖θ‖²",
            "SGD and Adam of PyTorch",
            POWERS["learning_rate"],
            is_penalty=True,
            aliases=(
                "half_l2",
                "l2_half",
                "torch.optim.adam",
                "torch.optim.sgd",
            ),
        ),
        Convention(
            "l2_full",
            "loss + λ‖θ‖²",
            "the L2 regulariser of Keras",
            POWERS["learning_rate"],
            is_penalty=True,
            factor=2.0,
            aliases=(
                "2lambda",
                "2_lambda",
                "2λ",
                "two_lambda",
                "l2_2lambda",
                "keras.regularizers.l2",
                "tf.keras.regularizers.l2",
            ),
        ),
    )
}
_ALIASES = {
    alias: convention
    for convention in CONVENTIONS.values()
    for alias in (convention.name, *convention.aliases)
}


def find_convention(name: str, argument: str, owner: str) -> Convention:
    """Return the convention called ``name``, by its own name or another."""
    plain = str(name).strip().lower().replace("-", "_").replace(" ", "_")
    if plain not in _ALIASES:
        check_choice(name, CONVENTIONS, argument, owner, aliases=_ALIASES)
    return _ALIASES[plain]


class Conversion(NamedTuple):
    """From one λ to another: λ' = λ · factor · η^power · η_peak^peak_power.

    Attributes:
      factor: what neither the learning rate nor its peak change.
      power: of the learning rate.
      peak_power: of its peak.
    """

    factor: float
    power: int
    peak_power: int


def conversion(
    before: Convention, after: Convention, sizes: dict[str, Any], owner: str
) -> Conversion:
    """Return how a λ of ``before`` becomes one of ``after``."""
    return Conversion(
        scale_of(before, sizes, owner) / scale_of(after, sizes, owner),
        before.powers.learning_rate - after.powers.learning_rate,
        before.powers.peak - after.powers.peak,
    )


def scale_of(convention: Convention, sizes: dict[str, Any], owner: str) -> float:
    """Return what λ is multiplied by beside the learning rate."""
    if not convention.per_period:
        return convention.factor
    missing = [name for name, size in sizes.items() if size is None]
    if missing:
        raise ValueError(
            f"{owner}: {convention.name!r} needs {', '.join(missing)}, got None. Pass "
            "batch_size=, dataset_size= and epochs=."
        )
    return convention.factor * normalized_weight_decay(1.0, **sizes)
