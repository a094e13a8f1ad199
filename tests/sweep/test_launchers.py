"""A small sweep through each of Hydra's launchers, on the real engines."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.track.store import Store
from tests.services.cluster import Slurm, slurm  # noqa: F401
from tests.services.database import PASSWORD, Postgres, mlflow_server, postgres  # noqa: F401
from tests.services.parts import missing
from tests.sweep.calling import TINY, Call, called

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("launchers")]
# Own code travels as other settings do: half of the points are of a network of the user's own, in two files.
SMALL = (*TINY, "--seeds", "2", "--axes", "model=mine,dnn", "optim.lr=0.1,0.01")  # 8 runs
MINE = """
from torch import nn
from bench.parts import augmentation, loss, model
from layers import act

@model
def mine(shape, classes): return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), act(), nn.Linear(8, classes))

@augmentation
def dim(images, targets, draws): return images * draws.uniform(1).to(images.device)[:, :, None, None], targets

@loss
def plain(logits, targets): return nn.functional.cross_entropy(logits, targets)
"""


@pytest.fixture(autouse=True)
def _mine(folder: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "parts" / "mine.py").write_text(MINE)
    (folder / "parts" / "layers.py").write_text("from torch import nn\nact = nn.ReLU\n")


def check(store: Store, runs: int = 8) -> None:
    """Each point once, finished."""
    rows = [r for r in store.rows("adhoc") if "run_key" in r.tags]
    assert len(rows) == len({r.tags["run_key"] for r in rows}) == runs
    assert {r.status for r in rows} == {"FINISHED"}
    assert {r.tags["mlflow.parentRunId"] for r in rows} == {store.parent("adhoc")}


@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local"])
def test_launchers_of_this_machine(folder: Path, launcher: str, bench_json: Any) -> None:
    if launcher == "submitit_local" and importlib.util.find_spec("submitit") is None:
        missing("submitit", "pip install 'imagebench[slurm]'")
    call = called(folder, "sweep", *SMALL, f"hydra/launcher={launcher}", "--json")
    assert call.json() | {"ran": 8, "failed": 0, "left": 0} == call.json()
    check(Store())
    again = bench_json("sweep", *SMALL, f"hydra/launcher={launcher}")
    assert (again["skipped"], again["ran"]) == (8, 0)


@pytest.mark.parametrize("trainer", ["ddp", "fsdp"])
def test_points_on_two_devices_are_points_like_others(folder: Path, trainer: str) -> None:
    """One run and one folder each, from a worker that is a process of the sweep itself."""
    words = ("--axes", "optim.lr=0.1,0.01", "--seeds", "1", "dataset=digits", "model=mine", "trainer.epochs=1")
    words += ("augment=dim", "loss=plain", f"trainer={trainer}", "trainer.accelerator=cpu", "--workers", "1", "--json")
    found = called(folder, "sweep", *words).json()
    assert (found["ran"], found["failed"]) == (2, 0)
    check(Store(), 2)
    assert not list((folder / ".imagebench" / "spool").glob("*"))


def test_a_job_stacks_what_may_be_stacked(folder: Path, bench_json: Any) -> None:
    """Four seeds as one program: the time of each is its share of the whole."""
    words = ("--axes", "optim.lr=0.1,0.01", "--seeds", "2", "dataset=digits", "model=linear", "trainer.epochs=2")
    bench_json("sweep", *words, "trainer.stack=4", "hydra/launcher=basic")
    records = Store().records("adhoc")
    assert [r.status for r in records] == ["finished"] * 4
    assert len({r.costs["cost/fit_seconds"] for r in records}) == 1


def test_a_job_reads_an_earlier_run_from_the_store_of_the_launch(folder: Path, bench: Any, bench_json: Any) -> None:
    """Copied before: the processes that train know no store. A run that is not there costs its points only."""
    uri = f"tracking.uri=sqlite:///{folder}/elsewhere.db"
    small = ("dataset=digits", "model=resnet20", "model.depth=8", "model.width=4", "trainer.epochs=1", uri)
    source = bench_json("run", *small, "seed=5")["run_id"]
    words = ("--axes", f"transfer.weights=run:{source},run:nowhere", "--seeds", "1", *small, "transfer=finetune")
    status, out, err = bench("sweep", *words, "hydra/launcher=joblib", "--workers", "1", "--json")
    assert status == 1, err
    assert json.loads(out) | {"planned": 2, "ran": 2, "failed": 1} == json.loads(out)
    (failed,) = [r for r in Store(uri.partition("=")[2]).records("adhoc") if r.status == "failed"]
    assert "No run 'nowhere'" in failed.reason


def test_the_pool_has_a_name_too(folder: Path, bench: Any, bench_json: Any) -> None:
    words = ("--axes", "optim.lr=0.1,0.01", "--seeds", "1", "dataset=digits", "model=linear", "trainer.epochs=1")
    assert bench_json("sweep", *words, "hydra/launcher=local", "--workers", "1")["ran"] == 2
    status, _, error = bench("sweep", *words, "hydra/launcher=local", "hydra.launcher.n_jobs=3", "--seeds", "2")
    assert status == 2
    assert "--workers" in error
    status, _, error = bench("sweep", *words, "hydra/launcher=rai", "--seeds", "2")
    assert status == 2
    assert "Did you mean 'ray'" in error


def test_ray_with_two_workers(folder: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        missing("Ray", "pip install 'imagebench[ray]'")
    words = ("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2", "--workers", "2")
    call = called(folder, "sweep", *SMALL, *words, "--json")
    assert call.json() | {"ran": 8, "failed": 0, "left": 0} == call.json()
    store = Store()
    check(store)
    # Runs this short may all be taken before the second job has begun: then it has said so, by Ray.
    owners = {v for k, v in store.params(store.lease_run("adhoc")).items() if k.endswith("/1")}
    took = {re.search(r'"pid": (\d+)', v).group(1) for v in owners}  # type: ignore[union-attr]
    assert len(took | set(re.findall(r"_run_job pid=(\d+)", call.said))) == 2, call.said


def test_slurm_behind_a_tracking_server(folder: Path, slurm: Slurm, postgres: Postgres) -> None:  # noqa: F811
    """Two Slurm jobs, an MLflow server on PostgreSQL: as a group would run it."""
    with mlflow_server(postgres.database("behind"), folder) as address:
        words = ("hydra/launcher=submitit_slurm", "--workers", "2", f"tracking.uri={address}")
        call = called(folder, "sweep", *SMALL, *words, "--json", **slurm.environment)
        assert call.json() | {"ran": 8, "failed": 0, "left": 0} == call.json()
        check(Store(address))


def test_a_requeued_slurm_job_goes_on_and_leaves_no_password_in_files(
    folder: Path,
    slurm: Slurm,  # noqa: F811
    postgres: Postgres,  # noqa: F811
) -> None:
    """Straight to the database. The job is taken off its node in the middle of a run, and begins again."""
    uri = postgres.database("slurm")
    words = ("--axes", "trainer.epochs=2000,1", "--seeds", "1", "dataset=digits", "model=linear", "trainer.stack=off")
    words += ("hydra/launcher=submitit_slurm", "--workers", "1", f"tracking.uri={uri}")
    call = Call(folder, "sweep", *words, **slurm.environment)
    assert call.wait_until(lambda: any((folder / ".imagebench" / "spool").glob("*/.progress")))
    (job,) = slurm.ask("squeue", "-h", "-o", "%A").split()
    assert slurm.ask("scontrol", "requeue", job) == ""
    assert call.finish() == 0, call.said
    store = Store(uri)
    check(store, 2)
    taken = store.params(store.lease_run("adhoc"))
    assert {json.loads(taken[key])["restarts"] for key in taken if key[65:].isdecimal()} == {0, 1}
    assert PASSWORD not in call.said + "".join(call.out)
    for file in folder.rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file
