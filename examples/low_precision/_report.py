"""What was measured, as tables and sentences that the numbers carry."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from examples.claims._statistics import Interval, interval, paired
from examples.low_precision._decay_alone import truth
from examples.low_precision._train import Trained
from examples.low_precision._variants import REFERENCE


def decay_table(found: dict[str, dict[str, Any]], steps: int) -> str:
    """Return the table of weights without gradient."""
    rows = [
        (
            name,
            f"{one['mean']:.5f}",
            f"{one['spread']:.5f}",
            f"{one['lowest']:.5f}",
            f"{one['highest']:.5f}",
        )
        for name, one in found.items()
    ]
    exact = f"{truth(steps):.5f}"
    rows.append(("truth", exact, "0.00000", exact, exact))
    return table(("variant", "mean", "spread", "lowest", "highest"), rows)


def trained_table(found: dict[str, Trained]) -> str:
    """Return the table of one task, each variant beside float32 seed by seed."""
    reference = found[REFERENCE]
    rows = [
        (
            name,
            f"{one.bytes_per_parameter:.2f}",
            str(interval(one.test)),
            "" if one is reference else str(paired(one.test, reference.test)),
            f"{one.norm.mean():.2f}",
            "" if one is reference else str(norm_change(one, reference)),
            steps_to_reference(one, reference),
        )
        for name, one in found.items()
    ]
    columns = (
        "variant",
        "bytes",
        "test loss",
        "minus float32",
        "norm",
        "change, %",
        "steps to its loss",
    )
    return table(columns, rows)


def norm_change(one: Trained, reference: Trained) -> Interval:
    """Return by how many per cent the decaying weights are longer than in float32."""
    return interval(100 * (one.norm / reference.norm - 1))


def steps_to_reference(one: Trained, reference: Trained) -> str:
    """Return the median step at which float32's final validation loss was reached.

    Of the seeds that reached it, and how many those are.
    """
    is_there = one.valid <= reference.valid[-1]
    reached = is_there.any(0)
    if not reached.any():
        return "not reached"
    first = np.asarray(one.steps)[is_there.argmax(0)[reached]]
    return f"{np.median(first):.0f} ({reached.sum()} of {reached.size} seeds)"


def conclusion(found: dict[str, Trained]) -> str:
    """Return which differences to float32 hold, all together, at a level of 95 %."""
    reference = found[REFERENCE]
    others = {name: one for name, one in found.items() if one is not reference}
    loss = {
        name: paired(one.test, reference.test).among(2 * len(others))
        for name, one in others.items()
    }
    norm = {
        name: norm_change(one, reference).among(2 * len(others))
        for name, one in others.items()
    }
    lines = [f"of {2 * len(others)} differences, together at 95 % (Bonferroni):"]
    for words, gaps in (("test loss", loss), ("norm", norm)):
        sides = {
            "above float32": [name for name, gap in gaps.items() if gap.low > 0],
            "below float32": [name for name, gap in gaps.items() if gap.high < 0],
            "no difference shown": [
                name for name, gap in gaps.items() if not gap.excludes_zero
            ],
        }
        lines += [
            f"  {words}, {side}: {', '.join(names)}"
            for side, names in sides.items()
            if names
        ]
    return "\n".join(lines)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines with columns as wide as what is in them, numbers to the right."""
    lines = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True)]
        ).rstrip()
        for line in lines
    )
