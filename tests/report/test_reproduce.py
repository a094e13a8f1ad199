"""Comparing runs made again with committed ones, and finding numbers that were changed by hand."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.report import causes, evidence, integrity, reproduce, write
from bench.schema.errors import RequestError
from bench.track.record import Record, read_csv, write_csv

pytestmark = pytest.mark.usefixtures("undrawn")


def test_prediction_interval_covers_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    inside = 0
    for _ in range(4000):
        old, new = draw.normal(0.9, 0.02, 3), draw.normal(0.9, 0.02, 3)
        low, high = reproduce.prediction(list(old), 3)
        inside += low <= new.mean() <= high
    assert abs(inside / 4000 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.integers(1, 9))
def test_prediction_interval_is_the_two_sample_t_interval_turned_round(values: list[float], count: int) -> None:
    # A new mean at the edge has exactly p = 0.05 in the t-test that knows the old sample's variance only.
    low, high = reproduce.prediction(values, count)
    sd = float(np.std(values, ddof=1))
    if len(set(values)) == 1:
        assert low == high == pytest.approx(values[0])
    elif sd > 1e-9:
        t = (high - np.mean(values)) / (sd * np.sqrt(1 / len(values) + 1 / count))
        assert 2 * stats.t.sf(t, len(values) - 1) == pytest.approx(0.05)


def runs(values: dict[int, float], status: str = "finished", nll: float = 0.3) -> list[Record]:
    return [
        Record(
            key=f"k{seed}",
            sweep="made",
            axes={"model": "dnn"},
            seed=seed,
            status=status,  # type: ignore[arg-type]
            reason="out of memory" if status == "failed" else "",
            metrics={"test/accuracy": value, "test/nll": nll},
        )
        for seed, value in values.items()
    ]


OLD = {0: 0.90, 1: 0.91, 2: 0.92}


@pytest.mark.parametrize(
    ("new", "word"),
    [
        (runs(OLD), "identical"),
        (runs(OLD, nll=0.3000001), "equal within rounding"),  # accuracy is equal, another metric is not
        (runs({0: 0.90, 1: 0.91, 2: 0.921}), "compatible"),
        (runs({3: 0.90, 4: 0.90, 5: 0.93}), "compatible"),
        (runs({0: 0.89, 1: 0.901, 2: 0.909}), "different"),  # the same seeds, each a point worse: not noise,
        (runs({3: 0.80, 4: 0.81, 5: 0.82}), "different"),
        (runs({0: 0.70, 1: 0.70, 2: 0.70}), "different"),
        (runs(OLD, "failed"), "different"),
    ],
)
def test_words(new: list[Record], word: str) -> None:
    (found,) = reproduce.judge([runs(OLD)], [new], ["test/accuracy"])
    assert found.word == word, found.why


def test_a_number_that_is_equal_while_others_are_not_is_not_called_other() -> None:
    (found,) = reproduce.judge([runs(OLD)], [runs(OLD, nll=0.31)], ["test/accuracy"])
    assert found.word == "compatible"
    assert found.why == "same seeds, equal here, but test/nll differs by 3.2% of its size"
    (found,) = reproduce.judge([runs(OLD)], [runs(OLD, nll=0.3001)], ["test/accuracy"])
    assert found.word == "equal within rounding"
    assert found.why == "same seeds, equal here but not in test/nll"
    (found,) = reproduce.judge([runs(OLD)], [runs({**OLD, 0: 0.905})], ["test/accuracy"])
    assert found.why.startswith("same seeds, other numbers: 0.17 [")
    assert "could have missed a change of" in found.why


def test_one_committed_seed_cannot_say_what_noise_is() -> None:
    (found,) = reproduce.judge([runs({0: 0.9})], [runs({1: 0.8})], ["test/accuracy"])
    assert found.word == "undecided"
    (found,) = reproduce.judge([runs({0: 0.9})], [runs({0: 0.8})], ["test/accuracy"])
    assert found.word == "different"
    (found,) = reproduce.judge([runs({0: 0.9})], [runs({0: 0.9 + 1 / 36_000})], ["test/accuracy"])
    assert found.why == "same seeds, other numbers by 0.003 points"  # a third of an image of 12,000, not 0.00


def test_a_spread_of_zero_allows_no_other_value() -> None:
    (found,) = reproduce.judge([runs({0: 0.9, 1: 0.9})], [runs({2: 0.9, 3: 0.9})], ["test/accuracy"])
    assert found.word == "compatible"
    (found,) = reproduce.judge([runs({0: 0.9, 1: 0.9})], [runs({2: 0.9, 3: 0.901})], ["test/accuracy"])
    assert found.word == "different"


def test_what_one_changed_oneself_is_the_first_cause() -> None:
    then = [{"split.train_fraction": 1.0, "optim.lr": lr, "dataset.root": None} for lr in (0.1, 0.01)]
    found = causes.own_settings(then, {"split.train_fraction": 0.8, "optim.lr": 0.1})
    assert [(d.name, d.then, d.now, d.why) for d in found] == [
        ("split.train_fraction", "1", "0.8", "your own setting"),
        ("optim.lr", "0.1 / 0.01", "0.1", "your own setting"),
    ]
    assert causes.own_settings(then, {"split.train_fraction": 1}) == []


def test_the_most_suspicious_difference_comes_first() -> None:
    then = {"data_fingerprint": "a", "git_commit": "1", "python": "3.11.2", "threads": "1", "hardware": "CPU"}
    then["packages"] = json.dumps({"torch": "2.11.0", "mlflow": "3.1", "imagebench": "0.1"})
    now = {**then, "data_fingerprint": "b", "git_commit": "2", "python": "3.12.1", "threads": "2"}
    now["packages"] = json.dumps({"torch": "2.15.0", "mlflow": "3.2", "imagebench": "0.2"})
    names = [d.name for d in causes.environment([then], [now])]
    assert names == ["data_fingerprint", "git_commit", "torch", "threads", "python", "mlflow"]
    assert causes.environment([then, then], [then]) == []


def test_cells_are_spread_over_the_table() -> None:
    assert reproduce.spread_out(list("abcdefg"), 3) == ["a", "d", "g"]
    assert reproduce.spread_out(list("ab"), 3) == ["a", "b"]
    assert reproduce.spread_out(list("abc"), 1) == ["b"]
    with pytest.raises(RequestError, match="from 1"):
        reproduce.spread_out(list("abc"), 0)


@pytest.fixture
def committed(tmp_path: Path, written: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "results")) / "made"


@pytest.fixture(scope="module")
def written(undrawn, tmp_path_factory, batchnorm_records: list[Record], made_sweep) -> Path:  # type: ignore[no-untyped-def]
    results = tmp_path_factory.mktemp("written") / "results"
    write(made_sweep, batchnorm_records, results / "made", {"scale": "small"})
    return results


@pytest.fixture(scope="module")
def made_sweep():  # type: ignore[no-untyped-def]
    from bench.schema.sweep_file import sweep

    axes = {"norm_layer": ["none", "batch"], "optim.lr": [0.001, 0.01, 0.1]}
    claim = {"says": "It helps", "compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}
    table = {"rows": "norm_layer", "columns": "optim.lr"}
    return sweep({"name": "made", "question": "Does it?", "axes": axes, "table": table, "claims": [claim]}, "made.yaml")


def test_untouched_files_agree_and_nothing_is_drawn_to_see_it(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.report.figures._save", None)
    assert integrity.faults(evidence.read(committed)) == []


def test_changed_line_ends_are_no_change(committed: Path) -> None:
    for name in ("table.md", "table.tex", "verdict.md"):
        path = committed / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert integrity.faults(evidence.read(committed)) == []


@pytest.mark.parametrize("name", ["table.md", "table.tex", "table.html", "table.csv", "verdict.md"])
def test_a_digit_changed_in_a_table_is_found(committed: Path, name: str) -> None:
    path = committed / name
    text = path.read_text()
    place = max(i for i, sign in enumerate(text[: len(text) // 2]) if sign.isdigit())
    digit = str((int(text[place]) + 1) % 10)
    path.write_text(text[:place] + digit + text[place + 1 :])
    found = integrity.faults(evidence.read(committed))
    assert len(found) >= 1
    assert found[0].startswith(f"{name}, line ")


def test_a_better_number_in_the_records_is_found_even_with_a_new_table(committed: Path, made_sweep) -> None:  # type: ignore[no-untyped-def]
    records = read_csv(committed / "records.csv")
    lucky = dataclasses.replace(records[4], metrics={**records[4].metrics, "test/accuracy": 0.999})
    changed = [*records[:4], lucky, *records[5:]]
    scratch = committed.parent / "scratch"
    write(made_sweep, changed, scratch, {"scale": "small"})
    for name in ("records.csv", "table.md", "table.csv", "table.tex", "table.html", "verdict.md"):
        shutil.copy(scratch / name, committed / name)  # everything but the manifest
    found = integrity.faults(evidence.read(committed))
    assert "seed 1: test/accuracy is 0.999 in records.csv" in found[0]


def test_a_dropped_run_is_found(committed: Path) -> None:
    records = read_csv(committed / "records.csv")
    write_csv(records[1:], committed / "records.csv")
    assert any("not in records.csv" in fault for fault in integrity.faults(evidence.read(committed)))


def test_a_changed_picture_is_found(committed: Path) -> None:
    path = committed / "figure.svg"
    path.write_text(path.read_text().replace("<svg", "<svg "))
    assert integrity.faults(evidence.read(committed)) == [
        "figure.svg: not the file that was written (SHA-256 differs from the one in manifest.json)"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"format": 99}', "written by a newer imagebench"),
        ("{", "not a manifest"),
        ("[]", "no whole number 'format'"),
        ('{"format": 1}', "'definition' is missing"),
    ],
)
def test_a_manifest_that_cannot_be_read_says_why(committed: Path, text: str, said: str) -> None:
    (committed / "manifest.json").write_text(text)
    with pytest.raises(RequestError, match=said):
        evidence.read(committed)


def test_an_unknown_name_lists_what_is_there(committed: Path) -> None:
    with pytest.raises(RequestError, match=r"No results of 'mde'.* made"):
        evidence.folder_named("mde", committed.parent)


def test_collapsed_runs_are_permuted() -> None:
    """A prediction interval of collapsing runs raised a false alarm in 22 to 59% of reproductions."""
    draw = np.random.default_rng(1)
    alarms = {"different": 0, "compatible": 0}
    for _ in range(120):
        old, new = (np.where(draw.random(5) < 0.4, 0.1, draw.normal(0.95, 0.005, 5)) for _ in range(2))
        made = runs(dict(enumerate(old))), runs({5 + i: v for i, v in enumerate(new)})
        (found,) = reproduce.judge([made[0]], [made[1]], ["test/accuracy"])
        alarms[found.word] += 1
    assert alarms["different"] / 120 < 0.12
