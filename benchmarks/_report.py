"""The report of a run in Markdown: every number from the record, peers' leads named."""

from collections.abc import Iterable, Iterator

from benchmarks._bandwidth import DESCRIPTION
from benchmarks._cases import (
    ATTEMPTS,
    BFLOAT16,
    CASES,
    CHECKED_STEPS,
    DRIFT,
    ONE_PASS,
    STATES,
    TIE,
    Case,
)
from benchmarks._leaves import BACKWARD, CALL, TRAIN
from benchmarks._results import Cost, Results, verdict
from benchmarks._steps import LIMIT
from benchmarks._targets import TARGETS, judge

FIGURES = {
    "steps.png": "Time per parameter over parameters, with the bandwidth floor",
    "leaves.png": "Time over leaves",
    "bytes.png": "Bytes per parameter and step, by XLA's estimate",
    "ratios.png": "Ratios with their ranges over processes",
}
_DASH = "–"
_BUSY = " (machine busy)"


_NOTES = {
    STATES.name: (
        "Smaller states save memory. Where arithmetic and not memory is the limit, as "
        "on a CPU, they cost time."
    ),
    BFLOAT16.name: (
        "Not the same work: optax and torch round parameters and moments to 16 bits "
        "and lose small steps, optaxwd keeps what is lost and float32 moments."
    ),
    ONE_PASS.name: (
        "All of these were compiled, and torch measured, in processes that had called "
        "`optaxwd.enable_multi_output_fusion()`."
    ),
}


