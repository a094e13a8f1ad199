"""Transfer from the command to the store: a source task trained here, moved to a target task."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from bench.track.store import Store

SMALL = ("model=resnet20", "model.depth=8", "model.width=4", "trainer.threads=1", "trainer.epochs=1")


def weights_of(run_id: str, folder: Path) -> dict[str, torch.Tensor]:
    folder.mkdir()
    return torch.load(Store(None).artifact(run_id, "weights.pt", folder), weights_only=True)


def test_an_earlier_run_is_moved_to_another_task(folder: Path, bench: Any, bench_json: Any) -> None:
    """The backbone is kept when frozen, trained when not; the head is new either way."""
    source = bench_json("run", "dataset=digits", *SMALL, "seed=5")["run_id"]
    before = weights_of(source, folder / "source")
    base = ("run", "dataset=digits", *SMALL, "seed=6", f"transfer.weights=run:{source}")
    results = {}
    for mode in ("frozen", "finetune"):
        found = bench_json(*base, f"transfer={mode}")
        assert found["status"] == "finished"
        after = weights_of(found["run_id"], folder / mode)
        assert after.keys() == before.keys()
        kept = {name for name in after if torch.equal(after[name], before[name])}
        results[mode] = {name for name in after if not name.startswith("head.")} & kept
        assert not {"head.weight", "head.bias"} & kept
    everything = {name for name in before if not name.startswith("head.")}
    assert results["frozen"] == everything
    assert len(results["finetune"]) < len(everything) / 2
    for head in ("knn", "ncm"):
        found = bench_json(*base, "transfer=frozen", f"transfer.head={head}")
        assert 0 < found["metrics"]["test/accuracy"] <= 1

    status, _, error = bench(*base[:-1], "transfer=frozen", "transfer.weights=run:nowhere")
    assert status == 2
    assert "nowhere" in error
    status, _, error = bench(*base, "transfer=finetune", "model.width=8")
    assert status == 2
    assert "another backbone" in error


def test_a_record_says_which_weights_it_started_from(folder: Path, bench_json: Any) -> None:
    """By their content: the address of a run or a file does not say what was in it then."""
    source = bench_json("run", "dataset=digits", *SMALL, "seed=5")["run_id"]
    file = Store(None).artifact(source, "weights.pt", folder)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    base = ("run", "dataset=digits", *SMALL, "transfer=finetune")
    bench_json(*base, f"transfer.weights=run:{source}")
    bench_json(*base, f"transfer.weights=file:{file}", f"transfer.sha256={digest}", "transfer.preprocess=own")
    found = {r.config["transfer.weights"]: r.provenance for r in Store(None).records("runs") if r.run_id != source}
    assert {p["weights_sha256"] for p in found.values()} == {digest}
    assert len(found) == 2
    (scratch,) = [r for r in Store(None).records("runs") if r.run_id == source]
    assert "weights_sha256" not in scratch.provenance


def test_nearest_class_mean_is_a_run(folder: Path, bench_json: Any) -> None:
    found = bench_json("run", "dataset=digits", "model=ncm")
    assert found["metrics"]["test/accuracy"] > 0.8
    assert found["costs"]["cost/params"] == 64 * 10
