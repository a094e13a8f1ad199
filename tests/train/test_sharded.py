"""Sharded training (trainer.strategy=fsdp), two processes on a CPU, against one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from bench.run import execute
from bench.schema.errors import RequestError
from bench.schema.run_key import run_key
from bench.schema.training import Optim, Optimizer
from bench.track.spool import Spool
from bench.train.distributed import free_port
from bench.train.optim import optimizer
from bench.train.sharded import NOT_SHARDED, blocks, check, gather_state, restore, shard

FSDP = ("trainer=fsdp", "trainer.accelerator=cpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("model=dnn", "model.hidden=[16]", "augment=shift", "optim=sgd", "optim.lr=0.05", "optim.schedule=cosine",
         "trainer.clip=1", "trainer.batch_size=99"),
        ("model=cnn", "norm_layer=group", "optim=adamw", "trainer.accumulate=3"),
        ("model=cnn", "norm_layer=weight", "optim=adam", "trainer.precision=bf16-mixed"),
    ],
    ids=["dnn", "accumulated", "weight-normalised"],
)  # fmt: skip
def test_two_shares_are_one_training(exp, trained, words, tmp_path):
    """Losses, selection and scores match one process; weights come back whole, and one run is recorded."""
    one, made = trained(exp(*words)), exp(*words, *FSDP)
    two = trained(made)
    close = 2e-2 if "trainer.precision=bf16-mixed" in words else 1e-4
    for mine, its in zip(two.history, one.history, strict=True):
        assert mine["train_loss"] == pytest.approx(its["train_loss"], rel=close)
        assert mine["val_loss"] == pytest.approx(its["val_loss"], rel=close)
        assert mine["lr"] == its["lr"]
    assert two.selected_epoch == one.selected_epoch
    np.testing.assert_allclose(two.test_scores, one.test_scores, atol=20 * close)
    assert {k: v.shape for k, v in two.state.items()} == {k: v.shape for k, v in one.state.items()}
    assert {type(v) for v in two.state.values()} == {torch.Tensor}

    if "model=dnn" not in words:  # one stands for all in what is recorded
        return
    (place,) = execute([made], spool=Spool(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == [place.name]
    assert Spool.read(place)[0].status == "finished"


def test_what_needs_whole_tensors_is_refused_with_what_to_use(exp):
    for words, says in (
        (["trainer.precision=16-mixed"], "bf16-mixed"),
        (["optim=muon"], "optim.name=muon needs whole tensors"),
        (["optim.l1=0.1"], "optim.weight_decay"),
        (["trainer.gradients=true"], "trainer.strategy=ddp"),
        (["trainer.channels_last=always"], "trainer.channels_last=always.*fsdp"),
    ):
        with pytest.raises(RequestError, match=says):
            check(exp(*FSDP, *words))
    check(exp(*FSDP))


def test_how_devices_share_is_not_science(exp):
    assert run_key(exp(*FSDP), "d") == run_key(exp("trainer=ddp"), "d") == run_key(exp(), "d")


def test_one_device_has_nothing_to_share_out(exp):
    with pytest.raises(RequestError, match=r"trainer\.devices=2"):
        exp("trainer.strategy=fsdp")


def test_blocks_are_cut_where_parameters_are():
    """Parts of a size, inner ones first; lists and single layers belong to the part around them."""
    inner = nn.Sequential(nn.Linear(10, 10), nn.ReLU())
    attention = nn.MultiheadAttention(8, 2)
    net = nn.ModuleDict({"a": nn.ModuleList([nn.Sequential(inner, nn.Linear(10, 10))]), "b": attention})
    assert blocks(net, least=100) == [inner, net["a"][0], attention]
    assert blocks(net, least=200) == [net["a"][0], attention]
    assert blocks(net, least=10_000) == []


# What a process of the next tests does; a function of a module, as it is started anew.
def _in_processes(job: Any, tmp_path: Path) -> list[Any]:
    """`job(rank)` in two processes that make a group; what they return."""
    torch.multiprocessing.start_processes(
        _member, args=(job, free_port(), tmp_path), nprocs=2, start_method="fork", join=True
    )
    return [torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(2)]


def _member(rank: int, job: Any, port: int, folder: Path) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    torch.save(job(rank), folder / f"{rank}.pt")
    dist.destroy_process_group()


def _net() -> nn.Module:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(4 * 36, 7), nn.ReLU(), nn.Linear(7, 3))
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), head)


def _steps(net: nn.Module, name: str, mine: slice) -> None:
    """Four steps on the process' share of a batch of eight."""
    torch.manual_seed(1)
    images, labels = torch.randn(8, 1, 8, 8), torch.arange(8) % 3
    made = optimizer(Optim(name=name, lr=0.01), net.parameters(), fused=False)
    net.eval()  # batch norm by its running statistics, which are the same on one process and on two

    def gradient() -> torch.Tensor:
        net.zero_grad()
        loss = nn.functional.cross_entropy(net(images[mine]), labels[mine])
        loss.backward()
        return loss

    torch.manual_seed(2)
    for _ in range(4):
        made.step(gradient)


