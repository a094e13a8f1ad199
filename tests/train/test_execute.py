"""From runs to sealed outcomes: stacked, resumed, failed."""

import hashlib

import pytest
import torch

from bench import models
from bench.run import execute
from bench.track.spool import Spool
from bench.train import checkpoint


def test_stacked_runs_leave_the_records_they_leave_alone(exp, tmp_path):
    exps = [exp("model=dnn", "model.hidden=[16]", "trainer.stack=4", f"seed={s}") for s in range(2)]
    labels = [{"sweep": "s", "axes": {"a": 1}, "name": f"run {s}"} for s in range(2)]
    stacked = execute(exps, labels=labels, spool=Spool(tmp_path / "stacked"))
    for made, label, place in zip(exps, labels, stacked, strict=True):
        one, about = Spool.read(place)
        other, _ = Spool.read(execute([made], labels=[label], spool=Spool(tmp_path / "alone"))[0])
        assert (one.key, one.seed, one.status, one.axes) == (other.key, other.seed, "finished", {"a": 1})
        assert one.config == other.config
        assert one.metrics == pytest.approx(other.metrics, abs=0.01)
        assert about["name"] == label["name"]
        files = {p.name for p in place.iterdir()}
        assert files == {p.name for p in (tmp_path / "alone" / one.key).iterdir()}


def test_a_stacked_run_that_diverges_is_recorded_alone(exp, tmp_path):
    words = ("model=dnn", "optim=sgd", "trainer.stack=4")
    exps = [exp(*words, "optim.lr=0.01"), exp(*words, "optim.lr=1e30")]
    good, bad = (Spool.read(p)[0] for p in execute(exps, spool=Spool(tmp_path)))
    assert good.status == "finished"
    assert (bad.status, bad.metrics) == ("failed", {})
    assert bad.reason.startswith("diverged")


def test_an_interrupted_run_goes_on_from_its_checkpoint(exp, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    made, spool, seen = exp("model=linear", "trainer.epochs=3"), Spool(tmp_path), []

    def killed(_, row):
        if row["epoch"] == 2:
            raise SystemExit

    with pytest.raises(SystemExit):
        execute([made], spool=spool, on_epoch=killed)
    (place,) = execute([made], spool=spool, on_epoch=lambda _, row: seen.append(row["epoch"]))
    assert seen == [2, 3]
    assert Spool.read(place)[0].status == "finished"
    assert not [p for p in place.iterdir() if "ckpt" in p.name]


@pytest.mark.parametrize("mode", [["transfer=finetune"], ["transfer=finetune", "transfer.unfreeze_every=1"],
                                  ["transfer=frozen"]], ids=["finetune", "unfreezing", "frozen"])  # fmt: skip
def test_an_interrupted_transfer_goes_on_from_its_checkpoint(exp, digits, tmp_path, monkeypatch, mode):
    """The long runs are these; every number is that of an undisturbed run."""
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    words = ("model=resnet20", "model.depth=8", "model.width=4")
    weights = tmp_path / "weights.pt"
    torch.save(models.build(exp(*words, "seed=9"), digits.shape, 10).state_dict(), weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    made = exp(*words, *mode, f"transfer.weights=file:{weights}", f"transfer.sha256={digest}", "trainer.epochs=3")
    seen = []

    def killed(_, row):
        if row["epoch"] == 3:
            raise SystemExit

    with pytest.raises(SystemExit):
        execute([made], spool=Spool(tmp_path / "killed"), on_epoch=killed)
    (resumed,) = execute([made], spool=Spool(tmp_path / "killed"), on_epoch=lambda _, row: seen.append(row["epoch"]))
    (undisturbed,) = execute([made], spool=Spool(tmp_path / "undisturbed"))
    assert seen == [3]
    assert Spool.read(resumed)[0].metrics == Spool.read(undisturbed)[0].metrics


def test_a_stacked_run_agrees_with_itself_in_other_company(exp, tmp_path):
    """A sweep that was killed and went on, with other runs side by side, gives the same table within rounding."""
    exps = [exp("model=dnn", "norm_layer=batch", "model.dropout=0.2", "trainer.stack=8", f"seed={s}") for s in range(4)]
    whole = execute(exps, spool=Spool(tmp_path / "whole"))
    some = execute(exps[1:3], spool=Spool(tmp_path / "some"))
    (one,) = execute(exps[3:], spool=Spool(tmp_path / "one"))
    for there, here in zip(whole[1:], [*some, one], strict=True):
        assert Spool.read(there)[0].metrics == pytest.approx(Spool.read(here)[0].metrics, abs=2e-3)


def test_a_program_that_nobody_asked_for_takes_nobody_with_it(exp, tmp_path, monkeypatch):
    """Where memory is too small for all scores at once, say: the runs are then those that they are alone."""
    import bench.run

    exps = [exp("model=dnn", "model.hidden=[16]", "trainer.epochs=40", f"seed={seed}") for seed in range(3)]

    def too_large(*_):
        raise torch.OutOfMemoryError("not enough memory")

    told = []

    def together(exps, *_):
        return ([None] * len(exps) if len(exps) > 1 else None), ""

    with monkeypatch.context() as patched:
        patched.setattr(bench.run, "as_one_program", together)
        patched.setattr(bench.run.stacked, "fit", too_large)
        folders = execute(exps, spool=Spool(tmp_path / "a"), told=lambda count, why: told.append((count, why)))
    found = [Spool.read(folder)[0] for folder in folders]
    assert [r.status for r in found] == ["finished"] * 3
    assert told == [(1, "one program of them failed")] * 3
    alone = [Spool.read(f)[0] for e in exps for f in execute([e], spool=Spool(tmp_path / "b"))]
    assert [r.metrics for r in found] == [r.metrics for r in alone]
    assert not any("together" in r.provenance for r in found)
