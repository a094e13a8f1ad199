"""results/README.md: the index for those who read on a code host. Verdicts, tables, figures."""

from __future__ import annotations

import html as escaping
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from bench.report.evidence import Evidence
from bench.report.pages.page import MEANINGS
from bench.report.tables import escape_md
from bench.schema.sweep import CONFIRM, Sweep

SIGN = {"supported": "✅ supported", "refuted": "❌ refuted", "open": "❔ open"}


def text(shown: Sequence[tuple[Evidence, dict[str, Any]]], broken: Sequence[str]) -> str:
    """The whole file. What users wrote is escaped; tables are the sweeps' own table.md."""
    lines = ["# Results", ""]
    lines += [
        "Written by `bench report`; do not edit. Each sweep's folder holds `records.csv` (every run), the table as "
        "Markdown, CSV and LaTeX, figures as SVG, PDF and PNG (a column of 8.5 cm), `verdict.md` and `manifest.json`. "
        "Open `index.html` in a clone for tables that sort, figures with values on hover, and the way from each number "
        "to its runs. `bench reproduce NAME` runs cells again and compares.",
        "",
        MEANINGS,
        "",
    ]
    for message in broken:
        lines += [f"> **Could not be read.** {escape_md(message)}", ""]
    if not shown:
        lines += ["No sweep has results here yet.", ""]
    else:
        shown = sorted(shown, key=lambda one: (not one[1]["theme"], one[1]["theme"].lower(), one[1]["name"]))
        lines += ["| theme | sweep | date | question | verdicts |", "| --- | --- | --- | --- | --- |"]
        for evidence, content in shown:
            said = (
                "<br>".join(f"{SIGN[v['word']]}: {escape_md(v['says'])}" for v in content["verdicts"])
                or "makes no claim"
            )
            link = f"[{escape_md(content['name'])}]({_path(evidence, '')})"
            row = [escape_md(content["theme"]), link, content["date"], escape_md(content["question"]), said]
            lines.append(f"| {' | '.join(row)} |")
        lines.append("")
    for evidence, content in shown:
        lines += _section(evidence, content)
    return "\n".join(lines).rstrip() + "\n"


BEGIN, END = "<!-- bench report: begin -->", "<!-- bench report: end -->"


def gallery(text: str, sweeps: Sequence[Sweep], contents: Sequence[dict[str, Any]]) -> str:
    """sweeps/README.md with a line for each sweep between its two marks; as it is where it has none.

    Args:
        contents: of the sweeps that have results, see `page.content`.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return text
    results = {content["name"]: content for content in contents}
    lines = ["| theme | sweep | question | verdicts | cost |", "| --- | --- | --- | --- | --- |"]
    for sweep in sorted(sweeps, key=lambda s: (not s.theme, s.theme.lower(), s.name)):
        content = results.get(sweep.name)
        found = _counted(content) if content else "not run yet"
        if (fresh := results.get(sweep.name + CONFIRM)) is not None:
            found += f"; on fresh seeds {_counted(fresh)}"
        cost = content["summary"].split(" · ")[-1] if content else ""
        link = f"[{escape_md(sweep.name)}]({quote(sweep.name)}.yaml)"
        lines.append(f"| {escape_md(sweep.theme)} | {link} | {escape_md(sweep.question)} | {found} | {cost} |")
    return "\n".join([before + BEGIN, *lines, END + after])


def _counted(content: dict[str, Any]) -> str:
    """How many claims came out as what, as a link to the sweep's page."""
    words = [v["word"] for v in content["verdicts"]]
    said = ", ".join(f"{words.count(word)} {word}" for word in SIGN if word in words)
    return f"[{said or 'no claims'}](../results/{quote(content['name'])}/)"


def _section(evidence: Evidence, content: dict[str, Any]) -> list[str]:
    lines = [
        f"## {escape_md(content['name'])}",
        "",
        escape_md(content["question"]),
        "",
        f"_{escape_md(content['summary'])}_",
        "",
    ]
    for v in content["verdicts"]:
        lines += [f"- **{SIGN[v['word']]}**: {escape_md(v['says'])}  ", f"  {escape_md(_evidence(v))}"]
    lines += [""] if content["verdicts"] else []
    table = evidence.folder / "table.md"
    if table.exists():
        body = table.read_text(encoding="utf-8").splitlines()
        # Its first lines repeat the question.
        body = body[2:] if body[:1] == [f"**{escape_md(evidence.sweep.question)}**"] else body
        lines += (
            body
            if len(body) <= 80
            else [f"The table has {len(body)} lines: [table.md]({_path(evidence, 'table.md')})."]
        )
        lines.append("")
    claims = [content["claims"]] if content["claims"] else []
    for figure in (*content["figures"][:1], *claims, *content["figures"][1:]):
        if figure["file"]:  # drawn for a column of 8.5 cm, which is small on a screen
            place, title = _path(evidence, figure["file"]), escaping.escape(figure["title"])
            lines += [f'<img src="{place}" alt="{title}" width="560">', ""]
    lines += [
        f"Run it again: `bench reproduce {content['name']}`" if content["name"].replace("-", "").isalnum() else "",
        "",
    ]
    return lines


def _evidence(v: dict[str, Any]) -> str:
    said = " ".join(text for text in (v["scope"], v["remarks"]) if text)
    return ". ".join(part for part in (v["numbers"], said) if part)


def _path(evidence: Evidence, file: str) -> str:
    return quote(f"{evidence.name}/{file}")
