"""`bench reproduce --check` and `bench table --records` on inputs that once passed, or gave a wrong word."""

from __future__ import annotations

import base64
import dataclasses
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bench.analysis import whole_images
from bench.analysis.registered import broken_promises
from bench.protocol import register
from bench.report import evidence
from bench.schema.errors import RequestError
from bench.schema.label import show
from bench.schema.sweep_file import sweep
from bench.track.record import Record, read_csv
from tests.conftest import REPO
from tests.records import make_records

CASES = Path(__file__).parent / "cases"
Bench = Callable[..., tuple[int, str, str]]


def measured(n: int, images: str = "", seeds: int = 5) -> list[Record]:
    """Accuracies that are whole numbers of n images."""
    made = make_records({"model": ["a", "b"]}, lambda p: 0.8 + 0.1 * (p["model"] == "b"), seeds=seeds, sd=0.02)
    return [
        dataclasses.replace(
            r,
            metrics={"test/accuracy": round(r.metrics["test/accuracy"] * n) / n},
            provenance={**r.provenance, **({"images": images} if images else {})},
        )
        for r in made
    ]


def edited(record: Record, by: float) -> Record:
    return dataclasses.replace(record, metrics={n: v + by for n, v in record.metrics.items()})


def test_an_accuracy_that_is_no_whole_number_of_images_was_not_measured() -> None:
    good = measured(359, "1200/238/359")
    assert whole_images.faults(good) == []
    (first, *_) = found = whole_images.faults([edited(r, 0.02) for r in good])
    assert len(found) == len(good)
    right = round(good[0].metrics["test/accuracy"] * 359)
    assert first.endswith(f"{right + 7}.18 of 359 test images")


@pytest.mark.parametrize("n", [360, 400, 1000, 10000])
def test_where_nobody_wrote_down_how_many_images_they_are_found(n: int) -> None:
    good = measured(n)
    assert whole_images.faults(good) == []
    (fault,) = whole_images.faults([edited(good[0], 0.33 / n), *good[1:]])
    assert fault.startswith("model a, seed 0: test/accuracy is ")


def test_classes_that_tie_count_in_parts_of_an_image() -> None:
    """bfloat16 scores tie, and so do the dead classes of a network that ends in ReLU: measured, not made up."""
    good = measured(359, "1200/238/359")
    config = {"model.family": "timm", "trainer.precision": "bf16-mixed"}
    low = [dataclasses.replace(edited(r, 0.5 / 359), config=config) for r in good]
    assert whole_images.faults(low) == []
    fifth = [dataclasses.replace(r, metrics={"test/top5": (300 + 13 / 42) / 359}) for r in good]
    assert whole_images.faults(fifth) == []
    assert len(whole_images.faults([edited(r, 0.0001) for r in fifth])) == len(fifth)
    kept = {"test_true": np.zeros(359, np.uint16), "test_sharing": np.full(359, 2, np.uint16)}
    np.savez(out := io.BytesIO(), **kept)
    text = base64.b64encode(out.getvalue()).decode()
    tied = [edited(r, 0.5 / 359) for r in good]
    assert len(whole_images.faults(tied)) == len(tied)
    assert whole_images.faults(tied, lambda _record, _name: text) == []


def test_other_numbers_are_left_alone() -> None:
    """Made-up records have accuracies of no number of images; NLL is no share; a failed run has none."""
    made = make_records({"model": ["a", "b"]}, lambda _: 0.8, seeds=10)
    assert whole_images.faults(made) == []
    lost = dataclasses.replace(measured(359, "1200/238/359")[0], status="failed", metrics={})
    assert whole_images.faults([lost]) == []
    few = measured(359, seeds=1)
    assert whole_images.faults(few) == []


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (lambda r: r.seed == 28, "Planned and missing: seed 28."),
        (lambda r: r.seed == 28 and r.axes["norm_layer"] == "batch", "learning rate 0.001, depth 2, seed 28"),
        (lambda r: r.axes["norm_layer"] == "batch", "Planned and without a record: norm layer batch."),
        (
            lambda r: [show(v) for v in r.axes.values()] == ["batch", "0.001", "2"],
            "Planned and without a record: norm layer batch, learning rate 0.001, depth 2, every seed.",
        ),
    ],
)
def test_planned_runs_without_a_record_are_said(gone: Callable[[Record], bool], said: str) -> None:
    """The third claim turned over without one seed, and the check said CONSISTENT."""
    read = evidence.read(REPO / "results" / "batchnorm")
    assert broken_promises(read.sweep, read.records, read.context) == []
    left = [r for r in read.records if not gone(r)]
    assert len(left) < len(read.records)
    assert said in " ".join(broken_promises(read.sweep, left, {}))


def test_units_are_refused() -> None:
    """margin: 1 meant 100 points, by: 5 500."""
    data = yaml.safe_load((CASES / "m.yaml").read_text(encoding="utf-8"))
    for claim, said in zip(data["claims"], ("margin is 1", "by is 5"), strict=True):
        with pytest.raises(RequestError, match=said):
            sweep({"name": "m", **data, "claims": [claim]}, "m.yaml")


def test_one_more_seed_until_it_fits_is_counted(folder: Path, bench: Bench) -> None:
    """3 seeds open, then 5, 7, 9: at 9 it came out supported, with no word of the earlier looks."""
    (folder / "sweeps").mkdir()
    shutil.copy(CASES / "stopme.yaml", folder / "sweeps")
    last = ""
    for n in (3, 9):
        shutil.copy(CASES / f"stop{n}.csv", folder / "records.csv")
        status, last, err = bench("table", "stopme", "--records", "records.csv", "--out", f"after{n}")
        assert status == 0, err
    assert "Judged before at n = 3: open. Look 2 is judged at 0.83%." in " ".join(last.split())
    assert last.split("OPEN", 1)[1].lstrip().startswith("A beats B")
    looks = register.read(register.log_file("stopme"))
    assert [entry["verdicts"][0]["n"] for entry in looks] == [3, 9]


def test_a_table_of_other_records_says_what_was_planned(folder: Path, bench: Bench) -> None:
    (folder / "sweeps").mkdir()
    shutil.copy(CASES / "stopme.yaml", folder / "sweeps")
    shutil.copy(CASES / "stop9.csv", folder / "records.csv")
    assert bench("table", "stopme", "--records", "records.csv")[0] == 0
    status, out, err = bench("reproduce", "stopme", "--check")
    assert (status, out.strip()) == (1, "DIFFERENT")
    assert "CONTRADICTION  Planned and missing: seeds 9, 10, 11, 12, 13, 14." in err


def kept(folder: Path) -> list[Record]:
    return read_csv(folder / "records.csv")


def test_edited_accuracies_are_seen_after_the_table_was_made_anew(folder: Path, bench: Bench) -> None:
    (folder / "sweeps").mkdir()
    text: dict[str, Any] = {"question": "?", "axes": {"model": ["a", "b"]}, "seeds": 5, "table": {"rows": "model"}}
    (folder / "sweeps" / "made.yaml").write_text(yaml.safe_dump(text))
    from bench.track.record import write_csv

    good = measured(359, "1200/238/359")
    for records, status in ((good, 0), ([edited(r, 0.02) for r in good], 1)):
        write_csv(records, folder / "mine.csv")  # beside no digest that could tell
        assert bench("table", "made", "--records", "mine.csv")[0] == 0
        found, out, err = bench("reproduce", "made", "--check")
        assert (found, ".18 of 359 test images" in err) == (status, bool(status)), out + err