def to_markdown(results: Results, figures: Iterable[str] = ()) -> str:
    """Return the whole report."""
    parts = [
        "# optaxwd beside optax and torch",
        _machine(results),
        _protocol(results),
        "## Targets",
        _table(
            ("case", "to reach", "found", "verdict"),
            [
                (one.target.case, one.target.reach, one.found, one.verdict + busy)
                for one in (judge(target, results) for target in TARGETS)
                for busy in [_BUSY * (one.is_timed and results.was_busy())]
            ],
        ),
        *(f"![{FIGURES[name]}]({name})" for name in figures),
        *_steps(results),
        *_leaves(results),
        *_compiled(results),
        *_memory(results),
        *_equality(results),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _machine(results: Results) -> str:
    machine = results.machine
    versions = [f"{name} {v}" for name, v in machine["versions"].items() if v]
    lines = [
        f"- device: {machine['backend']} ({machine['device']}), {machine['cpu']}, "
        f"{machine['cores']} cores",
        f"- {', '.join(versions)}, Python {machine['python']}, {machine['system']}",
        f"- {machine['date']}, `XLA_FLAGS={machine['XLA_FLAGS']}`, "
        f"`{machine['command']}`",
    ]
    reasons = {
        reason for _, _, one in results.cases() for reason in one["skipped"].values()
    }
    lines += [f"- skipped: {reason}" for reason in sorted(reasons)]
    return "\n".join(lines)


def _protocol(results: Results) -> str:
    lines = [
        f"A ratio is the median over processes, with their range. Within a process all "
        f"candidates of a case step over the same tensors in turns, in reverse order "
        f"every other round; every other process builds them in reverse order. "
        f"Gradients change with every step, parameters and state are donated. "
        f"Differences under {TIE:.0%} are ties. A run whose reference drifts by more "
        f"than {DRIFT:.0%} is repeated, and refused after {ATTEMPTS} attempts."
        "".replace("%", " %"),
        *(f"- **refused**: {words}" for words in results.refused()),
    ]
    if results.was_busy():
        most = max(one["others"] or 0.0 for _, _, one in results.cases())
        lines.append(
            f"- **The machine was busy**: other processes had up to {most:.0%} of "
            f"the processors. torch's threads spin while they wait for each other, so "
            f"its times may be many times too long then.".replace("%", " %")
        )
    lines += [f"- **wrong**: {words}" for words in results.failures()]
    return "\n".join(lines)


def _steps(results: Results) -> Iterator[str]:
    sizes = results.values("steps", "size")
    if not sizes:
        return
    yield "## Step time over parameters"
    yield DESCRIPTION
    measured = {name for _, name, _ in results.cases()}
    for case in [case for case in CASES.values() if case.name in measured]:
        yield f"### {case.name}"
        if case.name in _NOTES:
            yield _NOTES[case.name]
        yield _step_table(results, case, sizes)
        leads = list(_leads(results, case, sizes))
        if leads:
            yield _table(("parameters", "optaxwd over", "ratio", "verdict"), leads)


def _step_table(results: Results, case: Case, sizes: list[int]) -> str:
    names = [*(one.name for one in case.candidates), *([LIMIT] if case.limit else [])]
    head = ["ns per parameter (ratio to " + case.reference + ")"]
    return _table(
        [*head, *(f"{size:,}" for size in sizes)],
        [
            [
                "bandwidth limit, 28 bytes" if name == LIMIT else name,
                *(_step_cell(results, case, name, size) for size in sizes),
            ]
            for name in names
        ],
    )


def _step_cell(results: Results, case: Case, name: str, size: int) -> str:
    count = results.of("steps", size=size)[0]["count"]
    seconds = results.seconds("steps", case.name, Cost(name), size=size)
    costs = Cost(name), Cost(case.reference)
    ratio = results.ratio("steps", case.name, *costs, size=size)
    if seconds is None or ratio is None:
        return _missing(results, case.name, name, size=size)
    tie = " tie" if ratio.is_tie and name != case.reference else ""
    per = f"{1e9 * seconds / count:.3g}"
    return per if name == case.reference else f"{per} ({ratio}{tie})"


def _missing(results: Results, case: str, name: str, **fields: int) -> str:
    """Return why there is no number."""
    for job, found, one in results.cases():
        if found == case and fields.items() <= job.items():
            if name in one["skipped"]:
                return "skipped"
            if one["refused"]:
                return "refused"
    return _DASH


def _leads(results: Results, case: Case, sizes: list[int]) -> Iterator[tuple[str, ...]]:
    """Yield who is faster, ours against each peer's."""
    for size in sizes:
        for name in case.ours:
            for peer in case.peers:
                costs = Cost(name), Cost(peer)
                ratio = results.ratio("steps", case.name, *costs, size=size)
                if ratio is not None:
                    words = verdict(ratio, name, peer)
                    if results.is_busy("steps", case.name, size=size):
                        words += _BUSY
                    yield f"{size:,}", f"{name} / {peer}", str(ratio), words


def _leaves(results: Results) -> Iterator[str]:
    numbers = results.values("leaves", "leaves")
    if not numbers:
        return
    yield "## Step time over leaves"
    yield (
        "A million parameters. *Minus calling* takes off a program over the same "
        "buffers that does nothing. *In training* is what the optimizer adds to a "
        "jitted train step, over the same buffers in and out. A difference below a "
        "tenth of what it is taken from is lost in noise: –. torch does not compile "
        "its steps: its step costs the same wherever it is called."
    )
    rows = []
    for label, costs in leaf_costs().items():
        for name, cost in costs.items():
            cells = []
            for n in numbers:
                cells.append(_leaf_cell(results, cost, costs["optax"], n))
            rows.append([label, name, *cells])
    yield _table(["ms (ratio to optax)", "", *map(str, numbers)], rows)


def leaf_costs() -> dict[str, dict[str, Cost]]:
    """Return what is measured over leaves: label, candidate, cost."""
    ours = ("optax", "optaxwd")
    names = (*ours, "torch fused", "torch foreach")
    return {
        "step": {name: Cost(name) for name in names},
        "minus calling": {name: Cost(name, f"{name} {CALL}") for name in ours},
        "in training": {
            name: Cost(f"{name} {TRAIN}", f"{name} {BACKWARD}") for name in ours
        },
    }


def _leaf_cell(results: Results, cost: Cost, reference: Cost, leaves: int) -> str:
    seconds = results.seconds("leaves", "adamw", cost, leaves=leaves)
    if seconds is None:
        return _missing(results, "adamw", cost.plus, leaves=leaves)
    ratio = results.ratio("leaves", "adamw", cost, reference, leaves=leaves)
    if cost == reference or ratio is None:
        return f"{1e3 * seconds:.3g}"
    return f"{1e3 * seconds:.3g} ({ratio}{' tie' if ratio.is_tie else ''})"


def _compiled(results: Results) -> Iterator[str]:
    numbers = results.values("compiled", "leaves")
    for leaves in numbers:
        facts = {}
        for one in results.of("compiled", leaves=leaves):
            facts |= one["facts"]
        columns = list(next(iter(next(iter(facts.values())).values())))
        yield f"## The compiled step, {leaves} {'leaf' if leaves == 1 else 'leaves'}"
        yield (
            "Bytes are per parameter. Those accessed are XLA's estimate, which is "
            "wrong for loops, custom calls and concatenations; the others are its "
            "analysis of memory. Fusions and copies are those of the whole program."
        )
        yield _table(
            ["", *columns],
            [
                [
                    f"{case}: {name}",
                    *(f"{round(found[column], 3):g}" for column in columns),
                ]
                for case, candidates in facts.items()
                for name, found in candidates.items()
            ],
        )
        stages = ("trace", "lower", "compile")
        yield _table(
            ["optaxwd over optax, time to", *stages],
            [
                [
                    case,
                    *(
                        str(results.stages(case, "optaxwd", (s,), leaves))
                        for s in stages
                    ),
                ]
                for case in facts
                if results.stages(case, "optaxwd", stages, leaves)
            ],
        )


def _memory(results: Results) -> Iterator[str]:
    rows = []
    for run in results.runs:
        job, found = run["job"], run["result"]
        if job["section"] != "memory" or "skipped" in found:
            continue
        device = found["device_peak_bytes"]
        rows.append(
            [
                f"{job['case']}: {job['candidate']}",
                f"{job['size']:,}",
                f"{found['state_bytes'] / found['count']:.3f}",
                f"{found['peak_bytes'] / found['count']:.2f}",
                _DASH if device is None else f"{device / found['count']:.2f}",
            ]
        )
    if rows:
        yield "## Memory while stepping"
        yield (
            "Bytes per parameter. The peak is of a process's resident memory above "
            "what it had before: one tree of gradients, parameters, state and what a "
            "step needs beside them; 16 for AdamW in float32 without anything beside. "
            "torch on a CPU reads NumPy's gradients: 4 bytes are added to its peak."
        )
        head = ("", "parameters", "state", "peak of process", "peak of device")
        yield _table(head, rows)


def _equality(results: Results) -> Iterator[str]:
    worst: dict[tuple[str, str], dict] = {}
    for _, case, measured in results.cases():
        for name, one in measured["equality"].items():
            known = worst.get((case, name))
            if known is None or not one["largest"] <= known["largest"]:
                worst[case, name] = one
    if not worst:
        return
    yield "## Equality"
    yield (
        f"After {CHECKED_STEPS} steps each candidate's parameters are compared with "
        f"AdamW in float64 by NumPy. Errors are in units of the largest change that "
        f"the steps made; the worst of all runs is shown."
    )
    yield _table(
        ("", "largest error", "rms", "allowed", "because of"),
        [
            (
                f"{case}: {name}",
                f"{one['largest']:.1e}",
                f"{one['rms']:.1e}" + ("" if one["passed"] else " **wrong**"),
                f"{one['bound']['largest']:g}, {one['bound']['rms']:g}",
                one["bound"]["why"],
            )
            for (case, name), one in worst.items()
        ],
    )
