"""Augmentation: against torchvision one image at a time, the same on one device and on two, fresh draws."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from scipy import stats
from torch import Tensor
from torchvision.transforms import InterpolationMode

from bench.data import ImageData, augment, colour, corrupt, geometry, mixing, policies
from bench.data.batches import share
from bench.schema.errors import RequestError
from bench.schema.pixels import Augment, Corrupt

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (12, 3, 16, 20), dtype=torch.uint8, generator=GENERATOR)
AMOUNTS = torch.linspace(0.3, 1.8, 12)
NONE = torch.zeros(1, 2)

EVERY = {
    "flip": 0.5, "flip_vertical": 0.5, "shift": 2, "crop": 2, "rotate": 20.0, "scale": 0.3, "brightness": 0.5,
    "contrast": 0.5, "saturation": 0.5, "hue": 0.3, "grey": 0.5, "blur": 0.7, "cutout": 5, "erase": 0.8, "mixup": 0.4,
    "cutmix": 1.0,
}  # fmt: skip
POLICIES = [{"policy": "randaugment"}, {"policy": "trivialaugment"}]
SINGLE = [{name: value} for name, value in EVERY.items()] + POLICIES
ALL = [*SINGLE, EVERY, {**EVERY, "crop": 0, "policy": "randaugment"}]


def label(settings: dict) -> str:
    return "-".join(f"{k}" for k in settings) if len(settings) < 4 else "everything"


def one_by_one(function, amounts: Tensor, images: Tensor = IMAGES) -> Tensor:
    return torch.stack(
        [function(image, amount) for image, amount in zip(images.float() / 255, amounts.tolist(), strict=True)]
    )


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("channels", [1, 3])
def test_colour_agrees_with_torchvision(name: str, channels: int) -> None:
    images = IMAGES[:, :channels]
    theirs = one_by_one(getattr(tv, f"adjust_{name}"), AMOUNTS, images)
    assert torch.allclose(getattr(colour, name)(images, AMOUNTS) / 255, theirs, atol=1e-3)


def test_hue_agrees_with_torchvision() -> None:
    turns = torch.linspace(-0.5, 0.5, 12)
    assert torch.allclose(colour.hue(IMAGES, turns) / 255, one_by_one(tv.adjust_hue, turns), atol=1e-4)


def test_grey_agrees_with_torchvision() -> None:
    assert torch.allclose(colour.grey(IMAGES) / 255, tv.rgb_to_grayscale(IMAGES.float() / 255, 3), atol=1e-3)


def test_tables_agree_with_torchvision() -> None:
    assert torch.equal(colour.equalize(IMAGES), tv.equalize(IMAGES).float())
    dark = IMAGES // 4 + 10
    assert (colour.autocontrast(dark) - tv.autocontrast(dark).float()).abs().max() <= 1
    for i, bits in enumerate((2, 4, 7)):
        ours = colour.posterize(IMAGES[i : i + 1], torch.tensor([bits]))
        assert torch.equal(ours, tv.posterize(IMAGES[i : i + 1], bits).float())
        ours = colour.solarize(IMAGES[i : i + 1], torch.tensor([60.0 * i]))
        assert torch.equal(ours, tv.solarize(IMAGES[i : i + 1], 60.0 * i).float())
    flat = torch.full((1, 1, 4, 4), 7, dtype=torch.uint8)
    assert (colour.equalize(flat) == 7).all()
    assert (colour.autocontrast(flat) == 7).all()


def test_sharpness_agrees_with_torchvision() -> None:
    assert torch.allclose(colour.sharpness(IMAGES, AMOUNTS) / 255, one_by_one(tv.adjust_sharpness, AMOUNTS), atol=1e-3)


def test_blur_agrees_with_scipy() -> None:
    from scipy.ndimage import gaussian_filter

    sigmas = torch.linspace(0.2, 2.0, 12)
    ours = colour.blur(IMAGES, sigmas, 2.0)
    for image, sigma, out in zip(IMAGES, sigmas.tolist(), ours, strict=True):
        radius = int(3 * 2.0 + 0.5)
        theirs = [gaussian_filter(c.numpy().astype(float), sigma, mode="nearest", radius=radius) for c in image]
        assert np.abs(np.stack(theirs) - out.numpy()).max() < 0.1
    still = colour.blur(IMAGES, torch.zeros(12), 2.0)
    assert torch.equal(still, IMAGES.float())


@pytest.mark.parametrize("scale", [1.0, 1.4])
def test_rotation_agrees_with_torchvision(scale: float) -> None:
    degrees = torch.linspace(-170, 170, 12)
    ours = geometry.affine(IMAGES, geometry.rotation(degrees, torch.full((12,), scale)), torch.zeros(12, 2))
    for image, angle, out in zip(IMAGES, degrees.tolist(), ours, strict=True):
        theirs = tv.affine(
            image.float(), -angle, [0, 0], scale, [0.0, 0.0], interpolation=InterpolationMode.BILINEAR, fill=[0.0]
        )
        inside = theirs[:, 4:-4, 4:-4]
        assert (out[:, 4:-4, 4:-4] - inside).abs().max() < 0.5


def test_translation_moves_by_whole_pixels() -> None:
    offset = torch.tensor([[3.0, -2.0]]).expand(12, 2)
    moved = geometry.affine(IMAGES, torch.eye(2).expand(12, 2, 2), offset)
    shifted = geometry.shift(IMAGES, torch.tensor([[2, -3]]).expand(12, 2), 3)
    assert (moved - shifted).abs().max() < 0.01


@pytest.mark.parametrize("fill", ["zero", "reflect", "edge"])
def test_shift_is_numpys_padding(fill: str) -> None:
    offsets = torch.randint(-3, 4, (12, 2), generator=GENERATOR)
    mode = {"zero": "constant", "reflect": "reflect", "edge": "edge"}[fill]
    ours = geometry.shift(IMAGES, offsets, 3, fill)
    for image, (down, right), out in zip(IMAGES.numpy(), offsets.tolist(), ours.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (3, 3), (3, 3)), mode=mode)
        assert np.array_equal(out, padded[:, 3 - down : 19 - down, 3 - right : 23 - right])


def run(settings: dict, source: ImageData, epoch: int = 0, step: int = 0, rank: int = 0, world: int = 1):
    images, labels = torch.from_numpy(source.images), torch.from_numpy(source.labels)
    mine = share(len(images), rank, world)
    function = augment.make(Augment(**settings), source)
    draws = augment.generator(3, epoch, step, len(images), rank, world)
    return function(images[mine].clone(), labels[mine], draws)


@pytest.mark.parametrize("settings", ALL, ids=label)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_augmentation(settings: dict, channels: int, data) -> None:
    """In range, fresh at each step, repeatable, the same on one device and on three, and not for one image alone."""
    source: ImageData = data(count=63, shape=(channels, 12, 12))
    before = source.images.copy()
    images, targets = run(settings, source)
    assert images.shape == source.images.shape
    assert torch.isfinite(images.float()).all()
    assert images.min() >= 0
    assert images.max() <= 255
    assert np.array_equal(before, source.images)  # the data set itself is not touched
    again, _ = run(settings, source)
    assert torch.equal(images, again)
    if not (channels == 1 and settings.keys() <= {"saturation", "hue", "grey"}):
        for other in ({"epoch": 1}, {"step": 1}):
            assert not torch.equal(images, run(settings, source, **other)[0])
        changed = (images.float() != torch.from_numpy(source.images).float()).flatten(1).any(1).float().mean()
        assert changed > 0.2
    for rank in range(3):
        part, wanted = run(settings, source, rank=rank, world=3)
        mine = share(63, rank, 3)
        assert torch.allclose(part.float(), images[mine].float(), atol=1e-3)
        assert torch.allclose(wanted.float(), targets[mine].float(), atol=1e-6)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_policys_operations_are_torchvisions(sign: int) -> None:
    """All 14 on one batch, each image with the one that it drew, in turn with the identity."""
    share = 9 / 30
    enhance = 1 + sign * 0.9 * share
    turn, lean = sign * 30 * share, sign * 0.3 * share
    bits, far = 8 - round(4 * share), sign * 16 * 150 / 331 * share

    def sheared(x: int, y: int):
        return lambda image: geometry.affine(image[None], torch.tensor([[[1.0, x * lean], [y * lean, 1.0]]]), NONE)[0]

    def moved(x: int, y: int):
        return lambda image: geometry.affine(image[None], torch.eye(2)[None], far * torch.tensor([[x, y]]))[0]

    expected = {
        "identity": lambda image: image,
        "shear_x": sheared(1, 0), "shear_y": sheared(0, 1), "translate_x": moved(1, 0), "translate_y": moved(0, 1),
        "rotate": lambda image: tv.rotate(image, turn, InterpolationMode.BILINEAR),
        "brightness": lambda image: 255 * tv.adjust_brightness(image / 255, enhance),
        "saturation": lambda image: 255 * tv.adjust_saturation(image / 255, enhance),
        "contrast": lambda image: 255 * tv.adjust_contrast(image / 255, enhance),
        "sharpness": lambda image: 255 * tv.adjust_sharpness(image / 255, enhance),
        "posterize": lambda image: tv.posterize(image, bits),
        "solarize": lambda image: tv.solarize(image, 255 * (1 - share)),
        "autocontrast": tv.autocontrast,
        "equalize": tv.equalize,
    }  # fmt: skip
    order = torch.randperm(14, generator=GENERATOR)
    images = torch.randint(0, 256, (14, 3, 16, 16), dtype=torch.uint8, generator=GENERATOR)
    drawn = torch.stack([(order + 0.5) / 14, torch.full((14,), 0.25 if sign < 0 else 0.75)], 1)
    idle = torch.stack([torch.full((14,), 0.5 / 14), drawn[:, 1]], 1)
    found = policies.randaugment(images, [drawn, idle, idle], 9.0)
    for image, operation, ours in zip(images, order.tolist(), found, strict=True):
        name = policies.OPERATIONS[operation]
        assert (ours - expected[name](image).float()).abs().max() <= 1, name  # torchvision rounds some


def test_nothing_set_is_no_augmentation(data) -> None:
    assert augment.make(Augment(), data()) is None


def test_probabilities_and_offsets_are_as_set(data) -> None:
    source: ImageData = data(count=4000, shape=(1, 3, 5))
    flipped, _ = run({"flip": 0.3}, source)
    mirrored = (flipped == torch.from_numpy(source.images).flip(-1)).flatten(1).all(1)
    assert stats.binomtest(int(mirrored.sum()), 4000, 0.3).pvalue > 1e-4
    source.images[:] = 0
    source.images[:, :, 1, 2] = 255  # the middle
    moved, _ = run({"shift": 1}, source)
    at = moved[:, 0].flatten(1).argmax(1)
    assert moved.flatten(1).sum(1).eq(255).all()
    seen = torch.bincount(at, minlength=15).reshape(3, 5)
    assert (seen[:, [0, 4]] == 0).all()
    assert stats.chisquare(seen[:, 1:4].flatten().numpy()).pvalue > 1e-4


def test_mixing_keeps_labels_in_step_with_pixels(data) -> None:
    """Where every image is constant and equal to its label, the target's mean is the mixed image's mean."""
    source: ImageData = data(count=255, shape=(1, 24, 24), classes=5)
    source.images[:] = source.labels[:, None, None, None] * 50
    for settings in ({"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 0.5}):
        images, targets = run(settings, source)
        assert targets.shape == (255, 5)
        assert torch.allclose(targets.sum(1), torch.ones(255))
        expected = (targets * 50 * torch.arange(5)).sum(1)
        assert torch.allclose(images.float().mean((1, 2, 3)), expected, atol=1e-3)
        assert (targets.amax(1) < 1).float().mean() > 0.3
        loss = torch.nn.functional.cross_entropy(torch.zeros(255, 5), targets)
        assert float(loss) == pytest.approx(np.log(5))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_beta_draws_follow_their_distribution(alpha: float) -> None:
    drawn = mixing.beta(torch.rand(20000, generator=GENERATOR), mixing.beta_table(alpha))
    assert stats.kstest(drawn.numpy(), stats.beta(alpha, alpha).cdf).statistic < (
        0.03 if alpha < 1 else 0.015
    )  # near 1 float32 is coarse


def test_erasing_covers_what_it_should(data) -> None:
    source: ImageData = data(count=400, shape=(1, 20, 20))
    source.images[:] = 255
    hidden = 1 - run({"erase": 1.0}, source)[0].float().mean((1, 2, 3)) / 255
    assert hidden.min() > 0.01
    assert hidden.max() < 0.37
    assert abs(float(hidden.mean()) - 0.175) < 0.02
    square = 400 - run({"cutout": 6}, source)[0].gt(0).flatten(1).sum(1)
    assert square.max() == 36


def test_settings_that_do_not_fit_the_images(data) -> None:
    with pytest.raises(RequestError, match=r"augment\.shift=12.*12 x 12"):
        augment.make(Augment(shift=12), data())


@pytest.mark.parametrize("name", corrupt.SEVERITIES)
def test_corruptions_grow_with_severity(name: str, data) -> None:
    digits = torch.zeros(200, 1, 28, 28, dtype=torch.uint8)
    digits[:, :, 8:20, 12:16] = 200
    distance = []
    for severity in range(1, 6):
        out = corrupt.apply(digits, name, severity, corrupt.generator(0, name, severity))
        assert out.dtype == torch.uint8
        assert out.shape == digits.shape
        again = corrupt.apply(digits, name, severity, corrupt.generator(0, name, severity))
        assert torch.equal(out, again)
        distance.append(float((out.float() - digits.float()).abs().mean()))
    assert distance[0] > 0
    assert all(a < b for a, b in pairwise(distance)), distance
    if name not in ("contrast", "blur"):  # those draw nothing
        assert not torch.equal(out, corrupt.apply(digits, name, 5, corrupt.generator(1, name, 5)))


def test_every_corruption_of_the_schema_exists() -> None:
    from typing import get_args, get_type_hints

    names = get_args(get_args(get_type_hints(Corrupt)["names"])[0])
    assert set(names) == set(corrupt.SEVERITIES)
