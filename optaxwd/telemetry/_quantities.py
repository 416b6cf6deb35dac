"""What is recorded: every quantity with its formula, its unit and its label."""

from typing import NamedTuple


class Quantity(NamedTuple):
    """One quantity of a leaf, of a group of leaves, or of all parameters.

    Attributes:
      name: its key in :func:`read_telemetry`, before the path.
      formula: with θ the parameters before the step, s the step that the optimizer asks
        for, d the part of s that is decay, Q the rounding to the parameters' dtype;
        norms, means and inner products are over all entries of the leaf or group.
      unit: of the number; empty for a ratio.
      meaning: in words, for tables and for the axes of figures.
    """

    name: str
    formula: str
    unit: str
    meaning: str


QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity("weight_rms", "√mean(θ²)", "weights", "RMS of the weights"),
        Quantity("update_rms", "√mean(s²)", "weights per step", "RMS of the step"),
        Quantity("decay_rms", "√mean(d²)", "weights per step", "RMS of the decay"),
        Quantity("decay_share", "‖d‖ / ‖s‖", "", "decay over step"),
        Quantity(
            "decay_rate", "−⟨d, θ⟩ / ⟨θ, θ⟩", "per step", "effective decay per step"
        ),
        Quantity("cosine", "⟨s, θ⟩ / (‖s‖ ‖θ‖)", "", "cosine of step and weights"),
        Quantity("rotation", "∠(θ, θ + s)", "radians per step", "rotation per step"),
        Quantity(
            "predicted_rotation",
            "equilibrium_rotation at the decay rate",
            "radians per step",
            "rotation at equilibrium",
        ),
        Quantity(
            "rotation_ratio",
            "rotation / predicted_rotation",
            "",
            "rotation over that at equilibrium",
        ),
        Quantity(
            "predicted_rms",
            "equilibrium_rms at η and the decay rate",
            "weights",
            "RMS of the weights at equilibrium",
        ),
        Quantity(
            "rms_ratio",
            "weight_rms / predicted_rms",
            "",
            "RMS of the weights over that at equilibrium",
        ),
        Quantity(
            "rounding_loss",
            "‖s − (Q(θ + s) − θ)‖ / ‖s‖",
            "",
            "share of the step that rounding changes",
        ),
        Quantity(
            "decay_realised",
            "⟨Q(θ + s) − Q(θ + s − d), θ⟩ / ⟨d, θ⟩",
            "",
            "share of the decay that survives rounding",
        ),
        Quantity("sqrt_nu_mean", "mean(√v̂)", "gradients", "mean of √v̂"),
        Quantity("sqrt_nu_min", "min(√v̂)", "gradients", "least √v̂"),
        Quantity("sqrt_nu_max", "max(√v̂)", "gradients", "largest √v̂"),
    )
}
