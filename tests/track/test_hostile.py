"""A store that somebody sent: nothing of this machine leaves through it, nothing is written outside of its place."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.frame import select_frame
from bench.cli import complain
from bench.cli.compare import of_run
from bench.cli.serve import bind
from bench.report.grid import pivot
from bench.report.tables import tidy_csv
from bench.report.writing import texts
from bench.schema.errors import RequestError
from bench.schema.names import Harmless, checked_name, make_printable, tolerate_narrow_encoding
from bench.schema.sweep import steps_of
from bench.schema.sweep_file import sweep
from bench.sweep import file
from bench.sweep.parent_run import STATEMENT
from bench.sweep.statement import statement_of, take_over
from bench.track.artifacts import local
from bench.track.connection import Connection
from bench.track.importing import Unbelievable, _own_place, bring
from bench.track.record import Record, read_csv, to_csv
from bench.track.spool import Spool
from bench.track.store import Store

KEY = "0123456789abcdef" * 4


def a_store(folder: Path, empty: Path) -> Store:
    """A store with one finished run of ours and its files."""
    folder.mkdir()
    shutil.copy(empty, folder / "mlflow.db")
    store = Store(f"sqlite:///{folder}/mlflow.db")
    spool = Spool(folder / "spool")
    (spool.folder(KEY) / "curves.csv").write_text("epoch,train_loss\n1,0.5\n")
    metrics = {"val/accuracy": 0.5, "test/accuracy": 0.5}
    record = Record(key=KEY, sweep="", axes={}, seed=0, status="finished", metrics=metrics)
    store.deliver(spool.put(record, "one", "runs"))
    return store


def change(store: Store, *statements: str) -> None:
    with closing(sqlite3.connect(store.uri.removeprefix("sqlite:///"))) as database, database:
        for statement in statements:
            database.execute(statement)


@pytest.fixture
def sent(folder: Path, empty_store: Path) -> Store:
    return a_store(folder / "sent", empty_store)


def synced(source: Store, folder: Path) -> Any:
    return bring(source, Store(), Spool(folder / "spool"), lambda text: None)


def files(store: Store) -> set[str]:
    (record,) = store.records("runs")
    return {f.name for f in store.artifacts(record.run_id).iterdir()}


def test_a_good_one_is_brought(folder: Path, sent: Store) -> None:
    found = synced(sent, folder)
    assert (found.new, found.refused) == (1, [])
    assert files(Store()) == {"curves.csv"}


def test_files_come_from_the_stores_own_place_only(folder: Path, sent: Store) -> None:
    private = folder / "private"
    private.mkdir()
    (private / "id_rsa").write_text("secret")
    change(sent, f"UPDATE runs SET artifact_uri = '{private.as_uri()}'")
    (record,) = sent.records("runs")
    mine = folder / "sent" / "mlartifacts" / "runs" / record.run_id / "artifacts"
    (mine / "weights.pt").symlink_to(private / "id_rsa")
    (mine / ".lease").write_text("{}")
    synced(Store(sent.uri), folder)
    assert files(Store()) == {"curves.csv"}
    shutil.rmtree(mine)
    mine.symlink_to(private)  # the folder itself is a link
    with pytest.raises(RequestError, match="are not in"):
        bring(Store(sent.uri), Store(f"sqlite:///{folder}/other.db"), Spool(folder / "spool"), lambda text: None)


def test_a_file_that_says_any_size_is_left_where_it_is(folder: Path, sent: Store) -> None:
    (record,) = sent.records("runs")
    with (sent.artifacts(record.run_id) / "holes.bin").open("wb") as file:
        file.truncate(2**42)
    found = synced(sent, folder)
    assert found.new == 0
    assert "MiB twice, and" in found.refused[0]
    assert not list((folder / "spool").glob("*"))


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE experiments SET name = '../../victim' WHERE name = 'runs'", "holds a slash"),
        ("UPDATE experiments SET name = '..' WHERE name = 'runs'", "begins with"),
        ("UPDATE tags SET value = '../../victim' WHERE \"key\" = 'run_key'", "no SHA-256"),
        ("UPDATE tags SET value = 'abc' WHERE \"key\" = 'seed'", "no number"),
        ("DELETE FROM tags WHERE \"key\" = 'status'", "status is 'missing'"),
        ("UPDATE tags SET value = '[1' WHERE \"key\" = 'axes'", "no JSON object"),
    ],
)
def test_what_no_run_of_ours_says_is_left_out_and_named(folder: Path, sent: Store, statement: str, reason: str) -> None:
    change(sent, statement)
    before = {p for p in folder.parent.rglob("*") if "victim" in p.name}
    found = synced(Store(sent.uri), folder)
    assert found.new == 0
    assert len(found.refused) == 1
    assert reason in found.refused[0]
    assert {p for p in folder.parent.rglob("*") if "victim" in p.name} == before


def tag(name: str, value: str) -> str:
    return f"INSERT OR REPLACE INTO tags(key, value, run_uuid) VALUES ('{name}', '{value}', :run)"


def param(name: str, value: str) -> str:
    return f"INSERT INTO params(key, value, run_uuid) VALUES ('{name}', '{value}', :run)"


def measured(name: str, value: str) -> str:
    return (
        "INSERT OR REPLACE INTO latest_metrics(key, value, timestamp, step, is_nan, run_uuid) "
        f"VALUES ('{name}', {value}, 0, 0, 0, :run)"
    )


CURVES = {"c1": "train_loss\n1\n", "c2": "epoch,train_loss\n1,abc\n", "c3": "epoch,train_loss\n1\n", "c4": "",
          "c5": "epoch,../x\n1,2\n", "c6": "epoch,a\nnan,1\n"}  # fmt: skip
REFUSED = (
    *(tag("axes", text) for text in ("[" * 200_000, '{"a":' + "1" * 6000 + "}", '{"a":"\\ud800"}')),
    *(tag("own_metrics", text) for text in ("{", "[1]", '{"x":3}')),
    *(tag("started", text) for text in ("yesterday", "inf", "nan", "1e300")),
    *(tag("seed", text) for text in ("²", "-1", "", "9" * 5000)),
    tag("threads", "many"), tag("packages", "["),
    "UPDATE tags SET value = x'00ff80' WHERE key = 'seed' AND run_uuid = :run",
    measured("test/accuracy", "7.5"), measured("test/nll", "'abc'"), measured("test/nll", "x'00ff'"),
    measured("test/../../x", "1"), measured("test/a b;=", "1"), measured("test/" + "x" * 900, "1"),
    param("../../x", "1"), param("x" * 400, "1"), param("a\x1b[2J", "1"),
    *CURVES,
)  # fmt: skip
TAKEN = (
    *(param("optim.lr", text) for text in ("[" * 200_000, "1" * 6000, '"\\ud800"')),
    tag("mlflow.runName", "a\x1b[2J" + "x" * 9000), tag("mlflow.runName", ""), tag("reason", "a\x1b[2J\n=cmd"),
    tag("sweep", "../../x"), tag("outcome", "../x"),
)  # fmt: skip


def test_a_run_that_is_none_of_ours_is_left_out_and_hides_no_other(folder: Path, sent: Store) -> None:
    """Each of these ended a sync, and every verb that reads the store, with a library's error."""
    (record,) = sent.records("runs")
    files = folder / "sent" / "mlartifacts" / "runs"
    with closing(sqlite3.connect(folder / "sent" / "mlflow.db")) as database, database:
        for number, change in enumerate((*REFUSED, *TAKEN)):
            run = f"{number:032x}"
            shutil.copytree(files / record.run_id, files / run)
            for table in ("runs", "tags", "params", "latest_metrics"):
                names = [c[1] for c in database.execute(f"PRAGMA table_info({table})")]
                other = ", ".join("?" if n == "run_uuid" else f'"{n}"' for n in names)
                into = ", ".join(f'"{n}"' for n in names)
                query = f"INSERT INTO {table}({into}) SELECT {other} FROM {table} WHERE run_uuid = ?"
                database.execute(query, (run, record.run_id))
            for name in ("run_key", "outcome"):
                database.execute(tag(name, f"{number:064x}"), {"run": run})
            if change in CURVES:
                (files / run / "artifacts" / "curves.csv").write_text(CURVES[change])
            else:
                database.execute(change, {"run": run})
    found = synced(Store(sent.uri), folder)
    assert found.new == 1 + len(TAKEN), found.refused
    refused = {int(line.partition("run '")[2][:32], 16): line for line in found.refused}
    assert sorted(refused) == list(range(len(REFUSED)))
    assert not any("\x1b" in line or len(line) > 500 for line in found.refused)
    assert list((folder / "spool").glob("[!.]*")) == []
    store = Store()
    assert {r.status for r in store.rows("runs") if "run_key" in r.tags} == {"FINISHED"}
    (folder / "records.csv").write_text(to_csv(store.records("runs")))
    assert len(store.records("runs")) == len(Store(sent.uri).records("runs")) - 12 == 1 + len(TAKEN)


