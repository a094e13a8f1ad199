"""augment.test_time: the mean over views, and only where it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.compose import compose
from bench.schema.experiment import experiment
from bench.train.test_time import average_views

BASE = ("run", "dataset=digits", "model=linear", "trainer.epochs=2", "trainer.threads=1", "optim.lr=0.03")


def test_scores_are_the_log_of_the_mean_probability() -> None:
    """With an augmentation that always adds 1, two views and the image as it is can be worked out by hand."""
    exp = experiment(compose(["augment=shift", "augment.test_time=2"]))
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
    images = torch.randint(0, 200, (600, 1, 2, 2), dtype=torch.uint8)
    found = average_views(exp, net, lambda x: x.float() / 255, lambda x, y, _: (x + 1, y), images, torch.arange(600))
    with torch.no_grad():
        one, other = (torch.softmax(net((images + k).float() / 255), 1) for k in (0, 1))
    torch.testing.assert_close(found.exp(), (one + 2 * other) / 3)


def test_it_changes_the_scores_of_the_same_training(folder: Path, bench_json: Any) -> None:
    plain = bench_json(*BASE, "augment=shift")
    views = bench_json(*BASE, "augment=shift", "augment.test_time=8")
    again = bench_json(*BASE, "augment=shift", "augment.test_time=8", "--fresh")
    assert views["metrics"] == again["metrics"]
    assert views["run_key"] != plain["run_key"]
    assert views["metrics"]["test/nll"] != plain["metrics"]["test/nll"]
    assert views["costs"]["cost/selected_epoch"] == plain["costs"]["cost/selected_epoch"]


@pytest.mark.parametrize("overrides", [("augment=none",), ("augment=mixup",)])
def test_where_there_is_no_view_it_says_so(folder: Path, bench: Any, overrides: tuple[str, ...]) -> None:
    status, _, err = bench(*BASE, *overrides, "augment.test_time=2")
    assert status == 2
    assert "augment.test_time" in err