def _every_optimizer(rank: int) -> dict[str, float]:
    """Largest difference from one process, by optimizer."""
    mesh, found = init_device_mesh("cpu", (2,)), {}
    for name in sorted({*get_args(Optimizer)} - {"own"}):
        if name in NOT_SHARDED:
            continue
        alone, shared = _net(), _net()
        shard(shared, mesh)
        _steps(alone, name, slice(None))
        _steps(shared, name, slice(4 * rank, 4 * rank + 4))
        state = gather_state(shared)
        found[name] = max(float((state[key] - value).abs().max()) for key, value in alone.named_parameters())
    return found


@pytest.mark.slow
def test_every_optimizer_that_is_let_in_takes_the_same_steps(tmp_path):
    for found in _in_processes(_every_optimizer, tmp_path):
        assert {name: value for name, value in found.items() if not value < 1e-6} == {}


def _there_and_back(rank: int) -> bool:
    """Whether a whole state survives being put into a sharded network, buffers included."""
    net, other = _net(), _net()
    state = {name: value + 1 for name, value in other.state_dict().items()}
    shard(net, init_device_mesh("cpu", (2,)))
    restore(net, state)
    return all(torch.equal(value, state[name]) for name, value in gather_state(net).items())


@pytest.mark.slow
def test_a_state_comes_back_as_it_was_put_in(tmp_path):
    assert _in_processes(_there_and_back, tmp_path) == [True, True]


KILLED = """\
import sys
from pathlib import Path
import torch
from bench.compose import compose
from bench.run import execute
from bench.schema.experiment import experiment
from bench.track.spool import Spool
from bench.train import checkpoint

if __name__ == "__main__":
    torch.set_num_threads(1)
    made = experiment(compose(sys.argv[2:]))
    told = lambda _, row: print("epoch", row["epoch"], flush=True)
    print(*execute([made], spool=Spool(Path(sys.argv[1])), on_epoch=told))
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_checkpoint(exp, trained, tmp_path):
    """The checkpoint holds the whole state in one file, as any other run's does."""
    words = ["dataset=digits", "model=dnn", "optim=adamw", "optim.schedule=cosine", *FSDP]
    words += ["trainer.epochs=12", "trainer.batch_size=128"]
    program = tmp_path / "program.py"
    # Written at every epoch: a test cannot wait for half a minute of training.
    program.write_text(KILLED.replace("if __name__", "checkpoint.CHECKPOINT_SECONDS = 0.0\n\nif __name__"))
    call = [sys.executable, str(program), str(tmp_path / "spool"), *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    for line in first.stdout:
        if line.startswith("epoch 5"):
            break
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    time.sleep(1)  # its processes notice that it is gone
    (place,) = (tmp_path / "spool").iterdir()
    left = torch.load(place / "resume.ckpt", weights_only=True)
    assert left["epoch"] >= 3
    assert {type(v) for v in left["learner"]["net"].values()} == {torch.Tensor}

    again = subprocess.run(call, capture_output=True, text=True, env=environment, check=True, timeout=300)
    assert "epoch 12" in again.stdout
    assert "epoch 3.0" not in again.stdout
    record, _ = Spool.read(place)
    undisturbed = trained(exp(*words))
    assert record.status == "finished"
    assert record.costs["cost/selected_epoch"] == undisturbed.selected_epoch
    rows = (place / "curves.csv").read_text().splitlines()[1:]
    assert [float(r.split(",")[2]) for r in rows] == [r["train_loss"] for r in undisturbed.history]
