"""Every entry of conf/ composes into a valid Experiment; every sweep plans."""

from __future__ import annotations

import pytest

from bench.compose import compose, groups, shipped_folder
from bench.compose.points import Composer
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.sweep.file import names, read
from bench.sweep.plan import at_scale, points

# What a user has to say beside the name, for the entries that cannot know it.
NEEDS: dict[str, list[str]] = {
    "dataset=folder": ["dataset.root=somewhere"],
    "dataset=csv": ["dataset.file=somewhere.csv"],
    "dataset=huggingface": ["dataset.name=someone/something"],
    "model=timm": ["model.name=resnet18"],
    "model=torchvision": ["model.name=alexnet"],
    "transfer=partial": ["transfer.trainable_from=head"],
}
ENTRIES = [f"{g}={o}" for g, options in sorted(groups().items()) if not g.startswith("hydra/") for o in options]


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_composes_into_an_experiment(entry: str) -> None:
    group, option = entry.split("=")
    base = ["model=cnn"] if group == "norm_layer" else []
    made = experiment(compose([*base, entry, *NEEDS.get(entry, [])]))
    assert hasattr(made, group) or group in ("scale", "recipe")
    if group in ("norm_layer", "pixel_norm", "optim"):
        assert getattr(made, group).name == option


@pytest.mark.parametrize("entry", [entry for entry in NEEDS if entry in ENTRIES])
def test_a_sweep_takes_what_an_entry_cannot_know(entry: str) -> None:
    """From its base and from an axis; without it the setting is named."""
    needed = NEEDS[entry]
    assert Composer([entry, *needed]).compose(["seed=1"]) == compose([entry, *needed, "seed=1"])
    assert Composer([entry]).compose([*needed, "seed=1"]) == compose([entry, *needed, "seed=1"])
    setting = needed[0].split("=")[0]
    if "???" in (shipped_folder("conf") / f"{entry.replace('=', '/')}.yaml").read_text():
        with pytest.raises(RequestError, match=f"'{setting}' has no default"):
            Composer([entry]).compose(["seed=1"])


def test_there_are_entries_and_sweeps() -> None:
    assert len(ENTRIES) > 20
    assert set(names()) >= {"ladder", "batchnorm"}


@pytest.mark.parametrize(("name", "cells"), [("ladder", 4), ("batchnorm", 6)])
def test_the_demo_sweeps_plan(name: str, cells: int) -> None:
    planned = [p for p in points(at_scale(read(name), "smoke")) if not p.tuning]
    assert len(planned) == 3 * cells
    assert len({p.key for p in planned}) == len(planned)


def test_a_runs_name_says_what_it_is() -> None:
    planned = points(at_scale(read("batchnorm"), "smoke"))
    assert planned[-1].name == "cnn · batch · lr 0.1 · depth 2 · seed 2"
    assert points(at_scale(read("ladder"), "smoke"))[-1].name == "cnn · lr 0.001 · seed 2"
