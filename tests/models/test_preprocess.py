"""The images that given weights are shown: size, interpolation, channels, mean and std."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from bench import models
from bench.models import preprocess
from bench.schema.errors import RequestError
from tests.models.experiments import RESIDUAL, composed, picture


def test_weights_that_torchvision_publishes_are_fetched_by_hand():
    exp = composed("model=alexnet", "transfer=frozen", "transfer.weights=timm")
    with pytest.raises(RequestError, match=r"not of 'alexnet'.*file:PATH; torchvision publishes https:.*alexnet.*pth"):
        preprocess.input_shape(exp, (3, 64, 64))


def test_the_weights_preprocessing_is_used_unless_overridden():
    exp = composed("model=timm", "model.name=tf_efficientnet_lite0", "transfer=frozen")
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 1), dtype=np.uint8)
    data = picture(image)
    x = preprocess.make(exp, data)(torch.from_numpy(data.images))
    assert x.shape == (1, 3, 224, 224)
    assert torch.equal(x[:, 0], x[:, 1])  # grey, three times
    assert torch.equal(x[:, 0], x[:, 2])
    assert x.min() >= -1  # mean 0.5, std 0.5
    assert x.max() <= 1
    assert abs(float(x.mean()) - (image.mean() / 127.5 - 1)) < 0.02
    assert preprocess.input_shape(composed(*RESIDUAL), (1, 8, 8)) == (1, 8, 8)
    small = composed("model=timm", "model.name=tf_efficientnet_lite0", "transfer=frozen", "transfer.size=96")
    assert preprocess.make(small, data)(torch.from_numpy(data.images)).shape == (1, 3, 96, 96)
    unit = composed(
        "model=timm",
        "model.name=tf_efficientnet_lite0",
        "transfer=frozen",
        "transfer.preprocess=own",
        "pixel_norm=unit",
    )
    kept = preprocess.make(unit, data)(torch.from_numpy(data.images))
    torch.testing.assert_close(kept[0, 2], torch.from_numpy(image[..., 0]) / 255)
    with pytest.raises(RequestError, match="Only grey becomes three"):
        preprocess.input_shape(composed(*RESIDUAL, "transfer=frozen", "transfer.channels=1"), (3, 8, 8))


def test_from_scratch_the_network_sees_the_same_size_and_channels():
    """So that the same network is compared with and without weights."""
    data = picture(np.random.default_rng(0).integers(0, 256, (20, 20, 1), dtype=np.uint8))
    weights_of = ("model=efficientnet_lite0", "transfer.size=64", "transfer.channels=3")
    shapes = []
    for mode in ("scratch", "finetune"):
        exp = composed(*weights_of, f"transfer={mode}")
        x = preprocess.make(exp, data)(torch.from_numpy(data.images))
        assert x.shape == (1, 3, 64, 64)
        shapes.append([tuple(p.shape) for p in models.build(exp, data.shape, 10).parameters()])
    assert shapes[0] == shapes[1]
    plain = composed("model=efficientnet_lite0")
    assert preprocess.make(plain, data)(torch.from_numpy(data.images)).shape == (1, 1, 20, 20)
    with pytest.raises(RequestError, match=r"transfer\.size and transfer\.channels are for networks; knn sees pixels"):
        composed("model=knn", "transfer.size=64")


def test_resizing_agrees_with_pillow():
    from PIL import Image

    image = load_sample_images().images[0]
    ours = preprocess.resize_crop(
        torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float(), (100, 100), "bicubic"
    )
    wide = round(640 * 100 / 427)
    pillow = np.asarray(Image.fromarray(image).resize((wide, 100), Image.Resampling.BICUBIC), dtype=np.float32)
    left = (wide - 100) // 2
    difference = np.abs(ours[0].permute(1, 2, 0).numpy() - pillow[:, left : left + 100])
    assert difference.mean() < 0.5  # Pillow rounds between its two passes
