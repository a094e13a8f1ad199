"""What a page says about how its numbers came to be: summary, protocol, provenance, commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bench.analysis.length import trains
from bench.analysis.naming import axis, replicates, reword
from bench.analysis.selection import judged_records, tuning_records
from bench.analysis.statement import counts
from bench.report.evidence import Evidence
from bench.report.pages.runs import shared_settings
from bench.schema.label import dataset_name
from bench.schema.metric import metric
from bench.schema.sweep import Sweep


def summary(evidence: Evidence) -> str:
    """One line under the question: how much was run, on what."""
    records, sweep = evidence.records, evidence.sweep
    finished = [r for r in records if r.status == "finished"]
    judged, chose = ({r.seed for r in some(sweep, records)} for some in (judged_records, tuning_records))
    parts = [
        f"{len(finished):,} of {len(records):,} runs finished",
        f"{len(judged)} seed{'s' if len(judged) != 1 else ''}" + (f", {len(chose)} more to choose on" if chose else ""),
    ]
    if evidence.manifest.get("scale"):
        parts.append(f"scale {evidence.manifest['scale']}")
    if used := datasets(evidence):
        parts.append(f"dataset {', '.join(used[:4])}" + (" ..." if len(used) > 4 else ""))
    seconds = sum(r.costs.get("cost/fit_seconds", 0.0) for r in finished)
    if seconds:
        parts.append(f"{duration(seconds)} of training")
    return " · ".join(parts)


def tuning(sweep: Sweep) -> str:
    """Why runs in the list have no test numbers: they chose hyperparameters; "" where none did."""
    if not sweep.select or not sweep.select.seeds:
        return ""
    over = ", ".join(axis(name) for name in sweep.select.over)
    seeds = f"{'Seeds' if len(sweep.select.seeds) > 1 else 'Seed'} {', '.join(map(str, sweep.select.seeds))}"
    return (
        f"{seeds} chose {over} on {metric(sweep.select.by).title}: of their runs, last in the list, test is not read."
    )


def datasets(evidence: Evidence) -> list[str]:
    """Names of the data sets of the finished runs."""
    finished = [r for r in evidence.records if r.status == "finished"]
    return sorted({name for r in finished if (name := dataset_name(r.config))})


def date(evidence: Evidence) -> str:
    """The day (UTC) on which the last run began, as 2026-11-27; "" where no run says."""
    started = [float(r.provenance["started"]) for r in evidence.records if r.provenance.get("started")]
    return datetime.fromtimestamp(max(started), UTC).date().isoformat() if started else ""


def duration(seconds: float) -> str:
    """As people say it: 42 s, 17 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


_SETTINGS = {
    "dataset": "dataset.source",
    "training images a class": "split.train_per_class",
    "part of the training images": "split.train_fraction",
    "epochs": "trainer.epochs",
    "steps": "trainer.steps",
    "seconds of training": "trainer.seconds",
    "batch size": "trainer.batch_size",
    "augmentation": "augment.name",
    "pixel norm": "pixel_norm.name",
}


def protocol(evidence: Evidence) -> list[tuple[str, str]]:
    """How the numbers were made, in the order in which a reviewer asks."""
    config, sweep = shared_settings(evidence.records), evidence.sweep
    seeds = sorted({r.seed for r in judged_records(sweep, evidence.records)})
    drawn = replicates(sweep.replicates)
    how = "standard deviation with ddof=1" if len(sweep.replicates) == 1 else "crossed: each one's variance counts"
    chosen = {"val/accuracy": "best val accuracy", "val/nll": "lowest val NLL", "last": "the last one"}
    select = config.get("trainer.select")
    trained = any(trains(r) for r in evidence.records)
    epoch = chosen.get(select or "", "as the settings say") + "; test is scored at that epoch"
    out = [
        *([("selected epoch", epoch)] if trained else []),
        (
            "seeds",
            f"{len(seeds)}: {', '.join(map(str, seeds[:12]))}{' ...' if len(seeds) > 12 else ''}; pairs share a seed",
        ),
        ("split", f"has a seed of its own, {config['split.seed']}" if "split.seed" in config else "as the axes say"),
        ("intervals", reword(f"95% Student's t over seeds, {how}", drawn)),
        ("claims", f"{len(sweep.claims)}, Holm's correction over all of them" if sweep.claims else "none"),
    ]
    if sweep.select:
        over = ", ".join(axis(name) for name in sweep.select.over)
        on = f" of seeds {', '.join(map(str, sweep.select.seeds))}" if sweep.select.seeds else ""
        out.insert(int(trained), ("hyperparameters", f"{over}: chosen on {metric(sweep.select.by).title}{on}"))
    config = {**config, "dataset.source": ", ".join(datasets(evidence))} if "dataset.source" in config else config
    return out + [
        (name, config[key])
        for name, key in _SETTINGS.items()
        if config.get(key, "none") != "none" and any(counts(r, key) for r in evidence.records)
    ]


def provenance(evidence: Evidence) -> list[tuple[str, str]]:
    """Where the numbers came from."""
    given = evidence.manifest
    code = given.get("code", {})

    def counted(found: Any) -> str:
        pairs = found.items() if isinstance(found, dict) else ()
        return "; ".join(f"{text} ({count} runs)" if len(found) > 1 else str(text) for text, count in pairs)

    out = [
        ("code", counted(code.get("commits", {}))),
        ("uncommitted changes", counted({"yes" if k == "true" else "no": v for k, v in code.get("dirty", {}).items()})),
        ("data fingerprint", counted(given.get("data_fingerprints", {}))),
        ("hardware", counted(given.get("hardware", {}))),
        ("threads a run", counted(given.get("platform", {}).get("threads", {}))),
        ("system", counted(given.get("platform", {}).get("platform", {}))),
        ("Python", counted(given.get("platform", {}).get("python", {}))),
    ]
    for packages in given.get("packages", []):
        if isinstance(packages, dict):
            out.append(("packages", ", ".join(f"{name} {version}" for name, version in packages.items())))
    return [(name, text) for name, text in out if text]


def commands(evidence: Evidence) -> list[tuple[str, str]]:
    """(what it does, command) pairs that lead from this page back to the numbers."""
    name = evidence.name
    scale = evidence.manifest.get("scale", "")
    flag = f" --scale {scale}" if scale and scale != "small" else ""
    ran = evidence.manifest.get("command") or f"bench sweep {evidence.sweep.name}{flag}"
    return [
        ("Check that the files here agree with each other; nothing is run:", f"bench reproduce {name} --check"),
        (
            "Run three of its cells again here and compare, with a prediction interval for what seeds alone would do:",
            f"bench reproduce {name}",
        ),
        ("Run all of it again, whatever is committed:", f"{ran} --fresh"),
        (
            "Look at single runs, with curves, confusion matrix and configuration, in the folder of the store:",
            "bench ui",
        ),
    ]
