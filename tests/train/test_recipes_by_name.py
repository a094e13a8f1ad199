"""Recipes by name: each says where it is from, goes with any model and data, and trains."""

import math

import pytest

from bench.compose import compose, groups, shipped_folder
from bench.compose.points import Composer
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.train.optim import factor

RECIPES = groups()["recipe"]


def test_the_recipes():
    assert set(RECIPES) == {"resnet_cifar", "airbench", "timm_a3", "finetune_vit"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_paper_result_and_cost_goes_with_everything_and_trains(name, exp, trained):
    text = (shipped_folder("conf") / f"recipe/{name}.yaml").read_text()
    assert all(word in text for word in ("arXiv:", "# Expected by", "# Cost:", "# Differs:"))
    for model, dataset in (("resnet56", "cifar100"), ("vit_tiny", "imagenette160"), ("knn", "digits")):
        made = experiment(compose([f"recipe={name}", f"model={model}", f"dataset={dataset}", "scale=full"]))
        assert made.trainer.epochs in (10, 100, 182)
    words = (f"recipe={name}", "model=resnet20", "model.depth=8", "model.width=4")
    found = trained(exp(*words, "trainer.epochs=1", "trainer.batch_size=256"))
    assert math.isfinite(found.history[0]["train_loss"])
    assert found.selected_epoch == 1


def test_he_et_al_divide_after_32000_and_48000_of_64000_steps(exp):
    made = experiment(compose(["recipe=resnet_cifar", "trainer.steps=64000"]))
    at = factor(made.optim, made.trainer.steps)
    assert [at(s) for s in (0, 31_999, 32_000, 47_999, 48_000, 63_999)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert (made.augment.crop, made.augment.flip, made.trainer.batch_size) == (4, 0.5, 128)


def test_a_choice_of_ones_own_wins_or_is_refused():
    made = experiment(
        compose(["recipe=timm_a3", "augment=none", "schedule=linear", "optim.lr=0.5", "trainer.epochs=3"])
    )
    assert (made.optim.schedule, made.optim.lr, made.optim.weight_decay, made.trainer.epochs) == (
        "linear",
        0.5,
        0.02,
        3,
    )
    for compose_ in (compose, Composer(["recipe=timm_a3"]).compose):
        with pytest.raises(RequestError, match="recipe=timm_a3 brings its own optimizer"):
            compose_(["recipe=timm_a3", "optim=adam"])
    with pytest.raises(RequestError, match=r"trainer.epochs and trainer.steps are two budgets"):
        Composer(["trainer.steps=500"]).compose(["trainer.epochs=2"])
    assert experiment(compose(["trainer.steps=null", "trainer.epochs=2"])).trainer.whole_epochs == 2
