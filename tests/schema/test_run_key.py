"""Same science, same key; different science, different key."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.compose import compose
from bench.restore import experiment_of
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment, experiment
from bench.schema.own import Own
from bench.schema.run_key import run_key
from bench.schema.science import flat_settings, science
from bench.track.record import Record

LINEAR = compose(["model=linear"])
BASE = ("dataset=mnist5k", "model=cnn", "norm_layer=batch", "optim.lr=0.01", "seed=1")


def key(*overrides: str, data: str = "d") -> str:
    return run_key(experiment(compose(overrides)), data)


def unversioned(exp: Experiment) -> str:
    """The key without the versions of parts that changed a number."""
    content = {"version": 1, "data": "d", "settings": science(exp)}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


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


@pytest.mark.parametrize(
    "model", ["model=cnn norm_layer=batch", "model=resnet", "model=resnet18", "model=googlenet model.dropout=0"]
)
def test_devices_are_science_where_each_normalises_by_its_own_share(model: str) -> None:
    words, two = (*model.split(), "trainer.sync_batchnorm=false"), "trainer.devices=2"
    assert key(*words) != key(*words, two)
    assert key(*words, two) == key(*words, "trainer.num_nodes=2")
    assert key(*words, two) != key(*words, "trainer.devices=4")
    assert key(*model.split()) == key(*model.split(), two)


@pytest.mark.parametrize(
    "words",
    [
        *("model=dnn model.dropout=0.5", "model=resnet20 model.drop_path=0.1", "model=cnn optim=lion"),
        *("model=alexnet", "model=squeezenet1_1"),  # which have dropout without a word
    ],
)
def test_devices_are_science_where_each_draws(words: str) -> None:
    several = key(*words.split(), "norm_layer=group", "trainer.devices=2")
    assert (several == key(*words.split(), "norm_layer=group")) == ("optim" in words)  # lion is ours


def test_compiling_is_science_where_a_network_draws() -> None:
    """What torch.compile makes draws its masks in another way: scores of one seed differed by 3 in the logarithm."""
    for words, matters in (("model=dnn model.dropout=0.5", True), ("model=alexnet", True), ("model=dnn", False)):
        assert (key(*words.split()) != key(*words.split(), "trainer.compile=true")) == matters


def test_devices_are_science_where_own_code_sees_a_share_of_a_batch(folder: Path) -> None:
    (folder / "parts").mkdir()
    for kind, takes in (("loss", "logits, targets"), ("corruption", "images, severity, generator")):
        text = f"from bench.parts import {kind}\n@{kind}\ndef mine({takes}): return 1\n"
        (folder / "parts" / f"{kind}.py").write_text(text)
    assert key("loss=mine") != key("loss=mine", "trainer.devices=2")
    assert key("corrupt.names=[mine]") == key("corrupt.names=[mine]", "trainer.devices=2")


@pytest.mark.parametrize("model", ["model=cnn", "model=cnn norm_layer=group", "model=resnet18 norm_layer=layer"])
def test_devices_are_no_science_without_batch_norm(model: str) -> None:
    words = (*model.split(), "trainer.sync_batchnorm=false")
    assert key(*words) == key(*words, "trainer.devices=2")


def test_group_norm_has_another_key_where_its_groups_were_single_channels() -> None:
    """The keys before that rule; those of networks that it does not change stay."""
    for words, changed in (
        ("model=cnn model.filters=[32,64]", True),
        ("model=cnn model.filters=[33,64]", False),
        ("model=resnet20", True),
        ("model=resnet20 model.width=64", False),
        ("model=resnet20 norm_layer.groups=8", False),
        ("model=resnet18", True),
        ("model=dnn", False),
    ):
        exp = experiment(compose(["norm_layer=group", *words.split()]))
        assert (run_key(exp, "d") != unversioned(exp)) == changed, words


def test_a_norm_that_a_family_has_already_is_native() -> None:
    for words in (
        "model=resnet20 norm_layer=batch",
        "model=fractalnet norm_layer=batch",
        "model=linear norm_layer=none",
    ):
        model, _ = words.split()
        assert key(*words.split()) == key(model) == key(*words.split(), "norm_layer.groups=4")
        assert key(model) == unversioned(experiment(compose([model])))
    assert key("model=resnet20", "norm_layer=layer") != key("model=resnet20")
    assert key("model=cnn", "norm_layer=none") != key("model=cnn")  # of which there have been runs by both names


def test_a_norm_that_is_taken_out_of_a_published_network_has_a_version_of_its_own() -> None:
    """An activation after it wrote over what a shortcut of resnetv2 had kept."""
    for kind, changed in (("none", True), ("weight", True), ("selu", True), ("batch", False)):
        exp = experiment(compose(["model=timm", "model.name=resnetv2_50", f"norm_layer={kind}"]))
        assert (run_key(exp, "d") != unversioned(exp)) is changed


def test_metrics_have_one_key_in_any_order() -> None:
    assert key("metrics.names=[kappa,auroc]") == key("metrics.names=[auroc,kappa]") != key("metrics.names=[kappa]")


def test_patterns_of_what_does_not_decay_have_a_version_of_their_own() -> None:
    words = ["model=timm", "model.name=xcit_nano_12_p8_224"]
    for more, changed in (("optim.decayed=weights", True), ("optim.decayed=all", False)):
        exp = experiment(compose([*words, more]))
        assert (run_key(exp, "d") != unversioned(exp)) is changed


def test_neighbours_have_another_key_since_tied_classes_share_their_places() -> None:
    frozen = "model=resnet18 transfer=frozen transfer.weights=timm transfer.head="
    for words, changed in (("model=knn", True), (f"{frozen}knn", True), (f"{frozen}ncm", False), ("model=ncm", False)):
        exp = experiment(compose(words.split()))
        assert (run_key(exp, "d") != unversioned(exp)) is changed, words


def test_a_frozen_norm_inside_a_classifier_has_another_key_than_a_trained_one() -> None:
    for name, changed in (("levit_128s", True), ("repvit_m1", True), ("resnet18", False)):
        exp = experiment(compose(["model=timm", f"model.name={name}", "transfer=frozen", "transfer.weights=timm"]))
        assert (run_key(exp, "d") != unversioned(exp)) is changed, name


def test_a_frozen_networks_dropout_inside_the_head_has_another_key_since_it_drops() -> None:
    for name, dropout, changed in (("caformer_s18", 0.1, True), ("caformer_s18", 0, False), ("resnet18", 0.1, False)):
        words = ["model=timm", f"model.name={name}", f"model.dropout={dropout}", "transfer=frozen"]
        exp = experiment(compose([*words, "transfer.weights=timm"]))
        assert (run_key(exp, "d") != unversioned(exp)) is changed, name


def test_networks_that_dropped_by_themselves_have_another_key_where_the_settings_said_no() -> None:
    swin = "swin_tiny_patch4_window7_224"
    for words, changed in (
        (f"model.name={swin}", True),
        (f"model.name={swin} model.drop_path=0.1", True),  # no dropout either, which others have
        (f"model.name={swin} model.drop_path=0.1 model.dropout=0.1", False),
        (f"model.name={swin} transfer=frozen transfer.weights=timm", False),
        ("model.name=rexnet_100", True),
        ("model.name=resnet18", False),
        ("model.name=swiftformer_xs", False),
    ):
        exp = experiment(compose(["model=timm", *words.split()]))
        assert (run_key(exp, "d") != unversioned(exp)) is changed, words


def test_means_of_single_images_have_another_key_since_their_width_is_measured() -> None:
    for words, changed in (("split.train_per_class=1", True), ("split.train_per_class=2", False)):
        exp = experiment(compose(["model=ncm", words]))
        assert (run_key(exp, "d") != unversioned(exp)) is changed, words


def test_two_augmentations_of_one_package_are_two_experiments() -> None:
    """Its version does not say which of its parts it is; the hash of a file's code does."""
    plain = experiment(compose(BASE))

    def augmented(name: str, code: str) -> str:
        own = Own(name=name, code=code)
        return run_key(dataclasses.replace(plain, augment=dataclasses.replace(plain.augment, own=own)), "d")

    assert augmented("noise", "package==1.0") != augmented("blur", "package==1.0")
    assert augmented("noise", "package==1.0") != augmented("noise", "package==1.1")


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


