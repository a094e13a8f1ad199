"""One experiment, from the command to the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

QUICK = ("dataset=digits", "model=dnn", "model.hidden=[16]", "trainer.epochs=2", "trainer.threads=1")


def test_run_answers_with_one_json_object(folder: Path, bench: Any) -> None:
    status, out, _ = bench("run", *QUICK, "seed=1", "--json")
    assert status == 0
    assert len(out.strip().splitlines()) == 1
    found = json.loads(out)
    assert found["status"] == "finished"
    assert len(found["run_key"]) == 64
    for split in ("val", "test"):
        for metric in ("accuracy", "top5", "macro_f1", "nll", "ece"):
            assert np.isfinite(found["metrics"][f"{split}/{metric}"])
    assert found["costs"]["cost/params"] == 64 * 16 + 16 + 16 * 10 + 10
    # Two products: 64 x 16 and 16 x 10, a multiplication and an addition each.
    assert found["costs"]["cost/flops"] == 2 * (64 * 16 + 16 * 10)


def test_a_finished_experiment_is_not_run_again(folder: Path, bench_json: Any) -> None:
    first = bench_json("run", *QUICK)
    again = bench_json("run", *QUICK)
    assert (first["ran"], again["ran"]) == (True, False)
    assert again["run_id"] == first["run_id"]
    assert again["metrics"] == first["metrics"]
    fresh = bench_json("run", *QUICK, "--fresh")
    assert fresh["ran"]
    assert fresh["run_id"] != first["run_id"]


def test_a_run_by_itself_beside_what_others_left_of_it(folder: Path, bench_json: Any) -> None:
    """A killed sweep's lease stops nobody; an outcome that an earlier command did not deliver is not trained again."""
    from bench.track.spool import LEASE, OUTCOME, Spool

    first = bench_json("run", *QUICK)
    spool = Spool()
    place = spool.place(first["run_key"])
    place.mkdir(parents=True)
    (place / LEASE).write_text('{"attempt": 1, "run": "0123", "store": ""}')
    again = bench_json("run", *QUICK, "--fresh")
    assert again["metrics"] == first["metrics"]
    assert not list(spool.root.iterdir())

    other = f"tracking.uri=sqlite:///{folder}/other.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.track.store.Store.deliver", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        from bench.cli import main

        assert main(["run", *QUICK, other]) == 130
    assert (place / OUTCOME).is_file()
    found = bench_json("run", *QUICK, other)
    assert (found["ran"], found["metrics"]) == (False, first["metrics"])
    assert not list(spool.root.iterdir())


