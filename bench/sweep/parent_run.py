"""The parent run of a sweep in MLflow: its question, table and figure, with the sweep's runs nested below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.analysis.artifacts import Reader
from bench.schema.sweep import Sweep
from bench.track.pages import NOTE
from bench.track.record import Record, to_csv
from bench.track.store import Store

ROOM = 8000  # characters of a tag
STATEMENT = "sweep.yaml"
DESCRIBED = ("verdict.md", "table.md")  # parts of the parent's description
TO_JUDGE = "The claims are judged by `bench table`, which keeps a record of each look at them."
JUDGED = "\n\n**Verdicts**\n\n"


def lacks_description(store: Store, title: str) -> bool:
    """Whether there is a parent run without a word in it: its runs were brought by `bench sync`."""
    parent = store.parent(title)
    return parent is not None and store.tag_of(parent, NOTE) is None


def describe(
    store: Store,
    title: str,
    sweep: Sweep,
    records: Sequence[Record],
    reader: Reader | None = None,
    interrupted: bool = False,
    statement: str = "",
) -> None:
    """Write question, source, table, figure and counts into the sweep's parent run.

    Args:
        reader: reads the runs' files.
        interrupted: nobody runs what is missing.
        statement: the file that states the sweep (`bench.sweep.statement`).

    Raises:
        StoreUnavailable: when the store does not answer.
    """
    parent = store.parent(title, make=True)
    assert parent is not None
    store.revive(parent)
    counts = {s: sum(r.status == s for r in records) for s in ("finished", "failed", "missing")}
    said = f"{len(records)} runs: " + ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    text = [f"**{sweep.question}**", sweep.source, said]
    with TemporaryDirectory() as folder:
        stated = {STATEMENT: statement} if statement else {}
        for name, content in (_evidence(sweep, list(records), reader) | stated).items():
            (Path(folder) / name).write_bytes(content.encode() if isinstance(content, str) else content)
            text += [_body(content)] if name in DESCRIBED and isinstance(content, str) else []
        store.add_files(parent, sorted(Path(folder).iterdir()))
    store.tag(parent, NOTE, "\n\n".join(t for t in text if t)[:ROOM])
    unfinished = "KILLED" if interrupted else "RUNNING"  # by another launch
    store.mark(parent, unfinished if counts["missing"] else "FAILED" if counts["failed"] else "FINISHED")


def write_verdicts(store: Store, title: str, verdicts: Path) -> None:
    """Write the verdicts of `bench table` into the sweep's parent run, as a file and into its description.

    Only that verb judges: each judgement is a look, which is on record and paid for (`bench.analysis.looks`).

    Raises:
        StoreUnavailable: when the store does not answer.
    """
    parent = store.parent(title, make=True)
    assert parent is not None
    store.add_files(parent, [verdicts])
    body = _body(verdicts.read_text(encoding="utf-8"))[: ROOM // 2]
    before = (store.tag_of(parent, NOTE) or "").replace(TO_JUDGE, "").partition(JUDGED)[0]
    store.tag(parent, NOTE, before[: ROOM - len(body) - len(JUDGED)] + JUDGED + body)


def _body(markdown: str) -> str:
    """A text without its first heading, which the description has already."""
    head, _, rest = markdown.partition("\n")
    return rest.strip() if head.startswith(("#", "**")) else markdown


def _evidence(sweep: Sweep, records: list[Record], reader: Reader | None) -> dict[str, str | bytes]:
    """Table and figures as files' contents; nothing of what the records do not have yet, and no verdict.

    Figures that need files of every run are left to `bench table`: fetching them would hold up the sweep's end.
    """
    from bench.analysis import artifacts
    from bench.analysis.frame import select_frame
    from bench.report import figures, tables
    from bench.report.figures.choice import stem
    from bench.report.grid import pivot
    from bench.report.notes import notes

    out: dict[str, str | bytes] = {"records.csv": to_csv(records)}
    if not any(r.status == "finished" for r in records):
        return out
    if sweep.claims:
        out["verdict.md"] = f"# {sweep.name}: verdicts\n\n{TO_JUDGE}\n"
    if sweep.table is not None:
        frame = select_frame(sweep, records)
        grid = pivot(frame, sweep, reader)
        out["table.md"] = tables.markdown(grid, notes(grid, frame, sweep, records, {}))
    for i, figure in enumerate([sweep.figure, *sweep.figures]):
        if figure is not None and figure.kind not in artifacts.FILE:
            out[f"{stem(i)}.png"] = figures.png(figures.draw(figure, sweep, records, None))
    return out
