"""Maps inside networks: which outputs are some, in which order of axes, and what they say."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.data.pixel_norm import Scale
from bench.explain import filters
from bench.explain.exciting import patch
from bench.explain.saliency import grad_cam
from bench.explain.subject import Subject
from bench.explain.trace import layers, map_axes, outputs, spatial
from bench.reopen import open_run
from bench.track.store import Store


class Ordered(nn.Module):
    """A convolution, then the same mixing of channels, with these first or last, as swin and convnext are written."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last, self.conv, self.mix, self.head = (
            last,
            nn.Conv2d(1, 6, 3, padding=1),
            nn.Linear(6, 5),
            nn.Linear(5, 4),
        )
        if not last:
            linear, self.mix = self.mix, nn.Conv2d(6, 5, 1)  # type: ignore[assignment]
            self.mix.weight, self.mix.bias = nn.Parameter(linear.weight[..., None, None]), linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.conv(x))
        x = self.mix(x.permute(0, 2, 3, 1)) if self.last else self.mix(x)
        return self.head(x.mean((1, 2) if self.last else (2, 3)))


def test_maps_with_channels_last_are_the_same_maps(ids: dict[str, str]) -> None:
    """Grad-CAM and the stages' answers do not depend on the order of a network's axes; 8 x 8 maps, 5 channels."""
    image, shape = np.random.RandomState(0).randint(0, 256, (1, 8, 8)).astype(np.uint8), (1, 8, 8)
    batch = torch.from_numpy(image[None]) / 255
    heat, stages = [], []
    run = open_run(Store(), ids["cnn"], device="cpu")
    for last in (False, True):
        net = Ordered(last)
        trained = dataclasses.replace(run, net=net, prepare=Scale(np.zeros(1), 255 * np.ones(1)))
        heat.append([grad_cam(trained, image, k) for k in range(4)])
        found = spatial(layers(net, shape), 5, fill=False)
        assert [(layer.name, layer.maps) for layer in found] == [("mix", (5, 8, 8))]
        stages += outputs(net, found, batch)
    assert max(h.max() for h in heat[0]) > 0
    np.testing.assert_allclose(heat[1], heat[0], atol=1e-6)
    torch.testing.assert_close(stages[1], stages[0])


@pytest.mark.parametrize(
    ("module", "shape", "axes"),
    [
        (nn.Linear(4, 5), (1, 7, 7, 5), (0, 1)),
        (nn.Identity(), (1, 5, 7, 7), (1, 2)),
        (nn.Softmax(-1), (1, 3, 7, 7), None),
        (nn.Linear(4, 5), (4, 7, 7, 5), None),
        (nn.Linear(4, 5), (1, 3, 49, 5), None),
    ],
)
def test_maps_after_attention_are_known_by_their_sides(module: Any, shape: Any, axes: Any) -> None:
    """Of an image of 28 x 28; windows and what attention multiplies are no maps."""
    assert map_axes(module, torch.zeros(shape), None, (28, 28)) == axes


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Conv2d(1, 3, 5), nn.MaxPool2d(2), nn.Conv2d(3, 3, 3)),
        nn.Sequential(nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(3, 3, (3, 2))),
        nn.Sequential(nn.Conv2d(1, 3, 4, padding="same"), nn.Conv2d(3, 3, 3, stride=2, padding=1, dilation=2)),
    ],
)
def test_a_patch_is_what_a_unit_sees(net: nn.Sequential) -> None:
    """Every pixel that reaches the value is in it, and it is no larger than the receptive field."""
    side = 16
    image = np.arange(side * side).reshape(1, side, side).astype(np.uint8)  # every pixel known by its number
    layer = layers(net, (1, side, side))[-1]
    _, height, width = layer.maps
    for row, column in ((1, 2), (height // 2, width // 2), (height - 2, width - 2)):
        x = torch.rand(1, 1, side, side, requires_grad=True)
        net(x)[0, :, row, column].sum().backward()
        assert x.grad is not None
        seen = x.grad[0, 0].nonzero().numpy()
        shown = patch(image, layer, row * width + column, (1, side, side))
        assert layer.field is not None
        assert shown.shape == (1, round(layer.field), round(layer.field))
        assert set(image[0, seen[:, 0], seen[:, 1]]) <= set(shown.flatten())


def test_of_many_filters_the_strongest_are_drawn(ids: dict[str, str]) -> None:
    """Of 70 that grow stronger the last 64, and the last one first."""
    conv = nn.Conv2d(1, 70, 3)
    with torch.no_grad():
        conv.weight[:] = torch.linspace(0.1, 1, 70)[:, None, None, None]
        conv.weight[:, 0, 0, 0] = torch.arange(70) / 1000  # each is known by its corner
    run = dataclasses.replace(open_run(Store(), ids["cnn"], device="cpu"), net=conv)
    (picture,) = filters.draw(Subject(run, Store()))
    assert picture.figure is not None
    corners = [cell.images[0].get_array()[0, 0] for cell in picture.figure.axes]  # type: ignore[index]
    assert corners == pytest.approx(np.arange(69, 5, -1) / 1000)
    assert picture.caption.startswith("64 of the 70 filters of the first convolution, 3 x 3 pixels, strongest first")
