"""Two processes on a CPU against one."""

import numpy as np
import pytest

from bench import models
from bench.run import execute
from bench.schema.errors import RequestError, RunFailed
from bench.track.spool import Spool
from bench.train.distributed import check

TWO = ("trainer.devices=2", "trainer.accelerator=cpu")


@pytest.mark.slow
def test_two_processes_are_one_training(exp, digits, trained, tmp_path):
    """Losses, schedule, selection and scores match; each image is scored once; one folder, one Record."""
    words = ("model=dnn", "model.hidden=[16]", "augment=shift", "optim=sgd", "optim.lr=0.05", "optim.schedule=cosine",
             "trainer.batch_size=99", "trainer.clip=1")  # fmt: skip
    one, rows = trained(exp(*words)), []
    made = exp(*words, *TWO)
    two = trained(made, on_epoch=rows.append)
    for mine, its in zip(two.history, one.history, strict=True):
        assert mine["train_loss"] == pytest.approx(its["train_loss"], rel=1e-4)
        assert mine["val_loss"] == pytest.approx(its["val_loss"], rel=1e-4)
        assert mine["lr"] == its["lr"]
    assert rows == two.history
    assert two.selected_epoch == one.selected_epoch
    np.testing.assert_allclose(two.val_scores, one.val_scores, atol=2e-3)
    np.testing.assert_allclose(two.test_scores, one.test_scores, atol=2e-3)

    (place,) = execute([made], spool=Spool(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == [place.name]
    assert Spool.read(place)[0].status == "finished"


def test_batch_norm_is_not_synchronized_on_a_cpu_and_says_so(exp, digits):
    made = exp("model=cnn", "norm_layer=batch", *TWO)
    net = models.build(made, digits.shape, 10)
    with pytest.raises(RequestError, match=r"sync_batchnorm=false"):
        check(made, digits, net)
    check(exp("model=cnn", "norm_layer=batch", *TWO, "trainer.sync_batchnorm=false"), digits, net)


def test_refusals(exp, digits):
    linear = models.build(exp("model=linear"), digits.shape, 10)
    for words, says in ((["trainer.batch_size=2"], "share in pairs"), (["trainer.num_nodes=2"], "MASTER_ADDR")):
        with pytest.raises(RequestError, match=says):
            check(exp("model=linear", *TWO, *words), digits, linear)


@pytest.mark.slow
def test_failures_of_any_process_are_the_runs(exp, trained):
    with pytest.raises(RunFailed, match="diverged"):
        trained(exp("model=linear", "optim=sgd", "optim.lr=1e38", *TWO))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_batches_in_parts_are_in_as_many_parts_everywhere(exp, trained):
    """Six and four images in up to four parts: a process with fewer parts would be waited for forever."""
    words = ("model=linear", "optim=sgd", "optim.lr=0.05", "trainer.batch_size=10", "trainer.accumulate=4")
    one, two = trained(exp(*words)), trained(exp(*words, *TWO))
    for mine, its in zip(two.history, one.history, strict=True):
        assert mine["train_loss"] == pytest.approx(its["train_loss"], rel=1e-4)
        assert mine["val_loss"] == pytest.approx(its["val_loss"], rel=1e-4)
