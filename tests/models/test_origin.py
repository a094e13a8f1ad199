"""What weights were trained with: found in the file or beside it, used unless overridden, to the last bit."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch

from bench import models
from bench.compose import compose
from bench.data.imagedata import ImageData
from bench.models import origin, preprocess
from bench.models.hashes import file_sha256
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.schema.run_key import run_key
from bench.schema.transfer import Input

OWN = ("dataset=digits", "model=resnet20", "model.depth=8", "model.width=4")
SAID = Input(mean=(33.5,), std=(78.25,), range=255, size=(28, 28))


def asked(*overrides):
    return experiment(compose([*OWN, *overrides]))


def pictures(*shape, seed=0):
    """ImageData of a few images of noise [N, C, H, W]."""
    images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    rows = np.arange(shape[0])
    return ImageData(images, np.zeros(shape[0], np.int64), ("a",), rows, rows, rows, "none")


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(models.build(asked(), (1, 8, 8), 10).state_dict(), path)
    return path


def of_file(path, *overrides):
    return asked("transfer=frozen", f"transfer.weights=file:{path}", *overrides)


def test_what_a_run_leaves_beside_its_weights_is_what_it_applied(weights):
    """Whatever the setting: the module made from the file gives the same input, bit by bit."""
    data, target = pictures(20, 1, 28, 28), pictures(5, 1, 28, 28, seed=1)
    for words in (["pixel_norm=none"], ["pixel_norm=unit"], ["pixel_norm=symmetric"], ["pixel_norm=standardize"],
                  ["transfer.size=17", "transfer.channels=3"]):  # fmt: skip
        exp = asked(*words)
        source = preprocess.make(exp, data)
        left = preprocess.as_input(source, preprocess.input_shape(exp, data.shape))
        weights.with_name(origin.FILE).write_text(origin.to_json(left, file_sha256(weights)))
        taker = origin.resolve(of_file(weights), None)
        assert taker.transfer.input == left
        found = preprocess.make(taker, target)(torch.from_numpy(target.images))
        assert torch.equal(found, source(torch.from_numpy(target.images))), words


@pytest.mark.parametrize("where", ["checkpoint", "safetensors", "beside", "hub"])
def test_it_is_found_in_the_file_or_beside_it(tmp_path, weights, where):
    state, said = torch.load(weights, weights_only=True), json.loads(origin.to_json(SAID, ""))
    del said["weights_sha256"]
    if where == "checkpoint":
        torch.save({"state_dict": state, "preprocessing": said}, weights)
    elif where == "beside":
        weights.with_name("preprocessing.json").write_text(origin.to_json(SAID, file_sha256(weights)))
    else:
        from safetensors.torch import save_file

        weights = tmp_path / "model.safetensors"
        save_file(state, weights, {"preprocessing": json.dumps(said)} if where == "safetensors" else None)
        cfg = {"mean": [0.5], "std": [0.25], "input_size": [1, 28, 28], "interpolation": "bilinear"}
        weights.with_name("config.json").write_text(json.dumps({"pretrained_cfg": cfg}))
    expected = Input(mean=(0.5,), std=(0.25,), size=(28, 28), interpolation="bilinear") if where == "hub" else SAID
    assert origin.read_input(weights) == expected
    exp = origin.resolve(of_file(weights), None)
    assert preprocess.input_shape(exp, (1, 8, 8)) == (1, 28, 28)


def test_a_file_that_says_nothing_is_used_with_pixel_norm_and_says_so(weights):
    weights.with_name("preprocessing.json").write_text(origin.to_json(SAID, "0" * 64))  # of other weights
    exp = of_file(weights)
    with pytest.warns(UserWarning, match=r"scaled by pixel_norm.*transfer\.preprocess=own"):
        assert origin.resolve(exp, None) == exp
    assert preprocess.trained_input(exp) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own = of_file(weights, "transfer.preprocess=own")
        assert origin.resolve(own, None) == own


def test_each_part_can_be_overridden(weights):
    weights.with_name("preprocessing.json").write_text(origin.to_json(SAID, file_sha256(weights)))
    data = pictures(4, 1, 8, 8)
    pixels = torch.from_numpy(data.images)
    assert preprocess.make(origin.resolve(of_file(weights), None), data)(pixels).shape == (4, 1, 28, 28)
    small = preprocess.make(origin.resolve(of_file(weights, "transfer.size=8"), None), data)(pixels)
    torch.testing.assert_close(small, (pixels - 33.5) / 78.25)
    own = origin.resolve(of_file(weights, "transfer.preprocess=own", "pixel_norm=unit"), None)
    torch.testing.assert_close(preprocess.make(own, data)(pixels), pixels / 255)
    said = of_file(weights, "transfer.input.mean=[0.5]", "transfer.input.std=[0.25]")
    told = preprocess.make(origin.resolve(said, None), data)(pixels)
    torch.testing.assert_close(told, (pixels / 255 - 0.5) / 0.25)
    hub = ("model=efficientnet_lite0", "transfer=frozen", "transfer.size=8")
    exp = experiment(compose(["dataset=digits", *hub, "transfer.input.mean=[0,0,0]", "transfer.input.std=[1,1,1]"]))
    torch.testing.assert_close(preprocess.make(exp, data)(pixels), (pixels / 255).expand(-1, 3, -1, -1))


def test_grey_images_become_the_three_channels_of_the_weights(weights):
    """By the one rule: repeated first, then scaled by the three channels' own numbers."""
    colour = Input(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    weights.with_name("preprocessing.json").write_text(origin.to_json(colour, file_sha256(weights)))
    exp, data = origin.resolve(of_file(weights), None), pictures(4, 1, 8, 8)
    found = preprocess.make(exp, data)(torch.from_numpy(data.images))
    for c, (mean, std) in enumerate(zip(colour.mean, colour.std, strict=True)):
        torch.testing.assert_close(found[:, c], (torch.from_numpy(data.images)[:, 0] / 255 - mean) / std)
    with pytest.raises(RequestError, match=r"transfer\.channels=1, but the weights were trained on images of 3"):
        preprocess.input_shape(origin.resolve(of_file(weights, "transfer.channels=1"), None), (1, 8, 8))
    grey = of_file(weights, "transfer.input.mean=[0]", "transfer.input.std=[1]")
    with pytest.raises(RequestError, match="Only grey becomes three"):
        preprocess.input_shape(grey, (3, 8, 8))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('{"mean": [0.5]}', r"preprocessing\.json: Setting 'std' is missing"),
        ('{"mean": [0.5], "std": [0]}', "greater than 0"),
        ('{"mean": [0.5], "std": [1, 1]}', "a number a channel, got 1 and 2"),
        ("[]", "expected a JSON object"),
        ("{", "expected JSON"),
    ],
)
def test_what_is_said_wrongly_is_an_error(weights, said, message):
    weights.with_name("preprocessing.json").write_text(said)
    with pytest.raises(RequestError, match=message):
        origin.read_input(weights)


