"""Rules for λ of a larger run, side by side."""

import numpy as np

import optaxwd
from docs.figures._common import line, panels

RULES = ("timescale", "power_lines", "sqrt_width", "independent", "normalized")
RATIOS = 2.0 ** np.arange(5)


def draw():
    """Draw the picture."""
    changes = (
        (
            "Width, under muP",
            lambda r: {"width_ratio": r, "learning_rate_ratio": 1 / r},
        ),
        ("Batch", lambda r: {"batch_ratio": r}),
        ("Data", lambda r: {"data_ratio": r}),
    )
    figure, axes = panels(3, sharey=True)
    for one, (title, ratios) in zip(axes, changes, strict=True):
        found = [optaxwd.compare_scaling_rules(1.0, **ratios(float(r))) for r in RATIOS]
        for index, rule in enumerate(RULES):
            if rule in found[-1].changes:
                y = [comparison.changes[rule] for comparison in found]
                line(one, RATIOS, y, index, rule if one is axes[0] else None)
        one.set_title(title)
        one.set_xscale("log", base=2)
        one.set_yscale("log", base=2)
        one.set_xticks(RATIOS, [f"×{r:g}" for r in RATIOS])
    powers = np.arange(-4, 5, 2)
    axes[0].set_yticks(2.0**powers, ["×1/16", "×1/4", "×1", "×4", "×16"])
    axes[0].set_ylabel("λ of AdamW")
    line(axes[1], [], [], 4, "normalized")
    figure.legend(loc="outside lower center", ncols=5, columnspacing=1.2)
    return figure
