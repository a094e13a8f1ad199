"""Same science, same key; different science, different key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.compose import compose
from bench.schema.experiment import experiment, run_key, science

LINEAR = compose(["model=linear"])
BASE = ("dataset=mnist5k", "model=cnn", "norm_layer=batch", "optim.lr=0.01", "seed=1")


def key(*overrides: str, data: str = "d") -> str:
    return run_key(experiment(compose(overrides)), data)


def test_the_order_of_overrides_does_not_matter() -> None:
    assert key(*BASE) == key(*reversed(BASE))


@pytest.mark.parametrize(
    "override",
    [
        "tracking.uri=sqlite:////elsewhere/x.db",
        "tracking.experiment=other",
        "trainer.devices=2",
        "trainer.threads=1",
        "trainer.accelerator=cpu",
        "trainer.max_minutes=5",
    ],
)
def test_where_and_how_fast_is_not_science(override: str) -> None:
    assert key(*BASE) == key(*BASE, override)


def test_the_folder_of_a_dataset_is_not_science() -> None:
    assert key("dataset=fashion_mnist") == key("dataset=fashion_mnist", "dataset.root=/somewhere")


@pytest.mark.parametrize(
    "override",
    [
        "seed=2",
        "optim.lr=0.011",
        "optim=sgd",
        "model=dnn",
        "model.filters=[32,65]",
        "norm_layer=none",
        "pixel_norm=unit",
        "augment=shift",
        "trainer.epochs=6",
        "trainer.batch_size=64",
        "split.seed=1",
    ],
)
def test_science_changes_the_key(override: str) -> None:
    assert key(*BASE) != key(*BASE, override)


def test_the_data_is_science() -> None:
    assert key(*BASE, data="a") != key(*BASE, data="b")


def test_a_default_said_aloud_changes_nothing() -> None:
    """Else a setting that is added later would change the key of every earlier run."""
    assert key("model=cnn") == key("model=cnn", "model.pool_size=2", "model.stride=1")
    assert "model.pool_size" not in science(experiment(compose(["model=cnn", "model.pool_size=2"])))


@given(st.floats(min_value=1e-8, max_value=1e3))
def test_a_number_has_one_spelling(lr: float) -> None:
    one, two = ({**LINEAR, "optim": {"name": "adam", "lr": value}} for value in (lr, float(repr(lr))))
    assert run_key(experiment(one), "d") == run_key(experiment(two), "d")


def test_an_int_and_the_same_float_are_the_same_lr() -> None:
    assert key("optim.lr=1") == key("optim.lr=1.0")