def test_an_odd_run_of_ones_own_hides_no_other(folder: Path, sent: Store) -> None:
    """It counts neither as done nor as failed; a new outcome of its point is a run of its own."""
    change(sent, "DELETE FROM tags WHERE \"key\" = 'status'")
    store = Store(sent.uri)
    assert store.find([KEY, "other"], "runs") == {}
    assert "run_key" in store.rows("runs")[0].tags
    assert store.records("runs") == []
    (line,) = store.oddities
    assert "status is 'missing'" in line
    spool = Spool(folder / "spool")
    spool.folder(KEY)
    store.deliver(spool.put(Record(key=KEY, sweep="", axes={}, seed=0, status="finished"), "again", "runs"))
    assert [r.key for r in store.records("runs")] == [KEY]


def test_a_moved_or_copied_project_keeps_its_files_and_leaves_the_original_alone(folder: Path, sent: Store) -> None:
    (record,) = sent.records("runs")
    shutil.copytree(folder / "sent", folder / "copy")
    copy = Store(f"sqlite:///{folder}/copy/mlflow.db")
    shutil.rmtree(folder / "sent" / "mlartifacts" / "runs" / record.run_id)
    assert copy.artifact(record.run_id, "curves.csv", folder).read_text().startswith("epoch")
    note = folder / "note.txt"
    note.write_text("new")
    copy.add_files(record.run_id, [note])
    assert (folder / "copy" / "mlartifacts" / "runs" / record.run_id / "artifacts" / "note.txt").is_file()
    assert not (folder / "sent" / "mlartifacts" / "runs" / record.run_id).exists()
    # MLflow's own pages find them too.
    assert {f.path for f in copy.client.list_artifacts(record.run_id)} == {"curves.csv", "note.txt"}
    os.rename(folder / "copy", folder / "moved")
    moved = Store(f"sqlite:///{folder}/moved/mlflow.db")
    assert {f.path for f in moved.client.list_artifacts(record.run_id)} == {"curves.csv", "note.txt"}


