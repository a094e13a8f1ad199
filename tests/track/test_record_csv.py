"""records.csv: what goes in comes out, and nonsense is refused with its line."""

from __future__ import annotations

import dataclasses
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.disk import DiskFull
from bench.schema.errors import RequestError
from bench.track.record import LARGEST, Record, read_csv, to_csv, write_csv

NAME = st.text(string.ascii_letters + string.digits + "._", min_size=1, max_size=8)
SCALAR = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.booleans(), st.none())
SETTING = st.one_of(SCALAR, st.lists(SCALAR, max_size=3))
FRACTION = st.floats(0, 1)
RECORD = st.builds(
    Record,
    key=st.text(),
    sweep=st.text(),
    axes=st.dictionaries(NAME, SETTING, max_size=3),
    seed=st.integers(0, 2**40),
    status=st.sampled_from(["finished", "failed", "running", "missing"]),
    reason=st.text(),
    run_id=st.text(),
    metrics=st.dictionaries(st.sampled_from(["val/accuracy", "test/accuracy", "test/nll"]), FRACTION),
    costs=st.dictionaries(st.sampled_from(["cost/params", "cost/flops"]), st.integers(0, 10**12) | st.floats(0, 1e12)),
    config=st.dictionaries(NAME, SETTING, max_size=3),
    provenance=st.dictionaries(NAME, st.text(), max_size=3),
)


def one(**changes: object) -> Record:
    record = Record(
        key="k",
        sweep="s",
        axes={"optim.lr": 0.1},
        seed=0,
        status="finished",
        metrics={"test/accuracy": 0.9},
        costs={"cost/params": 7850},
        config={"optim.lr": 0.1, "model.hidden": [400, 100]},
        provenance={"git_commit": "c0ffee"},
    )
    return dataclasses.replace(record, **changes)


@settings(max_examples=100, deadline=None)
@given(records=st.lists(RECORD, max_size=4))
def test_every_record_survives_the_round_trip(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("csv") / "records.csv"
    distinct = [dataclasses.replace(r, seed=i) for i, r in enumerate(records)]
    write_csv(distinct, path)
    assert read_csv(path) == distinct
    # 1 == 1.0 == True: equality alone would not notice a changed type.
    assert [repr(sorted(r.config.items())) for r in read_csv(path)] == [
        repr(sorted(r.config.items())) for r in distinct
    ]


def test_a_record_is_one_line(tmp_path: Path) -> None:
    text = to_csv([one(reason="first\nsecond", config={"note": "a\r\nb", "quoted": '"x"'}), one(seed=1)])
    assert len(text.splitlines()) == 3


def test_columns_are_named_and_ordered() -> None:
    assert to_csv([one()]).splitlines()[0] == (
        "key,sweep,seed,status,reason,run_id,axis.optim.lr,test/accuracy,cost/params,"
        "config.model.hidden,config.optim.lr,prov.git_commit"
    )


def test_writing_leaves_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records.csv"
    write_csv([one()], path)
    before = path.read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(DiskFull, match=f"The disk of {tmp_path} is full"):
        write_csv([one(seed=5)], path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["records.csv"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("finished", "finnished"), "line 2.*finished, failed"),
        ((",0.9,", ",ninety,"), "line 2: test/accuracy is 'ninety'. Expected a number"),
        ((",0.9,", ",90,"), r"Expected 0 to 1, a fraction"),
        ((",0.9,", ",true,"), "Expected a number"),
        (("k,s,0,", "k,s,-1,"), "seed is '-1'"),
        (("k,s,0,", "k,s,0,0,"), "13 cells, but the header has 12"),
        (("axis.optim.lr", "axes.optim.lr"), "Unknown column 'axes.optim.lr'"),
        (("status", "state"), "column 'status' is missing. Did you mean 'state'"),
        (("cost/params", "test/accuracy"), "appears twice"),
    ],
)
def test_nonsense_is_refused_with_its_place(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "records.csv"
    path.write_text(to_csv([one()]).replace(*change, 1))
    with pytest.raises(RequestError, match=message):
        read_csv(path)


def test_two_rows_of_one_point_and_seed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text(to_csv([one(), one(key="other")]))
    with pytest.raises(RequestError, match="line 3: the same point and seed as in line 2"):
        read_csv(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'key,"un\nclosed'])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.csv"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=r"records\.csv"):
        read_csv(path)


def test_a_spreadsheets_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_bytes(b"\xef\xbb\xbf" + to_csv([one()]).encode())
    assert read_csv(path) == [one()]


def test_a_file_that_would_fill_the_memory_is_refused_at_once(tmp_path: Path) -> None:
    with (tmp_path / "records.csv").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(RequestError, match="128 are the most that are read"):
        read_csv(tmp_path / "records.csv")
