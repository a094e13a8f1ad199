"""The architecture as a table: layers, output shapes, parameters, FLOPs, receptive field."""

from __future__ import annotations

from torch import nn

from bench.explain.fields import ALL
from bench.explain.picture import NotFor, Picture
from bench.explain.subject import Subject
from bench.explain.trace import layers
from bench.models import cost, preprocess
from bench.models.cost import parameters

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
            "" if layer.field is None else "all" if layer.field == ALL else round(layer.field),
        )
        for layer in found
    ]
    # A vision transformer holds its position embedding outside its layers, and multiplies queries with keys there.
    whole, flops = parameters(net), cost.flops(net, shape)
    rest = whole - sum(layer.parameters for layer in found), (flops or 0) - sum(layer.flops for layer in found)
    if any(rest):
        rows.append(("outside of layers", "", "", f"{rest[0]:,}", f"{rest[1]:,}" if flops is not None else "", ""))
    rows.append(("all", "", "", f"{whole:,}", f"{flops:,}" if flops is not None else "not counted", ""))
    caption = (
        f"Every layer that an image of {' x '.join(map(str, shape))} passes, in order; one that is used again has its "
        "parameters at its first use. FLOPs are for one image, a multiplication and an addition count as two. The "
        "receptive field is the side, in pixels, of the square of the input that one value can see, by convolutions "
        "and pooling; 'all': every pixel; empty: not known, as in and after attention."
    )
    head = ("layer", "kind", "output", "parameters", "FLOPs", "receptive field")
    return [Picture("architecture", "The architecture", caption, head=head, rows=rows)]


def input_shape(subject: Subject) -> tuple[int, int, int]:
    """(C, H, W) of the network's input."""
    prepare, shape = subject.trained.prepare, subject.trained.shape
    if isinstance(prepare, preprocess.Preprocess):
        return prepare.channels, *(prepare.size or shape[1:])
    return shape