def test_an_experiment_that_was_renamed_keeps_its_files_where_the_project_goes(folder: Path, sent: Store) -> None:
    sent.client.rename_experiment(sent.experiment("runs"), "later")
    os.rename(folder / "sent", folder / "moved")
    moved = Store(f"sqlite:///{folder}/moved/mlflow.db")
    (record,) = moved.records("later")
    assert moved.artifact(record.run_id, "curves.csv", folder).read_text().startswith("epoch")
    assert {f.path for f in moved.client.list_artifacts(record.run_id)} == {"curves.csv"}
    assert synced(moved, folder).new == 1


def test_an_experiment_that_was_renamed_is_not_made_anew(sent: Store) -> None:
    """Its runs would be run again."""
    sent.parent("asked", make=True)
    number = sent.experiment("asked")
    sent.client.rename_experiment(number, "better")
    for look in (Store(sent.uri).rows, Store(sent.uri).experiment, Store(sent.uri).parent):
        with pytest.raises(RequestError, match=f"is called 'better' now.* --experiment-id {number} --new-name asked"):
            look("asked")
    sent.client.rename_experiment(number, "asked")
    assert len(Store(sent.uri).rows("asked")) == 1


def test_an_experiment_that_is_made_while_one_looks_for_it_was_not_renamed(
    sent: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent.lease_run("asked")
    known = Connection._known
    monkeypatch.setattr(Connection, "_known", lambda self, name: None if name == "asked" else known(self, name))
    found = Store(sent.uri)._known("asked")
    assert found is not None
    assert found.name == "asked"


def test_runs_of_a_sweep_itself_that_were_deleted_for_good_are_made_anew(sent: Store) -> None:
    """`mlflow gc` purges what somebody deleted: both belong to no other run's numbers."""
    first = sent.lease_run("asked"), sent.parent("asked", make=True)
    for gone in reversed(first):
        for table in ("params", "tags", "runs"):
            change(sent, f"DELETE FROM {table} WHERE run_uuid = '{gone}'")
        assert Store(sent.uri).parent("asked") is None
        now = Store(sent.uri).lease_run("asked"), Store(sent.uri).parent("asked", make=True)
        assert gone not in now
        assert now == (Store(sent.uri).lease_run("asked"), Store(sent.uri).parent("asked"))
    assert len(sent.rows("asked")) == 2  # a parent for each lease run


def test_what_a_sweep_asks_comes_with_its_store(folder: Path, sent: Store) -> None:
    """It names no store to track in, and takes the place of no sweep of this folder."""
    words = ("asked", ["model=knn,ncm"], ["dataset=digits", f"tracking.uri={sent.uri}"], 1)
    file.keep(file.axes_data(*words))
    kept = file.stated_folder() / "asked.yaml"
    text = statement_of(file.from_axes(*words))
    assert text == kept.read_text()
    kept.write_text(text.replace("knn", "linear"))
    assert statement_of(file.from_axes(*words)) == ""  # another sweep by that name
    parent = sent.parent("asked-smoke", make=True)
    assert parent is not None

    def sends(text: str) -> None:
        (folder / STATEMENT).write_text(text)
        sent.add_files(parent, [folder / STATEMENT])

    sends(text)
    assert take_over(sent, "asked-smoke") is None  # there is one here
    kept.unlink()
    assert take_over(sent, "asked-smoke") == kept
    assert file.read("asked") == file.from_axes("asked", ["model=knn,ncm"], ["dataset=digits"], 1)
    kept.unlink()
    sends(text.replace("name: asked", "name: other"))
    assert take_over(sent, "asked-smoke") is None
    for sent_text, reason in (
        (text.replace("model:", "model: [knn, ncm]\n  tracking.uri:", 1), "where to keep runs"),
        (text.replace("name: asked", "name: ../../asked"), "holds a slash"),
        ("[" * 9000, "nested too deeply"),
    ):
        sends(sent_text)
        with pytest.raises(RequestError, match=reason):
            take_over(sent, "asked-smoke")
    sends(text)
    place = sent.files_of(parent)
    assert place is not None
    (place / STATEMENT).unlink()
    (place / STATEMENT).symlink_to(folder / STATEMENT)
    assert take_over(sent, "asked-smoke") is None
    assert not kept.exists()


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "a\\b", "..", ".hidden", "-rf", "", " ", "a\nb", "a\x1b[2J", "x" * 200]
)
def test_names_that_are_no_plain_folder(name: str) -> None:
    with pytest.raises(RequestError, match="plain word"):
        checked_name(name, "the sweep")


