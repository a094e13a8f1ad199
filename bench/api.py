"""What the commands do, from Python: `bench.run`, `bench.sweep`, `bench.table`, `bench.records`, `bench.compare`.

    import bench

    bench.run("dataset=digits", "model=dnn").metrics["test/accuracy"]
    bench.sweep("batchnorm", scale="smoke").table()
    bench.sweep(axes={"model": ["linear", "dnn"]}, seeds=3, overrides=["dataset=digits"])

The words are those of the commands, the errors are `RequestError`s with the same messages, and what comes back shows
itself in a notebook. `bench` itself stays light: this file is imported at the first call.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import dataclasses
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.schema.errors import RequestError
from bench.track.record import Record

if TYPE_CHECKING:
    import pandas as pd

Axes = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Run:
    """One run; attributes of its Record are its own: `metrics`, `costs`, `status`, `reason`, `run_id`, `config`.

    Attributes:
        ran: whether it ran now; False where the store had it.
        store: where it is.
    """

    record: Record
    ran: bool
    store: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.record, name)

    def __str__(self) -> str:
        from bench.cli.summary import summary

        return summary(self.record, self.ran, self.store)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


@dataclass(frozen=True)
class Table:
    """A sweep's table, figures and verdicts, as `bench table` writes them.

    Attributes:
        folder: where the files are.
        text: for a terminal.
        data: cells and verdicts, as plain data.
    """

    folder: Path
    text: str
    data: dict[str, Any]

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{html.escape(self.data['question'])}</b></p>", (self.folder / "table.html").read_text()]
        figure = self.folder / "figure.png"
        if figure.exists():
            image = base64.b64encode(figure.read_bytes()).decode()
            parts.append(f'<img alt="figure" style="max-width: 40em" src="data:image/png;base64,{image}">')
        if (verdict := self.folder / "verdict.md").exists():
            parts.append(f"<pre style='white-space: pre-wrap'>{html.escape(verdict.read_text())}</pre>")
        return "\n".join(parts)


@dataclass(frozen=True)
class Sweep:
    """A sweep that was run: its counts (`planned`, `ran`, `failed`, ...), its table, its records."""

    name: str
    counts: dict[str, Any]
    asked: dict[str, Any]

    def table(self, out: str | None = None) -> Table:
        """Its table, figures and verdicts, written to results/ (or `out`)."""
        return _table(self.asked, out)

    def records(self) -> pd.DataFrame:
        """Its records, one row a run."""
        return _frame(_records(self.asked))

    def __str__(self) -> str:
        shown = {k: v for k, v in self.counts.items() if v or k in ("planned", "ran", "failed")}
        return f"{self.name}: " + " · ".join(f"{count} {word}" for word, count in shown.items())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        done = self.counts["planned"] - self.counts["left"] - self.counts["failed"]
        return f"<p>{html.escape(str(self))}</p>" + (self.table()._repr_html_() if done else "")


@dataclass(frozen=True)
class Comparison:
    """Two results side by side.

    Attributes:
        figure: path of the drawing.
        data: settings that differ and paired differences, as plain data.
    """

    text: str
    figure: Path
    data: dict[str, Any]

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.text)}</pre>{self.figure.read_text() if self.figure.suffix == '.svg' else ''}"


def run(*overrides: str, fresh: bool = False, allow: Mapping[str, str] | None = None, parts: str | None = None) -> Run:
    """One experiment, as `bench run` runs it; one that the store has is not run again, unless `fresh`.

    Args:
        allow: findings of `bench check` that may stand -> why, in words.
        parts: a folder of own parts.

    Raises:
        RequestError: for a request that is wrong. A run that failed comes back, with its `status` and `reason`.
    """
    from bench.cli.run import reasons, run_or_find
    from bench.compose import compose

    _use(parts)
    allowed = reasons([f"{name}={reason}" for name, reason in (allow or {}).items()])
    return Run(*run_or_find(compose(list(overrides)), fresh, allowed))


def sweep(
    name: str = "",
    *overrides: str,
    axes: Axes | None = None,
    scale: str = "small",
    seeds: int | Sequence[int] | None = None,
    workers: int | None = None,
    retry_failed: bool = False,
    fresh: bool = False,
    dry_run: bool = False,
    parts: str | None = None,
) -> Sweep:
    """A sweep by its file's name, or over `axes`, as `bench sweep` runs it; progress goes to standard error.

    Raises:
        RequestError: for a request that is wrong.
    """
    from bench.cli import sweep as verb

    _use(parts)
    asked = _words_of(name, overrides, axes, scale, seeds)
    more = {"workers": workers, "retry_failed": retry_failed, "fresh": fresh, "dry_run": dry_run}
    counts = _json_of(verb, {**asked, **more})
    return Sweep(counts.pop("sweep"), counts, asked)


def table(
    name: str = "",
    *overrides: str,
    axes: Axes | None = None,
    scale: str = "small",
    seeds: int | Sequence[int] | None = None,
    out: str | None = None,
) -> Table:
    """A sweep's table, figures and verdicts, as `bench table` writes them.

    Raises:
        RequestError: for a request that is wrong, or a sweep of which nothing was run.
    """
    return _table(_words_of(name, overrides, axes, scale, seeds), out)


def records(
    name: str = "",
    *overrides: str,
    axes: Axes | None = None,
    scale: str = "small",
    seeds: int | Sequence[int] | None = None,
) -> pd.DataFrame:
    """The records of a sweep, or of a records.csv (`name`), as a pandas frame: one row a run, one column an entry.

    Raises:
        RequestError: for a request that is wrong, or without pandas.
    """
    if name.endswith(".csv"):
        from bench.track.record import read_csv

        return _frame(read_csv(Path(name)))
    return _frame(_records(_words_of(name, overrides, axes, scale, seeds)))


def compare(a: str, b: str, metric: Sequence[str] = (), out: str = "compare.svg") -> Comparison:
    """Two runs, sweeps, results folders, stores or commits side by side, as `bench compare` has it.

    Raises:
        RequestError: for a word that names nothing.
    """
    from bench.cli import compare as verb

    words = {"a": a, "b": b, "metric": list(metric), "out": Path(out), "results": Path("results")}
    data = _json_of(verb, words)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        verb.main(_arguments(verb, words, as_json=False))
    return Comparison(said.getvalue(), Path(data.get("figure", out)), data)


def _use(parts: str | None) -> None:
    if parts is not None:
        from bench.parts.listing import use

        use(parts)


def _words_of(
    name: str, overrides: Sequence[str], axes: Axes | None, scale: str, seeds: int | Sequence[int] | None
) -> dict[str, Any]:
    """The words of a command line."""
    if axes and name:
        raise RequestError(f"'{name}' and axes: expected the name of a sweep, or axes with `overrides` after an empty "
                           "name: bench.sweep('', 'dataset=digits', axes={...}).")  # fmt: skip
    stated = [
        f"{axis}={','.join(v if isinstance(v, str) else json.dumps(v) for v in values)}"
        for axis, values in (axes or {}).items()
    ]
    single = [text for text, values in zip(stated, (axes or {}).values(), strict=True) if len(values) < 2]
    if single:
        raise RequestError(f"axes: {single[0]}: expected two values or more. One value is an override.")
    number = None if seeds is None else str(seeds) if isinstance(seeds, int) else ",".join(map(str, seeds))
    return {"words": [*([name] if name else []), *overrides], "axes": stated, "name": None, "scale": scale,
            "seeds": number}  # fmt: skip


def _arguments(verb: Any, words: dict[str, Any], as_json: bool) -> argparse.Namespace:
    """The words, and the verb's own defaults for what they leave open."""
    parser = argparse.ArgumentParser()
    verb.options(parser)
    defaults = {action.dest: action.default for action in parser._actions if action.dest != "help"}
    return argparse.Namespace(**{**defaults, **words, "json": as_json})


