"""What λ means in each code base: one row per convention."""

import dataclasses

from optaxwd._checks import check_choice
from optaxwd.schedules._couplings import POWERS, Powers


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
                "decoupledadamw",
                "optimi",
                "big_vision",
            ),
        ),
        Convention(
            "constant",
            "R = λ",
            "TensorFlow Addons, optax.adafactor",
            POWERS["constant"],
            aliases=("tfa", "tensorflow_addons", "optax.adafactor"),
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
                "optax.add_decayed_weights",
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
    plain = str(name).lower().replace("-", "_").replace(" ", "_")
    if plain not in _ALIASES:
        check_choice(name, _ALIASES, argument, owner)
    return _ALIASES[plain]
