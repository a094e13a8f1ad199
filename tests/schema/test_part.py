"""Wrong settings: every message names the setting, what came and what to do."""

from __future__ import annotations

import pytest

from bench.compose import compose
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment


def refused(*overrides: str) -> str:
    with pytest.raises(RequestError) as caught:
        experiment(compose(overrides))
    return str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["+typo=1"], ["typo", "Known here"]),
        (["optim.lrr=0.1"], ["optim.lrr", "Did you mean 'lr'"]),
        (["model=cnn", "model.filter=[8]"], ["model.filter", "Did you mean 'filters'"]),
        (["optim.lr=abc"], ["optim.lr", "a number", "'abc'"]),
        (["optim.lr=-1"], ["optim.lr", "greater than 0", "-1"]),
        (["optim.lr=nan"], ["optim.lr", "finite"]),
        (["trainer.epochs=0"], ["trainer.epochs", "greater than 0", "0"]),
        (["trainer.epochs=1.5"], ["trainer.epochs", "an integer", "1.5"]),
        (["seed=true"], ["seed", "an integer", "True"]),
        (["seed=-1"], ["seed", "-1"]),
        (["trainer.select=test/accuracy"], ["trainer.select", "val/accuracy"]),
        (["model=cnn", "model.kernels=[8,a]"], ["model.kernels.1", "integer", "'a'"]),
        (["norm_layer.name=bach"], ["norm_layer.name", "Did you mean 'batch'"]),
        (["dataset.source=mnist5q"], ["dataset.source", "Did you mean 'mnist5k'"]),
        (["model.family=cnnn"], ["model.family", "Did you mean 'cnn'"]),
        (["optim=3"], ["Unknown optim '3'", "adam"]),
    ],
)
def test_a_wrong_setting_is_named_with_a_remedy(overrides: list[str], parts: list[str]) -> None:
    message = refused(*overrides)
    for text in parts:
        assert text in message


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["dataset=mnist5q"], ["Unknown dataset 'mnist5q'", "Did you mean 'mnist5k'"]),
        (["model=cnnn"], ["Unknown model 'cnnn'", "Did you mean 'cnn'"]),
        (["optim=adm"], ["Unknown optim 'adm'", "Did you mean 'adam'"]),
        (["seed"], ["Cannot read the override 'seed'", "name=value"]),
        (["model=linear,dnn"], ["several values", "bench sweep --axes"]),
        (["optim.lr=[1,"], ["Cannot read the override"]),
        (["seed=${nowhere}"], ["does not compose"]),
        (["model=timm"], ["'model.name' has no default", "model.name=VALUE"]),
        (["dataset=folder"], ["'dataset.root' has no default"]),
    ],
)
def test_a_wrong_override_is_named_with_a_remedy(overrides: list[str], parts: list[str]) -> None:
    message = refused(*overrides)
    for text in parts:
        assert text in message


def test_all_faults_are_told_at_once() -> None:
    message = refused("optim.lr=-1", "trainer.epochs=0")
    assert "optim.lr" in message
    assert "trainer.epochs" in message


def test_settings_that_no_file_mentions_can_be_set_without_a_plus() -> None:
    made = experiment(compose(["model=cnn", "model.pool_size=3", "trainer.threads=1"]))
    assert made.model.pool_size == 3  # type: ignore[union-attr]
    assert made.trainer.threads == 1


def test_a_users_own_conf_is_found_first(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "conf" / "optim").mkdir(parents=True)
    (tmp_path / "conf" / "optim" / "mine.yaml").write_text("name: sgd\nlr: 0.25\n")
    (tmp_path / "conf" / "optim" / "adam.yaml").write_text("name: adam\nlr: 0.125\n")
    monkeypatch.chdir(tmp_path)
    assert experiment(compose(["optim=mine"])).optim.lr == 0.25
    assert experiment(compose(["optim=adam"])).optim.lr == 0.125
    assert experiment(compose(["optim=sgd"])).optim.lr == 0.1