def test_a_fresh_run_leaves_an_outcome_that_waits_for_the_store_alone(folder: Path, bench_json: Any) -> None:
    """It comes into the store first; what is in the store already, is there besides."""
    from bench.cli import main
    from bench.track.store import Store

    words = (*QUICK, "seed=7")
    bench_json("run", *words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "deliver", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(["run", *words, "--fresh"]) == 130
    bench_json("run", *words, "--fresh")
    assert [r.status for r in Store().records("runs")] == ["finished"] * 3


def test_two_commands_for_one_run_take_turns(folder: Path) -> None:
    """In one folder; the second finds what the first has done."""
    import threading

    from bench.cli.run import run_or_find
    from bench.compose import compose

    config = compose([*QUICK, "seed=9"])
    found: list[Any] = []
    calls = [threading.Thread(target=lambda: found.append(run_or_find(config, False, {}))) for _ in range(2)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert sorted(ran for _, ran, _ in found) == [False, True]
    assert found[0][0] == found[1][0]


def test_the_other_machines_of_a_run_join_it_in_a_folder_they_share(
    folder: Path, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None waits for the first one, which waits for them, takes what is its, or records anything."""
    from bench.schema.errors import RunFailed
    from bench.track.spool import PROGRESS, RESUME, Spool
    from bench.track.store import Store

    words = (*QUICK, "trainer.num_nodes=2", "trainer.accelerator=cpu")
    ends: list[BaseException] = [SystemExit(0), RunFailed("out of memory")]
    joined: list[Path] = []

    def train(exp: Any, data: Any, on_epoch: Any, checkpoint: Path, starts: Any) -> None:
        if not joined:  # the first machine, in the middle of it
            joined.append(checkpoint)
            for name in (RESUME, PROGRESS):
                checkpoint.with_name(name).touch()
            with monkeypatch.context() as other:
                other.setenv("NODE_RANK", "1")
                with pytest.raises(SystemExit):
                    bench("run", *words)
                status, _, said = bench("run", *words)
            assert (status, "The part of this machine failed: out of memory" in said) == (2, True)
            assert {p.name for p in checkpoint.parent.iterdir()} == {RESUME, PROGRESS}
            raise KeyboardInterrupt
        joined.append(checkpoint)
        raise ends.pop(0)

    monkeypatch.setattr("bench.run.train", train)
    assert bench("run", *words)[0] == 130
    assert joined == [Spool().place(joined[0].parent.name) / RESUME] * 3
    assert not Store().records("runs")


def test_the_same_seed_gives_the_same_numbers(folder: Path, bench_json: Any) -> None:
    words = (*QUICK, "model.dropout=0.3", "augment=shift")
    one = bench_json("run", *words)["metrics"]
    two = bench_json("run", *words, "--fresh")["metrics"]
    other = bench_json("run", *words, "seed=5")["metrics"]
    assert one == two
    assert one["val/nll"] != other["val/nll"]


def test_what_the_store_holds(folder: Path, bench_json: Any) -> None:
    from mlflow.tracking import MlflowClient

    found = bench_json("run", *QUICK, "seed=2")
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    run = client.get_run(found["run_id"])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "dnn · lr 0.001 · seed 2"
    assert run.data.params["model.hidden"] == "[16]"
    assert run.data.params["seed"] == "2"
    assert run.data.tags["run_key"] == found["run_key"]
    for tag in ("git_commit", "git_dirty", "data_fingerprint", "packages", "hardware"):
        assert run.data.tags[tag]
    assert run.data.metrics["test/accuracy"] == found["metrics"]["test/accuracy"]
    curve = client.get_metric_history(found["run_id"], "epoch/val_accuracy")
    assert [m.step for m in curve] == [1, 2]
    assert len(client.get_metric_history(found["run_id"], "test/accuracy")) == 1
    files = {f.path for f in client.list_artifacts(found["run_id"])}
    assert files >= {"curves.csv", "confusion.json", "weights.pt", "config.yaml"}
    counts = json.loads(Path(client.download_artifacts(found["run_id"], "confusion.json")).read_text())["counts"]
    assert np.trace(counts) / np.sum(counts) == pytest.approx(found["metrics"]["test/accuracy"])
    assert not (folder / ".imagebench" / "spool" / found["run_key"]).exists()


def test_val_selects_the_epoch(folder: Path, bench_json: Any) -> None:
    """The reported val accuracy is the best of the curve, at the epoch that is named."""
    from mlflow.tracking import MlflowClient

    found = bench_json("run", *QUICK, "trainer.epochs=6", "optim.lr=0.03")
    curve = MlflowClient(f"sqlite:///{folder}/mlflow.db").get_metric_history(found["run_id"], "epoch/val_accuracy")
    best = max(m.value for m in curve)
    assert found["metrics"]["val/accuracy"] == pytest.approx(best)
    assert found["costs"]["cost/selected_epoch"] == next(m.step for m in curve if m.value == best)


def test_a_run_that_diverges_is_a_record_with_a_reason(folder: Path, bench: Any) -> None:
    status, out, _ = bench("run", *QUICK, "optim=sgd", "optim.lr=1e30", "--json")
    found = json.loads(out)
    assert status == 1
    assert found["status"] == "failed"
    assert "diverged" in found["reason"]


def test_knn_is_measured_like_the_others(folder: Path, bench_json: Any) -> None:
    found = bench_json("run", "dataset=digits", "model=knn", "model.k=1")
    assert found["metrics"]["test/accuracy"] > 0.95
    assert found["costs"]["cost/params"] == 0


def test_a_printed_configuration_holds_no_password(bench: Any) -> None:
    uri = "postgresql://me:hush@db.example/runs"
    for flags in (["--cfg", "job"], ["-c", "job"]):
        status, out, err = bench("run", *flags, f"tracking.uri='{uri}'")
        assert status == 0
        assert "db.example/runs" in out
        assert "hush" not in out + err


def test_hydras_multirun_writes_no_password(folder: Path, bench: Any) -> None:
    """It keeps its overrides in multirun.yaml."""
    status, out, err = bench("run", "-m", "seed=1,2", "tracking.uri='postgresql://me:hush 12@db.example/runs'")
    assert (status, "multirun.yaml" in err) == (2, True)
    assert "hush" not in out + err
    assert not [p for p in folder.rglob("*") if p.is_file() and b"hush" in p.read_bytes()]


def test_hydras_own_flags_work(folder: Path, bench: Any) -> None:
    status, out, _ = bench("run", "--cfg", "job", "model=cnn", "optim.lr=0.5", "model.pool_size=3")
    assert status == 0
    assert "lr: 0.5" in out
    assert "pool_size: 3" in out
    assert "source: mnist5k" in out


def test_multirun_runs_each(folder: Path, bench: Any) -> None:
    status, out, _ = bench("run", "-m", *QUICK, "optim.lr=0.01,0.02", "--json")
    assert status == 0
    keys = [json.loads(line)["run_key"] for line in out.splitlines() if line.startswith("{")]
    assert len(set(keys)) == 2


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["run", "optim.lrr=1"], ["optim.lrr", "Did you mean 'lr'"]),
        (["run", "+typo=1"], ["typo"]),
        (["run", "--cfg", "job", "dataset=mnst5k"], ["Did you mean 'mnist5k'"]),
        (["rum"], ["Unknown verb 'rum'", "Did you mean 'run'"]),
        (["sweep", "batchnrm"], ["Unknown sweep 'batchnrm'", "Did you mean 'batchnorm'"]),
        (["sweep"], ["Expected the name of one sweep"]),
        (["sweep", "--axes", "model="], ["empty"]),
        (["sweep", "--axes", "model=linear,liner"], ["Unknown model 'liner'", "Did you mean 'linear'"]),
        (["sweep", "batchnorm", "--scale", "smal"], ["Did you mean 'small'"]),
        (["sweep", "batchnorm", "--seeds", "x"], ["--seeds"]),
        (["sweep", "batchnorm", "--seeds", "0"], ["seeds"]),
        (["sweep", "batchnorm", "--wrokers", "1"], ["--wrokers"]),
        (["run", "tracking.uri=file:///tmp/x"], ["no longer keeps runs in plain folders"]),
        (["run", "tracking.uri=sqlite:////no/such/folder/x.db"], ["there is no folder"]),
        (["run", "dataset=fashion_mnist", "dataset.root=/no/such/folder"], ["/no/such/folder"]),
    ],
)
def test_a_wrong_request_ends_with_2_and_one_message(
    folder: Path, bench: Any, words: list[str], parts: list[str]
) -> None:
    status, out, err = bench(*words)
    assert status == 2
    assert out == ""
    assert "Traceback" not in err
    for text in parts:
        assert text in err


def test_an_unreachable_server_is_told_before_anything_is_trained(folder: Path, bench: Any) -> None:
    uri = "http://someone:secret-word@127.0.0.1:9"
    status, out, err = bench("run", *QUICK, f"tracking.uri={uri}")
    assert status == 2
    assert "does not answer" in err
    assert "127.0.0.1:9" in err
    assert "secret-word" not in err + out


def test_a_wrong_request_is_json_for_programs(folder: Path, bench: Any) -> None:
    status, out, _ = bench("run", "optim.lrr=1", "--json")
    assert status == 2
    assert "optim.lrr" in json.loads(out)["error"]


def test_debug_gives_the_traceback_and_no_password(folder: Path, bench: Any) -> None:
    status, _, err = bench("run", "tracking.uri=file://bob:pa/ss-word@host/x", "--debug")
    assert status == 2
    assert "Traceback" in err
    assert "RequestError" in err
    assert "ss-word" not in err