def _json_of(verb: Any, words: dict[str, Any]) -> dict[str, Any]:
    """What a verb says with --json."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        verb.main(_arguments(verb, words, as_json=True))
    return dict(json.loads(said.getvalue().strip().splitlines()[-1]))


def _table(asked: dict[str, Any], out: str | None) -> Table:
    from bench.cli import table as verb

    words = {**asked, "records": None, "out": None if out is None else Path(out)}
    data = _json_of(verb, words)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        verb.main(_arguments(verb, words, as_json=False))
    return Table(Path(data["folder"]), said.getvalue(), data)


def _records(asked: dict[str, Any]) -> list[Record]:
    from bench.cli.sweep_arguments import experiment_name, requested_sweep, seeds
    from bench.cli.table import read_store
    from bench.sweep.plan import at_scale

    words = argparse.Namespace(**asked)
    named, overrides = requested_sweep(words)  # a name such as adhoc-smoke says the scale too
    made = at_scale(named, words.scale, seeds(words.seeds))
    return read_store(made, overrides, experiment_name(made.name, words.scale))[0]


def _frame(found: Sequence[Record]) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError:
        raise RequestError("bench.records gives a pandas frame: pip install pandas.") from None
    rows = []
    for record in found:
        fixed = {f.name: getattr(record, f.name) for f in dataclasses.fields(record) if f.name in FIXED}
        rows.append({**fixed, **record.axes, **record.metrics, **record.costs,
                     **{f"config.{k}": v for k, v in record.config.items()}})  # fmt: skip
    return pd.DataFrame(rows)


FIXED = ("key", "sweep", "seed", "status", "reason", "run_id")