def test_a_record_of_several_devices_is_run_again_with_as_many_where_they_matter() -> None:
    for words, devices in ((["model=resnet20", "trainer.sync_batchnorm=false"], 2), (["model=resnet20"], 1)):
        exp = experiment(compose([*words, "trainer.devices=2"]))
        record = Record(key="", sweep="", axes={}, seed=0, status="finished", config=flat_settings(exp))
        again = experiment_of(record, 0, None, {})
        assert run_key(again, "d") == run_key(exp, "d")
        assert again.trainer.devices == devices


def test_own_images_are_read_where_they_were_unless_told_else(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    exp = experiment(compose(["dataset=folder", f"dataset.root={photos}", "model=linear"]))
    record = Record(key="", sweep="", axes={}, seed=0, status="finished", config=flat_settings(exp))
    assert experiment_of(record, 0, None, {}) == dataclasses.replace(
        exp, trainer=experiment_of(record, 0, None, {}).trainer
    )
    photos.rename(tmp_path / "elsewhere")
    with pytest.raises(
        RequestError, match=r"Say dataset\.root=DIR\. They were read from .*photos, which is not a folder here"
    ):
        experiment_of(record, 0, None, {})
    assert experiment_of(record, 0, None, {"dataset.root": "there"}).dataset.root == "there"  # type: ignore[union-attr]


def test_what_says_how_fast_counts_where_a_clock_ends_training() -> None:
    for override in ("trainer.compile=true", "trainer.threads=1", "trainer.accelerator=gpu", "trainer.gradients=true"):
        assert key(*BASE, override) == key(*BASE)
        assert key(*BASE, "trainer.seconds=60", override) != key(*BASE, "trainer.seconds=60")


def test_scores_of_16_bits_have_a_version_of_their_own() -> None:
    """Two classes often have the same one, and they share their place since."""
    assert run_key(experiment(compose([*BASE, "trainer.precision=32"])), "d") == run_key(experiment(compose(BASE)), "d")
    half = experiment(compose([*BASE, "trainer.precision=bf16-mixed"]))
    assert run_key(half, "d") != unversioned(half)
    whole = experiment(compose(BASE))
    assert run_key(whole, "d") == unversioned(whole)
