"""What the kept predictions say beside the seeds: seeds by images, McNemar where no seed changes anything."""

from __future__ import annotations

import base64
import dataclasses
import io
import typing
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.analysis.artifacts import Reader
from bench.analysis.claims import judge
from bench.analysis.frame import select_frame
from bench.analysis.images import (
    LEFT_OPEN,
    SAME_PROBLEM,
    agreement,
    agreement_between,
    doubtful_labels,
    exchange_interval,
    markdown,
    on_images,
    votes,
)
from bench.report.grid import pivot
from bench.report.verdict import describe
from bench.schema.dataset import Dataset, Split
from bench.track.record import Record
from tests.records import make_records, make_sweep

AXES = {"model": ["a", "b"]}
CLAIM = {"says": "a helps", "compare": {"model": "a"}, "against": {"model": "b"}}
IMAGES, SEEDS = 400, 4


def drawn(right: dict[str, Any], fixed: bool, seed: int = 0) -> tuple[list[Record], Reader]:
    """Records and a reader of their predictions; `right` is a model's chance to be right at an image."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 10, IMAGES).astype(np.uint16)
    hard = rng.random(IMAGES)
    files, out = {}, []
    for record in make_records(AXES, lambda _: 0.5, seeds=SEEDS):
        chance = right[record.axes["model"]]
        noise = np.zeros(IMAGES) if fixed else rng.normal(0, 0.1, IMAGES)
        said = np.where(hard + noise < chance, true, (true + 1) % 10).astype(np.uint16)
        np.savez(file := io.BytesIO(), test_true=true, test_class=said, test_logp=np.zeros(IMAGES, np.float16))
        files[record.key] = base64.b64encode(file.getvalue()).decode()
        accuracy = float((said == true).mean())
        out.append(dataclasses.replace(record, metrics={"test/accuracy": accuracy, "val/accuracy": accuracy}))
    return out, lambda r, name: files.get(r.key) if name == "predictions.npz" else None


def test_where_no_seed_changes_anything_the_images_decide() -> None:
    sweep = make_sweep(AXES, claims=[CLAIM], seeds=SEEDS)
    records, reader = drawn({"a": 0.9, "b": 0.8}, fixed=True)
    (blind,) = judge(sweep, records)
    assert (blind.word, np.isnan(blind.p)) == ("open", True)
    (verdict,) = judge(sweep, records, {}, reader)
    differ = round(IMAGES * (records[0].metrics["test/accuracy"] - records[SEEDS].metrics["test/accuracy"]))
    assert (verdict.word, verdict.p) == ("supported", pytest.approx(stats.binomtest(differ, differ).pvalue))
    assert verdict.low > 0
    assert "Every seed says the same: tested on the 400 test images (McNemar)" in describe(verdict)
    refuted = judge(sweep, *(drawn({"a": 0.8, "b": 0.9}, fixed=True)[0], {}, drawn({"a": 0.8, "b": 0.9}, True)[1]))
    assert refuted[0].word == "refuted"
    same, reads = drawn({"a": 0.8, "b": 0.8}, fixed=True)
    assert judge(sweep, same, {}, reads)[0].word == "open"


def test_images_of_two_sets_are_not_paired_because_their_labels_come_in_one_order() -> None:
    """Class by class, as folders list them: nothing but the labels was held against each other."""
    records, reader = drawn({"a": 0.9, "b": 0.8}, fixed=True)
    sweep = make_sweep(AXES, claims=[CLAIM], seeds=SEEDS)

    def of(name: str, first: Any, other: Any, prints: tuple[str, str] = ("", "")) -> list[Record]:
        return [
            dataclasses.replace(
                r, config={**r.config, name: (first, other)[r.axes["model"] == "b"]},
                provenance={**r.provenance, "test_fingerprint": prints[r.axes["model"] == "b"]},
            )
            for r in records
        ]  # fmt: skip

    def paired(given: list[Record]) -> tuple[bool, bool]:
        text = markdown(select_frame(sweep, given), reader) or ""
        return judge(sweep, given, {}, reader)[0].images is not None, "Runs of two cells" in text

    assert paired(of("dataset.root", "/one", "/other")) == (False, False)
    assert paired(of("split.seed", 0, 1)) == (False, False)
    assert paired(of("split.seed", 0, 1, ("x", "x"))) == (True, True)  # an official test split
    assert paired(of("dataset.size", 32, 64, ("x", "y"))) == (True, True)  # the same ones, smaller
    assert paired(of("split.train_per_class", 10, 100)) == (True, True)
    assert paired(of("dataset.source", "digits", "mnist5k")) == (False, False)


def test_marks_of_a_table_use_the_test_of_the_verdicts() -> None:
    """Of neighbours, which no seed changes, all were "not told apart" beside a verdict that told them apart."""
    sweep = make_sweep(AXES, table={"rows": "model"}, seeds=SEEDS)

    def marked(right: dict[str, float], of: Any = None, read: bool = True, fixed: bool = True) -> list[list[str]]:
        records, reader = drawn(right, fixed=fixed)
        records = [dataclasses.replace(r, config=of(r)) if of else r for r in records]
        (panel,) = pivot(select_frame(sweep, records), sweep, reader if read else None).panels
        return panel.marks

    assert marked({"a": 0.9, "b": 0.8}) == [["best"], [""]]
    assert marked({"a": 0.81, "b": 0.8}) == [["best"], ["within"]]
    assert marked({"a": 0.9, "b": 0.8}, read=False) == [["best"], ["within"]]  # nothing tells
    assert marked({"a": 0.9, "b": 0.5}, fixed=False) == [["best"], [""]]  # by the seeds
    # Other data are no competitors, other draws of the same are.
    assert marked({"a": 0.9, "b": 0.8}, lambda r: {"dataset.source": r.axes["model"]}) == [[""], [""]]
    assert marked({"a": 0.9, "b": 0.8}, lambda r: {"dataset.clutter": r.axes["model"]}) == [[""], [""]]
    assert marked({"a": 0.9, "b": 0.8}, lambda r: {"dataset.size": r.axes["model"]}) == [["best"], [""]]


def test_what_leaves_the_test_images_alone_is_a_setting() -> None:
    fields = {
        f"dataset.{f.name}" for kind in typing.get_args(typing.get_args(Dataset)[0]) for f in dataclasses.fields(kind)
    }
    fields |= {f"split.{f.name}" for f in dataclasses.fields(Split)}
    assert fields >= LEFT_OPEN | SAME_PROBLEM


@pytest.mark.parametrize(("more", "less"), [(5, 0), (6, 0), (12, 3), (40, 22), (40, 20), (1, 1)])
def test_its_interval_leaves_out_zero_exactly_where_the_test_rejects(more: int, less: int) -> None:
    difference = np.array([1.0] * more + [-1.0] * less + [0.0] * 100)
    p = stats.binomtest(more, more + less).pvalue
    for level in (0.95, 0.975, 0.99):
        mean, low, high = exchange_interval(difference, level)
        assert low <= mean <= high
        assert (low > 0) == (p < 1 - level)


def test_seeds_by_images_is_no_narrower_than_seeds_and_covers() -> None:
    sweep = make_sweep(AXES, claims=[CLAIM], seeds=SEEDS)
    claim = sweep.claims[0]
    held = 0
    for seed in range(60):
        records, reader = drawn({"a": 0.85, "b": 0.85}, fixed=False, seed=seed)
        (verdict,) = judge(sweep, records, {}, reader)
        found = on_images(claim, select_frame(sweep, records), reader)
        assert found is not None
        assert found.high - found.low >= verdict.high - verdict.low - 1e-12
        held += found.low <= 0 <= found.high
    assert held >= 52


def test_votes_agreement_and_images_that_nobody_gets() -> None:
    said = [{"test_true": np.array([0, 1, 2]), "test_class": np.array(c)} for c in ([0, 1, 0], [0, 2, 1], [1, 1, 1])]
    assert votes(said).tolist() == [0, 1, 1]
    assert agreement(said) == pytest.approx((1 + 1 + 1) / 9)
    records, reader = drawn({"a": 0.9, "b": 0.8}, fixed=True)
    text = markdown(select_frame(make_sweep(AXES), records), reader)
    assert text is not None
    lost = round(IMAGES * (1 - records[0].metrics["test/accuracy"]))
    assert f"No run of any cell gets {lost} of the 400 test images right" in text
    assert "| model a | 4 |" in text


def test_parts_of_images_do_not_settle_against_the_mean() -> None:
    """Where a tie is shared, more images may speak for one side and more of an image for the other."""
    true = np.zeros(20, np.uint16)
    sharing = {"a": np.array([2] * 12 + [0] * 3 + [1] * 5), "b": np.array([3] * 12 + [1] * 3 + [1] * 5)}
    files, records = {}, []
    for record in make_records(AXES, lambda _: 0.5, seeds=SEEDS):
        mine = sharing[record.axes["model"]].astype(np.uint16)
        said = np.where(mine > 0, true, 1).astype(np.uint16)
        np.savez(file := io.BytesIO(), test_true=true, test_class=said, test_sharing=mine, test_logp=np.zeros(20))
        files[record.key] = base64.b64encode(file.getvalue()).decode()
        accuracy = float(np.where(mine > 0, 1 / np.maximum(mine, 1), 0).mean())
        records.append(dataclasses.replace(record, metrics={"test/accuracy": accuracy, "val/accuracy": accuracy}))
    claim = {**CLAIM, "says": "b helps", "compare": {"model": "b"}, "against": {"model": "a"}}
    sweep = make_sweep(AXES, claims=[CLAIM, claim], seeds=SEEDS)
    found = judge(sweep, records, {}, lambda r, name: files.get(r.key) if name == "predictions.npz" else None)
    assert [(verdict.word, verdict.p) for verdict in found] == [("open", 1.0)] * 2


def test_splits_have_test_images_of_their_own() -> None:
    axes = {**AXES, "split.fold": [0, 1, 2]}
    records, reader = drawn({"a": 0.9, "b": 0.8}, fixed=True)
    folded = [dataclasses.replace(r, axes={**r.axes, "split.fold": r.seed % 3}, seed=r.seed // 3) for r in records]
    sweep = make_sweep(axes, replicates=["split.fold"], table={"rows": "model"})
    assert markdown(select_frame(sweep, folded), reader) is None


def test_labels_that_all_runs_contradict_are_named_without_any_weights() -> None:
    rng = np.random.default_rng(0)
    given = rng.integers(0, 10, 300)
    right = given.copy()
    wrong = rng.choice(300, 8, replace=False)
    given[wrong] = (right[wrong] + 3) % 10  # labels that somebody got wrong
    said = []
    for _ in range(6):
        miss = rng.random(300) < 0.15  # each run errs at places of its own
        classes = np.where(miss, rng.integers(0, 10, 300), right)
        classes[wrong[0]] = right[wrong[0]]
        logp = np.where(classes == given, -0.1, -4.0 - 0.01 * np.arange(300))
        said.append({"test_true": given, "test_class": classes, "test_logp": logp})
    found = doubtful_labels(said)
    assert {d.place for d in found} <= set(wrong.tolist())
    assert wrong[0] in {d.place for d in found}
    assert [d.probability for d in found] == sorted(d.probability for d in found)
    assert all((d.label, d.said) == (given[d.place], right[d.place]) for d in found)
    pairs = [(a["test_class"] == b["test_class"]).mean() for a in said[:2] for b in said[2:]]
    assert agreement_between([said[:2], said[2:]]) == pytest.approx(np.mean(pairs))
    records, reader = drawn({"a": 0.9, "b": 0.8}, fixed=True)
    text = markdown(select_frame(make_sweep(AXES), records), reader)
    assert text is not None
    assert "## Labels in doubt: " in text
    assert "all 8 runs together, each with one vote, are right for" in text
