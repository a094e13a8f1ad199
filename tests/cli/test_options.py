"""`bench options`: every setting of the schema is in it, says what it means, and every example is one that works."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from bench.cli.reference import sections
from bench.compose import compose, groups
from bench.report.pages import site
from bench.schema import examples
from bench.schema.claim import KINDS, Bound
from bench.schema.experiment import Experiment, experiment
from bench.schema.part import build
from bench.schema.reference import Entry
from bench.schema.science import flat_settings
from bench.schema.sweep import Figure, FigureKind, Sweep
from bench.schema.sweep_file import sweep
from bench.schema.training import Optim, Trainer
from bench.schema.where import settings


def every() -> list[Entry]:
    return [entry for section in sections(own=False) for entry in section.settings]


def test_every_setting_is_there_and_says_what_it_means() -> None:
    found = every()
    named = {e.name for e in found}
    missing = {s.name for s in settings(Experiment) if ".own." not in s.name and not s.name.endswith(".own")} - named
    assert {name.rpartition(".")[2] for name in missing} <= {"family", "source"}  # those are the groups' choices
    assert {f.name for f in dataclasses.fields(Sweep)} <= named
    assert [f"{e.name} of {e.part} ({e.source})" for e in found if not e.meaning] == []
    for entry in found:
        text = (Path(__file__).parents[2] / entry.source).read_text()
        assert f"\n    {entry.name.rpartition('.')[2]}:" in text[text.index(f"\nclass {entry.part}") :]


def test_types_ranges_and_defaults() -> None:
    found = {(e.name, e.part): e for e in every()}
    assert found["optim.lr", "Optim"].type == "number above 0"
    assert found["optim.momentum", "Optim"].type == "number from 0 below 1"
    assert found["model.filters", "Cnn"].type == "list of whole numbers above 0"
    assert found["trainer.patience", "Trainer"].type == "whole number above 0 or null"
    assert found["dataset.root", "Folder"].default is None
    assert found["optim.milestones", "Optim"].default == "[0.5,0.75]"
    assert found["transfer.input.std", "Input"].only == ()
    assert found["bound", "Bound"].only == ("bound",)
    # A default is written as an override says it: it makes what leaving it out makes.
    for group, part in (("optim", Optim), ("trainer", Trainer)):
        said = {e.name.partition(".")[2]: yaml.safe_load(str(e.default)) for e in every() if e.part == part.__name__}
        said = {
            k: str(v) if k in ("precision",) else "off" if v is False and k == "stack" else v for k, v in said.items()
        }
        assert build(part, said) == part(), group


def test_every_choice_is_there() -> None:
    found = {s.name: {name for name, _, _ in s.choices} for s in sections()}
    assert {g: set(o) for g, o in groups().items() if not g.startswith("hydra")} == {
        g: o for g, o in found.items() if o and g != "metric"
    }
    sets = {name: sets for s in sections() if s.name == "optim" for name, sets, _ in s.choices}
    assert flat_settings(experiment(compose(["optim=sgd"])))["optim.lr"] == float(
        sets["sgd"].split("lr=")[1].split()[0]
    )


def test_every_kind_has_an_example_that_is_read() -> None:
    assert tuple(examples.CLAIMS) == KINDS
    assert tuple(examples.FIGURES) == FigureKind.__args__
    base = {"name": "example", "question": "?", "axes": examples.AXES}
    for kind, text in examples.CLAIMS.items():
        (claim,) = sweep({**base, "claims": yaml.safe_load(text)}, "example").claims
        assert claim.kind == kind
    assert isinstance(claim, Bound)
    for kind, text in examples.FIGURES.items():
        figure = sweep({**base, "figure": yaml.safe_load(text)}, "example").figure
        assert isinstance(figure, Figure)
        assert figure.kind == kind


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("optim", ["optim.lr\n", "number above 0; default 0.001", "momentum=0.9"]),
        ("lr", ["optim.lr\n"]),
        ("model=knn", ["model.k  [knn]", "Cover & Hart"]),
        ("compare", ["says  [compare]", "Example of compare"]),
        ("heat", ["Example of heat", "down."]),
        ("sweep", ["exclude", "table.rows"]),
        ("metric", ["calibration error (%), lower is better"]),
    ],
)
def test_one_thing_is_found_by_its_name(bench, name: str, told: list[str]) -> None:
    status, out, _ = bench("options", name)
    assert status == 0
    assert [text for text in told if text not in out] == []


def test_what_is_ones_own_is_there_too(tmp_path: Path, monkeypatch, bench, bench_json) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench("new", "model", "mine")[0] == 0
    assert "parts/mine.py" in bench("options", "mine")[1]
    assert len(bench_json("options", "--all")) == len(sections())
    status, _, err = bench("options", "optm.lr")
    assert status == 2
    assert "Did you mean 'optim.lr'?" in err


def test_it_is_a_page_too(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    site.build(tmp_path / "results", reference=sections(own=False))
    text = (tmp_path / "results" / "options.html").read_text()
    assert [e.name for e in every() if f"<code>{e.name}</code>" not in text] == []
    assert 'href="options.html"' in (tmp_path / "results" / "index.html").read_text()
    site.build(tmp_path / "results")
    assert "options.html" not in (tmp_path / "results" / "index.html").read_text()
