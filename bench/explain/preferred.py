"""The input that a class would like best, by gradient ascent (Simonyan et al. 2013, arXiv:1312.6034)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from bench.explain.picture import NotFor, Picture, cells, name, show, side_for, style
from bench.explain.subject import Subject

MOST, STEPS, LARGE = 10, 200, 96  # classes; steps; side from which fewer of both are made
BLUR = 28  # standard deviations of the blur that a side has
JITTER, OF = 2, 14  # pixels at most, and no more than that part of the side: a small image would be lost in its shifts


def draw(subject: Subject) -> list[Picture]:
    """For each class an image that starts as the mean one and climbs the class's logit."""
    net = subject.trained.net
    if net is None or subject.trained.nearest is not None:
        raise NotFor("only a network's score can be climbed.")
    if max(subject.trained.shape[1:]) < 4:
        raise NotFor("points of the plane are seen best in the decision regions.")
    large = max(subject.prepare(subject.examples[0][:1]).shape[-2:]) > LARGE
    count = min(len(subject.classes), 6 if large else MOST)
    climbed, probability = ascend(subject, list(range(count)), STEPS // 4 if large else STEPS)
    columns = min(5, count)
    with style():
        titles = [f"{name(subject.classes, k)} ({probability[k]:.0%})" for k in range(count)]
        figure, made = cells(-(-count // columns), columns, side_for(titles, 1.2), text=0.16)
        for cell, image, title in zip(made.flat, climbed, titles, strict=False):
            show(cell, image, title)
    caption = (
        "Images that start as the mean training image and are changed, step by step, so that the score of one class "
        "rises; kept smooth and shifted a little on the way, so that no pattern of single pixels wins. Above each, the "
        "probability that the network gives it: it can be certain of what nobody would recognise."
    )
    return [Picture("preferred", "The input that each class prefers", caption, figure)]


def ascend(subject: Subject, classes: list[int], steps: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Images float [k, C, H, W] in 0..255 that raise the logits of `classes`, and the probability of each class.

    What is climbed is a blurred picture, 255 sigmoid(blur(z)): an image of single pixels would be found sooner, and
    would show nothing.
    """
    trained = subject.trained
    assert trained.net is not None
    usual = np.asarray(trained.data.images[trained.data.train[:256]]).mean(0) / 255
    z = torch.from_numpy(usual).clamp(0.05, 0.95).logit().expand(len(classes), *trained.shape).contiguous()
    z = z.float().to(trained.device).requires_grad_(True)
    sigma, jitter = max(trained.shape[1:]) / BLUR, min(JITTER, min(trained.shape[1:]) // OF)
    wanted = torch.arange(len(classes), device=trained.device)
    optimizer, random = torch.optim.Adam([z], lr=0.2), np.random.RandomState(0)
    for _ in range(steps):
        optimizer.zero_grad()
        shift = tuple(int(v) for v in random.randint(-jitter, jitter + 1, 2))
        logits = trained.net(trained.prepare(torch.roll(_image(z, sigma), shift, (2, 3))))
        # The class against the others: raising all logits at once shows nothing.
        margin = logits[wanted, classes] - torch.logsumexp(logits, 1)
        (-(margin + 0.05 * logits[wanted, classes]).sum() + 1e-3 * (z**2).sum() / z[0].numel()).backward()
        optimizer.step()
    with torch.no_grad():
        found = torch.softmax(trained.net(trained.prepare(_image(z, sigma))), 1)[wanted, classes]
        return _image(z, sigma).cpu().numpy(), found.cpu().numpy()


def _image(z: Tensor, sigma: float) -> Tensor:
    """255 sigmoid(blur(z)), with a Gaussian of `sigma` pixels."""
    if min(z.shape[-2:]) > 4:
        z = gaussian_blur(z, [2 * int(2 * sigma) + 1] * 2, [sigma, sigma])
    return 255 * torch.sigmoid(z)
