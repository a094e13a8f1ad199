"""What has to be said beside a table: how to read it, what is missing, what was mixed, how often test was looked at."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.analysis.fairness import doubts
from bench.analysis.frame import Frame
from bench.analysis.naming import axis
from bench.analysis.registered import stamps, unregistered_note
from bench.analysis.selection import tuning_records
from bench.report.grid import Grid, reasons
from bench.schema.claim import metrics_of
from bench.schema.label import show
from bench.schema.metric import metric
from bench.schema.own import codes
from bench.schema.sweep import Sweep, names
from bench.track.record import Record

MARKED = "Marked: * best of its column, ~ not told apart from the best (paired, corrected for the column)."


@dataclass(frozen=True)
class Note:
    """One remark under a table. `stamp` marks what limits the trust in it."""

    text: str
    stamp: bool = False


# Costs that a run has together with those it was trained with.
OF_PROGRAM = ("fit_seconds", "images_per_second", "peak_memory_mb", "cpu_joules")


def _shown(sweep: Sweep) -> list[str]:
    """Metrics of the table, the figures and the claims."""
    found = names(sweep.table.metric) if sweep.table else []
    for figure in (sweep.figure, *sweep.figures):
        if figure is not None:
            found += [figure.y, figure.cost] if figure.kind == "pareto" else [figure.y]
    return list(dict.fromkeys([*found, *(name for claim in sweep.claims for name in metrics_of(claim))]))


def notes(grid: Grid, frame: Frame, sweep: Sweep, records: list[Record], context: Mapping[str, Any]) -> list[Note]:
    """All remarks for a table.

    Args:
        frame: what the table shows, after selection.
        records: all records of the sweep, before selection.
        context: see `bench.report.write`.
    """
    cells = grid.cells()
    out = [Note(text, stamp=True) for text in stamps(sweep, records, context)]
    if not any(c.values for c in cells):
        out.append(Note("No run has finished: there is nothing to compare yet.", stamp=True))
    if cells and max(c.interval.n for c in cells) == 1:
        out.append(Note("One seed a cell: without a second one there is no interval and no test.", stamp=True))
    over = "seeds" if not frame.drawn else f"replicates ({frame.replicates})"
    cut = any(c.interval.cut for c in cells)
    ends = "[from, to] where it ends with the metric" if cut else "it ends where the metric does"
    out += [Note(f"Cells: mean ± half width of the 95% t-interval over n {over}; {ends}.")]
    shared = [r for r in frame.records if int(r.provenance.get("together") or 1) > 1]
    if shared and (costly := [name for name in _shown(sweep) if name.rpartition("/")[2] in OF_PROGRAM]):
        said = ", ".join(metric(name).title for name in costly)
        what = "program with others. Seconds and energy are a run's share, memory is the whole program's."
        out.append(Note(f"{said}: {len(shared)} runs were trained as one {what}", stamp=True))
    if any(mark for panel in grid.panels for row in panel.marks for mark in row):
        out.append(Note(MARKED))
    out += [Note(*said) for said in selection(frame, sweep, records)]
    if why := reasons(cells):
        out.append(Note("Failed: " + "; ".join(why) + ".", stamp=True))
    absent = sum(c.missing + c.running for c in {id(c.records[0]): c for c in cells}.values())
    if absent:
        out.append(Note(f"Not finished: {absent} planned run{'s' if absent > 1 else ''}.", stamp=True))
    out += [Note(text, stamp=True) for text in mixed_stamps(frame.records)]
    if not any(finding["name"] == "images_skipped" for finding in context.get("findings", ())):
        out += [Note(text, stamp=True) for text in skipped_stamps(frame.records)]
    for name, doubt in doubts(frame, sweep):
        reason = sweep.allow.get(name)
        out.append(Note(f"{name}: {doubt}" + (f" Allowed: {reason}" if reason else ""), stamp=not reason))
    for finding in context.get("findings", ()):
        reason = sweep.allow.get(finding["name"])
        text = f"{finding['name']}: {finding['message']}"
        out.append(Note(f"{text} Allowed: {reason}" if reason else text, stamp=not reason))
    if "findings" not in context:  # nobody looked; otherwise what is allowed but not found at this scale has no say
        out += [Note(f"{name}: allowed. {reason}") for name, reason in sweep.allow.items()]
    if runs := unregistered_note(sweep, records, context):
        out.append(Note(f"Claims: not on record from before {runs}."))
    out.append(Note(looks(records, context)))
    return out


def selection(frame: Frame, sweep: Sweep, records: list[Record]) -> Iterator[tuple[str, bool]]:
    """How hyperparameters were chosen, and what went wrong with it: texts, and whether each limits the trust."""
    if not sweep.select:
        return
    over, by = ", ".join(axis(name) for name in sweep.select.over), metric(sweep.select.by).title
    if not sweep.select.seeds:
        yield f"{over}: selected for each cell on {by}, mean over seeds.", False
        lost = sum(r.status != "finished" for r in records) - sum(r.status != "finished" for r in frame.records)
        if lost:
            yield f"Selection: {lost} run{'s' if lost > 1 else ''} of other candidates did not finish.", True
        return
    runs = tuning_records(sweep, records)
    if (
        not runs and max(frame.candidates.values(), default=1) == 1
    ):  # `bench.sweep.tuning` runs no tuning seeds for a cell of one candidate
        yield f"{over}: one value for each cell, so that there was nothing to choose.", False
        return
    among = "; ".join(", ".join(levels(name, runs)) for name in sweep.select.over)
    seeds = ", ".join(map(str, sweep.select.seeds))
    yield f"{over}: chosen for each cell among {among} by {by}, mean over tuning seeds {seeds}, not judged.", False
    if lost := sum(r.status == "failed" for r in runs):
        yield f"Selection: {lost} of {len(runs)} tuning runs failed, which counts as the worst {by}.", False
    if unsure := sorted({why for _, why in frame.chosen.values() if why}):
        yield f"Selection: {'; '.join(unsure)}.", True


def levels(name: str, records: list[Record]) -> list[str]:
    """The values of an axis that records have, as people write them, in the order of the records."""
    return list(dict.fromkeys(show(r.axes[name]) for r in records if name in r.axes))


def skipped_stamps(records: list[Record]) -> list[str]:
    """A stamp where runs were of a set of which files had been left out."""
    counts = {int(r.provenance.get("skipped_images", 0)) for r in records} - {0}
    said = ", ".join(map(str, sorted(counts)))
    words = (
        "1 file of a set could not be read and is"
        if said == "1"
        else f"{said} files of a set could not be read and are"
    )
    return [f"Skipped: {words} in no split."] if counts else []


def looks(records: list[Record], context: Mapping[str, Any]) -> str:
    """The ledger of test looks: how often the test split was scored, in this sweep and in the whole store."""
    splits: dict[str, int] = defaultdict(int)
    for record in records:
        if any(name.startswith("test/") for name in record.metrics):
            splits[_test_split(record)] += 1
    here = sum(splits.values())
    what = "the test split was scored" if len(splits) < 2 else f"{len(splits)} test splits were scored"
    text = f"Ledger: {what} {here} time{'s' if here != 1 else ''} in this sweep"
    if (total := context.get("test_looks")) is not None:
        text += f", {max(int(total), here)} in the store"
    if (judged := context.get("test_decisions")) is not None:
        text = text.removesuffix(" in the store") + " in all stores and results known here"
        text += (
            f"; claims of other sweeps were judged on it {judged} time{'s' if judged != 1 else ''}" if judged else ""
        )
    return text + "."


def _test_split(record: Record) -> str:
    """Which test split a run scored; for records without its fingerprint, the settings that decide it."""
    if known := record.provenance.get("test_fingerprint"):
        return known
    train_only = ("split.val", "split.train_fraction", "split.train_per_class")
    settings = {k: v for k, v in record.config.items() if k.startswith(("dataset.", "split.")) and k not in train_only}
    return json.dumps(settings, sort_keys=True, default=str)


def mixed_stamps(records: list[Record]) -> list[str]:
    """Stamps for what should have been the same in all finished runs of a table and was not."""
    finished = [r for r in records if r.status == "finished"]
    out = []
    commits = _distinct(finished, "git_commit")
    if len(commits) > 1:
        out.append(f"Mixed code: {len(commits)} commits ({', '.join(c[:10] for c in commits)}).")
    versions: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for record in finished:
        for part, code in codes(record.config).items():
            versions[part][code if "==" in code else code[:8]] += 1
    for part, counts in versions.items():
        if len(counts) > 1:
            told = ", ".join(f"{code} in {count} run{'s'[: count != 1]}" for code, count in counts.items())
            out.append(f"Mixed versions of {part}: {len(counts)} ({told}).")
    dirty = [r for r in finished if r.provenance.get("git_dirty", "").lower() in ("true", "1", "yes")]
    if dirty:
        out.append(f"Uncommitted code: {len(dirty)} of {len(finished)} runs came from a changed working tree.")
    for name, what in (("packages", "package versions"), ("hardware", "hardware")):
        found = _distinct(finished, name)
        if len(found) > 1:
            out.append(f"Mixed {what}: {len(found)} kinds ({_differences(found)}).")
    if len(threads := _distinct(finished, "threads")) > 1:
        out.append(f"Mixed thread counts: {', '.join(sorted(threads))}; last digits and seconds differ with them.")
    # A dataset or a training size on an axis changes the fingerprint rightly: compare within equal data settings.
    by_setting: dict[str, set[str]] = defaultdict(set)
    for record in finished:
        setting = repr(sorted((k, v) for k, v in record.config.items() if k.startswith(("dataset.", "split."))))
        by_setting[setting].add(record.provenance.get("data_fingerprint", ""))
    if any(len(prints) > 1 for prints in by_setting.values()):
        out.append("Mixed data: the same dataset settings gave different images, labels or splits.")
    return out


def _distinct(records: list[Record], name: str) -> list[str]:
    return list(dict.fromkeys(r.provenance.get(name, "unknown") for r in records))


def _differences(texts: list[str]) -> str:
    """The comma- or line-separated parts in which texts differ, shortened."""
    parts = [[p.strip(' {}"') for p in text.replace("\n", ",").replace(";", ",").split(",")] for text in texts]
    common = set(parts[0]).intersection(*parts[1:])
    different = ["; ".join(p for p in each if p not in common) for each in parts]
    shown = " / ".join(d for d in different if d)
    return shown if len(shown) <= 160 else shown[:157] + "..."