def test_a_sweep_named_outside_is_refused(folder: Path, bench: Any) -> None:
    words = ("--axes", "optim.lr=0.1,0.01", "--name", "../../victim", "dataset=digits", "--dry-run")
    status, _, err = bench("sweep", *words)
    assert status == 2
    assert "holds a slash" in err


def test_cells_are_no_formulas(tmp_path: Path) -> None:
    """A spreadsheet shows them; they come back as they were."""
    texts = ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-cmd", "-0.5", "a", "-2+3+cmd|x", "+1-2"]
    texts += ["\t=1+1", "\u00a0=1", "\ufeff=1", "\uff1d1+1"]
    records = [
        Record(key=str(i), sweep="s", axes={"a": t}, seed=i, status="failed", reason=t) for i, t in enumerate(texts)
    ]
    (tmp_path / "records.csv").write_text(to_csv(records))
    assert read_csv(tmp_path / "records.csv") == records
    cells = [cell for row in csv.reader(io.StringIO(to_csv(records))) for cell in row if cell]
    assert [c for c in cells if c.strip("\t\u00a0\ufeff")[:1] in set("=@+-\uff1d")] == ["-0.5"]


def test_cells_of_a_table_are_no_formulas() -> None:
    axes = {"=how": {"=1+1": ["optim.lr=0.1"], "-2+3": ["optim.lr=0.2"]}}
    made = sweep({"name": "s", "question": "?", "base": [], "axes": axes, "seeds": 1, "table": {"rows": "=how"}}, "s")
    records = [
        Record(key=t, sweep="s", axes={"=how": t}, seed=0, status="finished", metrics={"test/accuracy": 0.5})
        for t in axes["=how"]
    ]
    cells = [
        cell for row in csv.reader(io.StringIO(tidy_csv(pivot(select_frame(made, records), made)))) for cell in row
    ]
    assert {'"=how"', '"=1+1"', '"-2+3"'} <= set(cells)


