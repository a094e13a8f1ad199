from collections.abc import Callable
from typing import Any

import pytest
import torch

from bench import data as images
from bench import models
from bench.compose import compose
from bench.data.imagedata import ImageData
from bench.schema.experiment import Experiment, experiment
from bench.train.fit import fit
from bench.train.result import Result

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _warm_devices(warm_devices: None) -> None:
    """For all of them."""


@pytest.fixture(scope="session")
def exp() -> Callable[..., Experiment]:
    """An Experiment on the 8x8 digits, two epochs unless said otherwise."""

    def make(*overrides: str) -> Experiment:
        budget = any(o.startswith(("trainer.steps=", "trainer.seconds=")) for o in overrides)
        return experiment(compose(["dataset=digits", *([] if budget else ["trainer.epochs=2"]), *overrides]))

    return make


@pytest.fixture(scope="session")
def digits(exp: Callable[..., Experiment]) -> ImageData:
    made = exp()
    return images.load(made.dataset, made.split)


@pytest.fixture(scope="session")
def trained(digits: ImageData) -> Callable[..., Result]:
    """The Result of an Experiment on the digits."""

    def run(made: Experiment, **options: Any) -> Result:
        return fit(made, digits, models.build(made, digits.shape, 10), **options)

    return run
