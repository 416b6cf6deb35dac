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


def write(claims: list[Claim], records: dict[str, Any], folder: pathlib.Path) -> str:
    """Write ``report.html`` and ``report.md``, and return the latter's text."""
    verdicts = judged(claims, records)
    text = to_markdown(verdicts, records)
    (folder / "report.md").write_text(text)
    (folder / "report.html").write_text(to_html(verdicts, records))
    return text


def to_markdown(verdicts: list[tuple[Claim, Verdict]], records: dict[str, Any]) -> str:
    """Return the table of verdicts, and what claims have of tables of their own."""
    head = ["claim", "what is claimed", "verdict", "what decides", "comparisons"]
    rows = [[*head, "figure"]]
    for claim, verdict in verdicts:
        size = records[claim.name]["size"]
        picture = _records.path_of(claim, size, pathlib.Path()).with_suffix(".png")
        rows.append(
            [
                f"{claim.name} {claim.title} ({size})",
                claim.sentence,
                f"**{verdict.outcome}** ({verdict.when})",
                verdict.estimate,
                str(claim.comparisons),
                f"[figure]({picture})",
            ]
        )
    parts = [_markdown_table(rows)]
    for claim, _ in verdicts:
        if claim.table is not None:
            table = claim.table(records[claim.name]["numbers"])
            parts.append(f"## {claim.name} {claim.title}\n\n{_markdown_table(table)}")
    return "\n".join(parts)


def _markdown_table(rows: list[list[str]]) -> str:
    head, *rest = [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        for row in rows
    ]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *rest]) + "\n"


def to_html(verdicts: list[tuple[Claim, Verdict]], records: dict[str, Any]) -> str:
    """Return the page, its figures inside."""
    rows = [["claim", "verdict", "what decides"]]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Claims about weight "
        f"decay</title><style>{_STYLE}</style><h1>Claims about weight decay</h1>",
    ]
    rows += [
        [
            f'<a href="#{claim.name}">{claim.name} {html.escape(claim.title)}</a>',
            html.escape(verdict.outcome),
            html.escape(verdict.estimate),
        ]
        for claim, verdict in verdicts
    ]
    parts.append(_html_table(rows))
    parts += [
        _section(claim, verdict, records[claim.name]) for claim, verdict in verdicts
    ]
    return "\n".join(parts) + "\n"


def _html_table(rows: list[list[str]]) -> str:
    """Return a table of cells that are HTML already, the head first."""
    lines = [
        "<tr>" + "".join(f"<{kind}>{cell}</{kind}>" for cell in row) + "</tr>"
        for kind, row in zip(["th"] + ["td"] * len(rows), rows, strict=False)
    ]
    return f"<table>{''.join(lines)}</table>"


def _section(claim: Claim, verdict: Verdict, record: dict[str, Any]) -> str:
    file = io.BytesIO()
    claim.draw(record["numbers"]).savefig(file, format="png", dpi=110)
    picture = base64.b64encode(file.getvalue()).decode()
    table = ""
    if claim.table is not None:
        rows = claim.table(record["numbers"])
        table = _html_table([[html.escape(cell) for cell in row] for row in rows])
    versions = ", ".join(f"{name} {v}" for name, v in record["versions"].items())
    return (
        f'<h2 id="{claim.name}">{claim.name}. {html.escape(claim.title)}</h2>'
        f"<p><q>{html.escape(claim.sentence)}</q>"
        f"<p><b>{html.escape(verdict.outcome.capitalize())}</b> "
        f"({html.escape(verdict.when)}).<p>{html.escape(verdict.estimate)}<p>{html.escape(verdict.finding)}"
        f"<p><b>What to do.</b> {html.escape(verdict.advice)}"
        f'<p><img alt="Figure of {claim.name}: {html.escape(claim.title)}" '
        f'src="data:image/png;base64,{picture}">{table}'
        f"<p><small>Size {record['size']}, {record['seconds']} s, {claim.comparisons} "
        f"comparisons; {html.escape(versions)}.</small>"
    )
