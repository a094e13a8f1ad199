"""What is said under a table: what was mixed, what was allowed, how often test was looked at."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from bench.analysis.frame import select_frame
from bench.analysis.registered import unregistered_note
from bench.report.grid import pivot
from bench.report.notes import looks, mixed_stamps, notes
from bench.schema.claim import digest
from bench.track.record import Record
from tests.records import BATCHNORM, make_records, make_sweep


def records() -> list[Record]:
    """Eighteen runs; the last one failed."""
    made = make_records(BATCHNORM, lambda _: 0.9)
    failed = dataclasses.replace(made[-1], status="failed", reason="diverged: loss is NaN", metrics={}, costs={})
    return [*made[:-1], failed]


def changed(index: int, **provenance: str) -> list[Record]:
    made = records()
    made[index] = dataclasses.replace(made[index], provenance={**made[index].provenance, **provenance})
    return made


@pytest.mark.parametrize(
    ("provenance", "stamp"),
    [
        ({"git_commit": "badcafe000"}, r"Mixed code: 2 commits \(c0ffee0000, badcafe000\)"),
        ({"git_dirty": "true"}, "Uncommitted code: 1 of 17 runs"),
        ({"packages": '{"numpy": "2.4.0", "torch": "2.14.0"}'}, "package versions: 2 kinds.*2.15.0.*/.*2.14.0"),
        ({"hardware": "H200"}, "Mixed hardware: 2 kinds"),
        ({"data_fingerprint": "beef"}, "Mixed data"),
        ({"threads": "7"}, "Mixed thread counts: .*7"),
    ],
)
def test_what_was_mixed_is_stamped(provenance: dict[str, str], stamp: str) -> None:
    assert mixed_stamps(records()) == []
    (found,) = mixed_stamps(changed(1, **provenance))
    assert re.search(stamp, found)


def test_data_may_differ_along_an_axis() -> None:
    """Two datasets on an axis have two fingerprints, and nothing is wrong with that."""
    made = [
        dataclasses.replace(
            r, config={**r.config, "dataset.source": name}, provenance={**r.provenance, "data_fingerprint": name}
        )
        for r, name in zip(records(), ["digits", "mnist5k"] * 9, strict=True)
    ]
    assert mixed_stamps(made) == []


def test_subsets_of_the_train_split_share_one_test_split() -> None:
    """Told by its fingerprint, or in older records by the settings that decide it."""

    def told(fingerprints: dict[str, str], record: Record, subset: int) -> Record:
        config = {**record.config, "split.train_per_class": subset}
        return dataclasses.replace(record, config=config, provenance={**record.provenance, **fingerprints})

    made = list(enumerate(records(), 1))
    old = [told({"data_fingerprint": str(i)}, r, i) for i, r in made]
    new = [told({"data_fingerprint": str(i), "test_fingerprint": "t"}, r, i) for i, r in made]
    other = [told({"test_fingerprint": str(i % 2)}, r, i) for i, r in made]
    assert looks(old, {}) == looks(new, {}) == "Ledger: the test split was scored 17 times in this sweep."
    assert looks(other, {}) == "Ledger: 2 test splits were scored 17 times in this sweep."


def test_the_ledger_counts_test_looks() -> None:
    assert looks(records(), {"test_looks": 40}) == (
        "Ledger: the test split was scored 17 times in this sweep, 40 in the store."
    )


STEM = {"name": "imagenet_stem", "level": "warning", "message": "googlenet meets images of 48 pixels"}


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"findings": [STEM]}, ["imagenet_stem: googlenet meets images of 48 pixels Allowed: hours otherwise"]),
        ({"findings": []}, []),  # at a scale without that network there is nothing to allow
        ({}, ["imagenet_stem: allowed. hours otherwise"]),  # nobody looked
    ],
)
def test_what_is_allowed_is_said_where_it_occurs(context: dict[str, Any], expected: list[str]) -> None:
    sweep, made = make_sweep(BATCHNORM, allow={"imagenet_stem": "hours otherwise"}), records()
    frame = select_frame(sweep, made)
    said = notes(pivot(frame, sweep), frame, sweep, made, context)
    assert [n.text for n in said if "imagenet_stem" in n.text] == expected
    assert not any(n.stamp for n in said if "imagenet_stem" in n.text)


def test_a_finding_that_nobody_allowed_is_a_stamp() -> None:
    sweep, made = make_sweep(BATCHNORM), records()
    frame = select_frame(sweep, made)
    said = notes(pivot(frame, sweep), frame, sweep, made, {"findings": [STEM]})
    assert "imagenet_stem: googlenet meets images of 48 pixels" in [n.text for n in said if n.stamp]


def test_claims_are_on_record_from_before_the_runs_that_came_after() -> None:
    """Runs of an earlier version, some of them run again: the launch that found the others ended came after these."""
    sweep = make_sweep(BATCHNORM, claims=[{"says": "Better", "compare": {"norm_layer": "batch"},
                                           "against": {"norm_layer": "none"}}])  # fmt: skip
    launch = {"event": "launch", "claims": digest(sweep.claims), "seeds": [0, 1, 2], "planned": 18}
    again = [
        dataclasses.replace(r, provenance={**r.provenance, **({"claims_sha256": launch["claims"]} if i < 5 else {})})
        for i, r in enumerate(make_records(BATCHNORM, lambda _: 0.9))
    ]
    assert unregistered_note(sweep, records(), {}) == "the runs"
    assert unregistered_note(sweep, again, {"registered": [{**launch, "ended": 13}]}) == "13 of 18 runs"
    assert unregistered_note(sweep, again, {"registered": [{**launch, "ended": 0}]}) == ""
    assert unregistered_note(sweep, again, {"registered": [{**launch, "ended": 0}, {**launch, "ended": 9}]}) == ""