def test_runs_of_before_do_not_answer_for_the_new_default():
    """Weights of a run or file met pixel_norm, whatever preprocess said; the key tells the two apart."""
    key = {p: run_key(asked("transfer=frozen", "transfer.weights=run:a", f"transfer.preprocess={p}"), "d")
           for p in ("weights", "own")}  # fmt: skip
    assert key["weights"] != key["own"]
    with pytest.raises(RequestError, match="input is for preprocess=weights"):
        asked("transfer=frozen", "transfer.preprocess=own", "transfer.input.mean=[0]", "transfer.input.std=[1]")


def test_what_lies_beside_the_weights_is_in_the_key(weights, monkeypatch, tmp_path):
    """Their hash is that of the file alone: another file beside it had the same key, and the old numbers."""
    monkeypatch.chdir(tmp_path)
    beside = weights.with_name("preprocessing.json")

    def key(*words):
        return run_key(origin.with_input_beside(of_file(weights.name, *words)), "d")

    without, found = key(), set()
    for mean in (0.25, 0.5):
        beside.write_text(json.dumps({"mean": [mean], "std": [0.5]}))
        found.add(key())
        assert key("transfer.preprocess=own") == run_key(of_file(weights.name, "transfer.preprocess=own"), "d")
        assert key("transfer.input.mean=[0.25]", "transfer.input.std=[0.5]") in found
    assert len(found | {without}) == 3
    beside.write_text(origin.to_json(SAID, "0" * 64))  # of other weights
    assert key() == without
    beside.write_text(json.dumps({"mean": [0.25], "std": [0.5]}))
    torch.save({"state_dict": torch.load(weights), "preprocessing": {"mean": [0.1], "std": [1]}}, weights)
    assert key() == without  # said in the file, which the hash covers
