"""Verdicts of kept records: a page that needs nothing else, and a Markdown table."""

import base64
import html
import io
import pathlib
from typing import Any

from examples.claims import _records
from examples.claims._claim import Claim, Verdict

_STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse }
th, td { border: 1px solid #999; padding: .3rem .6rem;
text-align: left; vertical-align: top } img { max-width: 100% } q { font-style: italic }
"""


def judged(claims: list[Claim], records: dict[str, Any]) -> list[tuple[Claim, Verdict]]:
    """Return every claim that has a record with the verdict that it gives."""
    return [
        (claim, claim.judge(records[claim.name]["numbers"]))
        for claim in claims
        if claim.name in records
    ]


def write(claims: list[Claim], records: dict[str, Any], folder: pathlib.Path) -> None:
    """Write ``report.html`` and ``report.md``."""
    verdicts = judged(claims, records)
    (folder / "report.md").write_text(to_markdown(verdicts, records))
    (folder / "report.html").write_text(to_html(verdicts, records))


def to_markdown(verdicts: list[tuple[Claim, Verdict]], records: dict[str, Any]) -> str:
    """Return the table of verdicts."""
    head = ("claim", "what is claimed", "verdict", "what decides", "figure")
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|---|"]
    for claim, verdict in verdicts:
        size = records[claim.name]["size"]
        picture = _records.path_of(claim, size, pathlib.Path()).with_suffix(".png")
        cells = (
            f"{claim.name} {claim.title} ({size})",
            claim.sentence,
            f"**{verdict.outcome}**",
            verdict.estimate,
            f"[figure]({picture})",
        )
        lines.append(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        )
    return "\n".join(lines) + "\n"


def to_html(verdicts: list[tuple[Claim, Verdict]], records: dict[str, Any]) -> str:
    """Return the page, its figures inside."""
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Claims about weight "
        f"decay</title><style>{_STYLE}</style><h1>Claims about weight decay</h1>",
        "<table><tr><th>claim<th>verdict<th>what decides</tr>",
    ]
    parts += [
        f'<tr><td><a href="#{claim.name}">{claim.name} {html.escape(claim.title)}</a>'
        f"<td>{html.escape(verdict.outcome)}<td>{html.escape(verdict.estimate)}</tr>"
        for claim, verdict in verdicts
    ]
    parts.append("</table>")
    parts += [
        _section(claim, verdict, records[claim.name]) for claim, verdict in verdicts
    ]
    return "\n".join(parts) + "\n"


def _section(claim: Claim, verdict: Verdict, record: dict[str, Any]) -> str:
    file = io.BytesIO()
    claim.draw(record["numbers"]).savefig(file, format="png", dpi=110)
    picture = base64.b64encode(file.getvalue()).decode()
    versions = ", ".join(f"{name} {v}" for name, v in record["versions"].items())
    return (
        f'<h2 id="{claim.name}">{claim.name}. {html.escape(claim.title)}</h2>'
        f"<p><q>{html.escape(claim.sentence)}</q>"
        f"<p><b>{html.escape(verdict.outcome.capitalize())}.</b> "
        f"{html.escape(verdict.estimate)}<p>{html.escape(verdict.finding)}"
        f"<p><b>What to do.</b> {html.escape(verdict.advice)}"
        f'<p><img alt="Figure of {claim.name}: {html.escape(claim.title)}" '
        f'src="data:image/png;base64,{picture}">'
        f"<p><small>Size {record['size']}, {record['seconds']} s, {claim.comparisons} "
        f"comparisons; {html.escape(versions)}.</small>"
    )
