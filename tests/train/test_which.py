"""What may be stacked is an allow-list: every setting is classed, and one that nobody has classed is trained alone."""

import dataclasses
import types
import typing

import pytest

from bench.schema.experiment import Experiment
from bench.schema.science import NOT_SCIENCE
from bench.train.stacked import which

# Settings that decide the numbers and that only a run by itself follows.
ALONE = {
    "transfer.*", "trainer.precision", "trainer.seconds", "trainer.target", "optim.layer_decay",
    # Of models that are not stacked.
    "model.k", "model.metric", "model.weights", "model.columns", "model.name", "model.stem",
}  # fmt: skip


def settings(kind, prefix=""):
    """The full name of every setting of a part and of the parts in it, whichever member of a union is chosen."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name == "own":  # code of one's own is nowhere listed, so it is trained alone
            continue
        members = [t for t in _members(hints[field.name]) if dataclasses.is_dataclass(t)]
        if prefix.count(".") or not members:
            yield prefix + field.name
        for member in members if not prefix.count(".") else ():
            yield from settings(member, f"{prefix}{field.name}.")


def _members(hint):
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [t for arg in typing.get_args(hint) for t in _members(arg)]
    return [hint]


NAMES = sorted(set(settings(Experiment)))


def not_science(name):
    return name in NOT_SCIENCE or name.split(".")[0] in NOT_SCIENCE


def test_there_are_settings():
    assert {"seed", "optim.lr", "model.hidden", "dataset.root", "transfer.mode", "trainer.stack"} <= {*NAMES}
    assert len(NAMES) > 80


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_classed(name):
    """A setting that is new fails here: say whether it changes numbers, and whether a stacked program follows it."""
    if not_science(name):
        assert which.is_listed(name, which.INDIFFERENT) != (name in which.ONLY)
    else:
        followed = which.is_listed(name, which.FOLLOWED | which.FREE)
        assert followed or name in ALONE or f"{name.split('.')[0]}.*" in ALONE, name
        assert not (followed and name in ALONE)


def test_no_list_names_what_is_not_there():
    parts = {n.split(".")[0] for n in NAMES}
    for name in {*NOT_SCIENCE, *which.FREE, *which.FOLLOWED, *which.INDIFFERENT, *which.ONLY, *ALONE}:
        assert name in NAMES or name.removesuffix(".*") in parts, name


def test_what_is_not_listed_is_trained_alone(exp):
    """Each setting that only runs alone follows, at some value that is not its default."""
    for word in ("trainer.precision=bf16-mixed", "trainer.compile=true", "trainer.devices=2", "trainer.num_nodes=2",
                 "norm_layer=weight", "optim=lion", "model=resnet18"):  # fmt: skip
        assert which.form(exp("model=cnn", "augment=shift", word)) is None, word
        why = which.reason_alone(exp("model=cnn", "augment=shift", word))
        assert why.split("has no ")[1].split("=")[0] in (
            word.split("=")[0],
            "norm_layer.name",
            "optim.name",
            "model.family",
        ), why
    assert which.form(exp("model=cnn", "augment=shift")) is not None
