"""The architecture as a table: layers, output shapes, parameters, FLOPs, receptive field."""

from __future__ import annotations

from torch import nn

from bench.explain.picture import NotFor, Picture
from bench.explain.subject import Subject
from bench.explain.trace import layers
from bench.models import preprocess

SMALL = (nn.Identity, nn.Flatten, nn.Dropout)  # change no number in evaluation


def draw(subject: Subject) -> list[Picture]:
    """One table."""
    net = subject.trained.net
    if net is None:
        raise NotFor(f"{subject.trained.exp.model.family} has no layers: it compares pixels.")
    shape = input_shape(subject)
    found = [layer for layer in layers(net, shape) if not isinstance(layer.module, SMALL)]
    rows = [
        (
            layer.name or type(net).__name__,
            type(layer.module).__name__,
            " x ".join(map(str, layer.shape)),
            f"{layer.parameters:,}",
            f"{layer.flops:,}",
            "all" if layer.field is None else layer.field,
        )
        for layer in found
    ]
    # A network may hold parameters outside its layers, as a vision transformer its position embedding.
    whole, flops = sum(p.numel() for p in net.parameters()), sum(layer.flops for layer in found)
    rows.append(("all", "", "", f"{whole:,}", f"{flops:,}", ""))
    caption = (
        f"Every layer that an image of {' x '.join(map(str, shape))} passes, in order. FLOPs are for one image, a "
        "multiplication and an addition count as two. The receptive field is the side, in pixels, of the square of "
        "the input that one value can see; 'all': every pixel."
    )
    head = ("layer", "kind", "output", "parameters", "FLOPs", "receptive field")
    return [Picture("architecture", "The architecture", caption, head=head, rows=rows)]


def input_shape(subject: Subject) -> tuple[int, int, int]:
    """(C, H, W) of the network's input."""
    prepare, shape = subject.trained.prepare, subject.trained.shape
    if isinstance(prepare, preprocess.Preprocess):
        return prepare.channels, *(prepare.size or shape[1:])
    return shape