def test_files_to_read_hold_nothing_that_steers_a_terminal() -> None:
    """Of a question, say; the records stay as they are."""
    made = sweep(
        {
            "name": "s",
            "question": "Does\x1b[2J it?",
            "axes": {"optim.lr": [0.1]},
            "seeds": 1,
            "table": {"rows": "optim.lr"},
        },
        "s",
    )
    record = Record(key="a" * 64, sweep="s", axes={"optim.lr": 0.1}, seed=0, status="failed", reason="no\x1b]0;x\x07")
    files = texts(made, [record], {}).files
    assert "Does?\\[2J it?" in str(files["table.md"])
    assert [name for name, body in files.items() if "\x1b" in str(body)] in ([], ["records.csv"])


def test_text_of_a_store_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert make_printable("a\x1b[2Jb\0c\n\td") == "a?[2Jb?c\n\td"
    complain("run \x1b]0;title\x07", as_json=False)
    assert "\x1b" not in capsys.readouterr().err
    out = io.StringIO()
    print("a\x1b[2J\r\0\x9b2J\u00a0±", file=Harmless(out))
    print("a\u202eb\u2066c\u2028d", file=Harmless(out))
    assert out.getvalue() == "a?[2J???2J\u00a0±\na?b?c?d\n"
    with pytest.raises(RequestError, match="are no label"):
        steps_of("model", {"a\x1b[2J": [], "b": []})


@pytest.mark.parametrize("address", ["file:///a/b", "file://host/a/b", "file://localhost/a/b", "file://u:p@host:1/a/b"])
def test_a_host_in_an_address_hides_no_folder_of_this_machine(address: str) -> None:
    """MLflow drops the host: what it would read here is checked as a folder of this machine."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    assert str(local(address)) == local_file_uri_to_path(address) == "/a/b"


def test_files_elsewhere_come_from_the_stores_own_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow would fetch them from anywhere, with this user's credentials."""
    server, database = "http://me:pass@host:5000", "postgresql://me:pass@host/db"
    for address, uri in (
        ("mlflow-artifacts://victim:80/1/a", server), ("mlflow-artifacts:/1/%252e%252e/2", server),
        ("mlflow-artifacts:/1/../2", server), ("mlflow-artifacts:/1/a", database), ("s3://bucket/mine/a", server),
        ("ftp://me:pass@victim/x", database), ("http://victim/x", server),
    ):  # fmt: skip
        with pytest.raises(Unbelievable, match="no place of the store's own") as refused:
            _own_place(address, uri)
        assert "pass" not in str(refused.value)
    _own_place("mlflow-artifacts:/1/a/artifacts", server)
    monkeypatch.setenv("IMAGEBENCH_ARTIFACTS", "s3://bucket/mine")
    _own_place("s3://bucket/mine/a", database)
    for address in ("s3://bucket/mine/../a", "s3://bucket/mine-not/a"):
        with pytest.raises(Unbelievable):
            _own_place(address, database)


def test_a_terminal_without_our_signs_shows_others() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="")
    tolerate_narrow_encoding(stream)
    stream.write("87.3 ± 0.5 · n ≥ 3 ── ÿ")
    stream.flush()
    assert stream.buffer.getvalue() == b"87.3 +/- 0.5 - n >= 3 -- ?"  # type: ignore[attr-defined]


def test_compare_looks_into_the_store_of_the_environment(
    folder: Path, sent: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = sent.records("runs")
    with pytest.raises(RequestError, match="neither a run"):
        of_run(record.run_id, folder / "results")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sent.uri)
    assert of_run(record.run_id[:8], folder / "results")[0].records == [record]


def test_a_port_that_is_none(folder: Path, bench: Any) -> None:
    for words in (("ui", "--port", "80000"), ("serve", "last", "--port", "80000"), ("serve", "last", "--port", "-1")):
        status, _, err = bench(*words)
        assert (status, "to 65535" in err, ".." in err) == (2, True, False)


def test_a_port_that_somebody_listens_on(folder: Path, bench: Any) -> None:
    with closing(bind("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        status, _, err = bench("ui", "--port", str(port))
    assert (status, f"Cannot listen on 127.0.0.1 port {port}" in err) == (2, True)
