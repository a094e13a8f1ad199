"""The table of metrics: every metric that a run measures is in it, and a user's own is treated like ours."""

from __future__ import annotations

import numpy as np
import pytest

from bench.schema.errors import RequestError
from bench.schema.metric import METRICS, Metric, add, metric
from bench.train.metrics import metrics


def test_every_metric_of_a_run_is_in_the_table_and_inside_its_ends() -> None:
    rng = np.random.default_rng(0)
    scores = np.log(rng.dirichlet(np.ones(6), 50)).astype(np.float32)
    for name, value in metrics(scores, rng.integers(0, 6, 50)).items():
        described = METRICS[name]
        assert described.higher_is_better is not None
        assert not described.outside(value)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("test/accuracy", "test accuracy"),
        ("val/nll", "val NLL"),
        ("corrupt/gaussian_noise/3/accuracy", "corrupt gaussian noise 3 accuracy"),
        ("cost/params", "parameters"),
        ("test/my_score", "test my score"),
    ],
)
def test_the_images_lead_the_title(name: str, title: str) -> None:
    assert metric(name).title == title


def test_a_share_is_shown_in_percent_and_differs_by_points() -> None:
    assert metric("test/ece").amount(0.01) == "1 point"
    assert metric("test/ece").amount(0.5, of_difference=False) == "50%"
    assert metric("test/ece").worst == 1.0
    assert metric("test/accuracy").worst == 0.0
    assert metric("test/nll").worst is None


def test_an_own_metric_is_one_more_entry() -> None:
    own = Metric("mcc", "correlation", "", True, -1.0, 1.0)
    try:
        add(own)
        add(own)  # reading the same file twice is no conflict
        assert metric("test/mcc").title == "test correlation"
        assert metric("test/mcc").better == "greater"
        with pytest.raises(RequestError, match="there already"):
            add(Metric("mcc", "another", "", False))
        with pytest.raises(RequestError, match="without a slash"):
            add(Metric("test/mcc", "mcc"))
    finally:
        del METRICS["mcc"]
