"""Where in an image a decision comes from: Grad-CAM and integrated gradients (captum), occlusion for any model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from bench.explain.picture import NotFor, Picture, cells, label, show, style
from bench.explain.subject import Subject
from bench.explain.trace import ADAPTIVE, DULL, POOLS, Layer, first_channels, layers
from bench.schema.errors import RequestError
from bench.trained import Trained

Map = NDArray[np.float64]  # [H, W] of a stored image; larger: more for the class
READ_AS = {
    "Grad-CAM": "Grad-CAM (Selvaraju et al. 2017) is coarse and tells where the last maps answered",
    "integrated gradients": "integrated gradients (Sundararajan et al. 2017) share the score out to single pixels, "
    "against a black image",
    "occlusion": "occlusion (Zeiler & Fergus 2014) covers one square after another and sees how far the probability "
    "falls",
}
OCCLUDED = 7  # squares a side that occlusion covers one after the other


def draw(subject: Subject) -> list[Picture]:
    """A row an example: the image, and for its predicted class each method that the model allows."""
    if max(subject.trained.shape[1:]) < 4:
        raise NotFor("points of the plane are seen best in the decision regions.")
    images, titles = subject.examples
    trained = subject.trained
    methods = {"Grad-CAM": grad_cam, "integrated gradients": integrated_gradients, "occlusion": occlusion}
    chosen = {said: method for said, method in methods.items() if _allows(trained, said)}
    if len(chosen) > 1 and max(trained.shape[1:]) > 64:  # dear to occlude, and there are others
        chosen.pop("occlusion")
    targets = trained.classify(torch.from_numpy(images)).argmax(1).tolist()
    with style():
        figure, made = cells(len(images), len(chosen) + 1, 1.2, left=1.3)
        for line, image, title, target in zip(made, images, titles, targets, strict=True):
            show(line[0], image)
            label(line[0], title)
            for cell, method in zip(line[1:], chosen.values(), strict=True):
                over(cell, image, method(trained, image, target))
        for cell, said in zip(made[0][1:], chosen, strict=True):
            cell.set_title(said, fontsize=8)
    read = "; ".join(READ_AS[said] for said in chosen)
    read = f"{read[0].upper()}{read[1:]}."
    caption = (
        f"Red: what speaks for the class that was predicted; blue: what speaks against it. {read} A bright place off "
        "the object is a reason to look at the data; 'nothing': no place speaks for or against it."
    )
    return [Picture("saliency", "Where the decision comes from", caption, figure)]


def over(cell: Any, image: NDArray[np.uint8], found: Map) -> None:
    """A map over a pale copy of its image."""
    show(cell, 128 + np.asarray(image, np.float64).mean(0, keepdims=True) / 2)
    most = largest(found)
    cell.imshow(found, cmap="RdBu_r", vmin=-(most or 1), vmax=most or 1, alpha=0.65)
    if not most:
        cell.set_xlabel("nothing", fontsize=7, labelpad=1)


def largest(found: Map) -> float:
    """What a map's colours end at: 99 of 100 pixels are below, or its maximum where a bright place is smaller still."""
    return float(np.percentile(np.abs(found), 99)) or float(np.abs(found).max())


def _allows(trained: Trained, method: str) -> bool:
    if method == "occlusion":
        return True
    if trained.net is None or trained.nearest is not None:
        return False
    return method != "Grad-CAM" or last_maps(trained) is not None


def last_maps(trained: Trained) -> Layer | None:
    """The last layer, pooling aside, whose output is a map of more than 2 x 2 pixels; None without one."""
    assert trained.net is not None
    like = trained.prepare(torch.zeros(1, *trained.shape, dtype=torch.uint8, device=trained.device))
    found = layers(trained.net, tuple(like.shape[1:]))
    if not any(isinstance(layer.module, nn.Conv2d) for layer in found):
        return None
    maps = [layer for layer in found if layer.axes and min(layer.maps[1:]) > 2]
    return next((m for m in reversed(maps) if not isinstance(m.module, (*DULL, *POOLS, *ADAPTIVE))), None)


def grad_cam(trained: Trained, image: NDArray[np.uint8], target: int) -> Map:
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) on the last maps of more than 2 x 2 pixels."""
    from_layer = last_maps(trained)
    assert trained.net is not None
    assert from_layer is not None
    x = _input(trained, image)
    with _silence_hooks(), first_channels(from_layer) as maps:
        found = captum().LayerGradCam(trained.net, maps).attribute(x, target=target, relu_attributions=True)
    return _as_stored(found.detach(), trained)


def integrated_gradients(trained: Trained, image: NDArray[np.uint8], target: int, steps: int = 32) -> Map:
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365) of the logit, from a black image."""
    assert trained.net is not None
    x = _input(trained, image)
    black = _input(trained, np.zeros_like(image))
    with _silence_hooks():
        method = captum().IntegratedGradients(trained.net)
        found = method.attribute(x, black, target=target, n_steps=steps, internal_batch_size=8)
    return _as_stored(found.detach().sum(1, keepdim=True), trained)


def occlusion(trained: Trained, image: NDArray[np.uint8], target: int) -> Map:
    """How far the class's probability falls when a square of mid-grey covers a place; for every model."""
    _, height, width = image.shape
    down, across = min(OCCLUDED, height), min(OCCLUDED, width)
    covered = np.repeat(image[None], down * across + 1, 0)
    rows, columns = (np.linspace(0, n, k + 1).round().astype(int) for n, k in ((height, down), (width, across)))
    for i in range(down):
        for j in range(across):
            place = covered[1 + i * across + j]
            # Twice as wide as the step, so that neighbours overlap and no part escapes.
            top, left = rows[i], columns[j]
            place[:, max(0, top - 1) : rows[i + 1] + 1, max(0, left - 1) : columns[j + 1] + 1] = 128
    said = np.exp(trained.classify(torch.from_numpy(covered)).numpy().astype(np.float64))[:, target]
    falls = torch.from_numpy((said[0] - said[1:]).reshape(1, 1, down, across))
    return interpolate(falls, (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()


def saliency(trained: Trained, image: NDArray[np.uint8], target: int) -> tuple[str, Map]:
    """A quick map for a page, its name first: Grad-CAM where its maps say anything, else gradients, else occlusion."""
    if trained.net is None or trained.nearest is not None:
        return "occlusion", occlusion(trained, image, target)
    if last_maps(trained) is not None and (found := grad_cam(trained, image, target)).any():
        return "Grad-CAM", found
    return "integrated gradients", integrated_gradients(trained, image, target)


def captum() -> Any:
    """captum's methods.

    Raises:
        RequestError: it is not installed.
    """
    try:
        import captum.attr
    except ImportError:
        raise RequestError("Saliency needs captum: pip install 'imagebench[explain]'.") from None
    return captum.attr


def _input(trained: Trained, image: NDArray[np.uint8]) -> Tensor:
    return trained.prepare(torch.from_numpy(image[None]).to(trained.device)).detach()


def _as_stored(found: Tensor, trained: Trained) -> Map:
    """A map [1, 1, h, w] at the stored image's size."""
    sized = interpolate(found.float(), trained.shape[1:], mode="bilinear", align_corners=False)
    return sized[0, 0].cpu().numpy().astype(np.float64)


@contextmanager
def _silence_hooks() -> Iterator[None]:
    """Hooks on networks that change activations in place make torch warn; captum knows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
