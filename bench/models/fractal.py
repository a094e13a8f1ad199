"""fractalnet: columns of 1, 2, 4, ... convolutions that meet in joins (Larsson et al. 2016, arXiv:1605.07648)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from bench.models.activation import new_head
from bench.models.layers import Layers
from bench.schema.model import Fractal


class FractalNet(nn.Module):
    """Fractal blocks with 2x2 max pooling between them: [B, C, H, W] -> logits [B, classes].

    In training with drop-path, each image is drawn to be local (every join drops each input with
    probability `drop_path`, but never all) or global (one column through the whole network), half of them
    each, as in section 4; the paper draws for a batch, this for each image. Evaluation uses all columns.
    Pooling rounds up, so that images below 2^blocks pixels keep one.
    """

    def __init__(self, model: Fractal, layers: Layers, channels: int, classes: int) -> None:
        super().__init__()
        self.columns, self.drop_path = model.columns, model.drop_path
        self.blocks = len(model.filters)
        for i, filters in enumerate(model.filters):
            rate = model.dropout * i / max(1, self.blocks - 1)
            self.add_module(f"block{i + 1}", FractalBlock(layers, channels, filters, model.columns, rate))
            channels = filters
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.head = new_head(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, K]."""
        paths = self.draw(len(x), x.device) if self.training and self.drop_path else None
        for i in range(self.blocks):
            x = self.pool(self.get_submodule(f"block{i + 1}")(x, paths, self.drop_path))
        return self.head(x.mean((2, 3)))

    def draw(self, images: int, device: torch.device) -> Tensor:
        """int64 [images]: the column an image goes through, or -1 where its joins drop locally."""
        column = torch.randint(self.columns, (images,), device=device)
        return torch.where(torch.rand(images, device=device) < 0.5, column, -1)


class FractalBlock(nn.Module):
    """f_C of eq. 1: column c has 2^c convolutions, and columns that end at the same depth are joined by their mean."""

    def __init__(self, layers: Layers, inputs: int, filters: int, columns: int, dropout: float) -> None:
        super().__init__()
        self.columns = columns
        for c in range(columns):
            convs = [_conv(layers, inputs if i == 0 else filters, filters, dropout) for i in range(2**c)]
            self.add_module(f"column{c + 1}", nn.Sequential(*convs))

    def forward(self, x: Tensor, paths: Tensor | None, rate: float) -> Tensor:
        """[B, inputs, H, W] -> [B, filters, H, W].

        Args:
            paths: see `FractalNet.draw`; None: all columns, no drop-path.
            rate: of local drop-path.
        """
        depth = 2 ** (self.columns - 1)
        state = [x] * self.columns  # what the next convolution of each column reads
        for step in range(1, depth + 1):
            ending = [c for c in range(self.columns) if step % (depth >> c) == 0]
            made = [self.get_submodule(f"column{c + 1}.{step // (depth >> c) - 1}")(state[c]) for c in ending]
            joined = join(made, ending, paths, rate)
            for c in ending:
                state[c] = joined
        return joined


def join(inputs: list[Tensor], columns: list[int], paths: Tensor | None, rate: float) -> Tensor:
    """The mean of the inputs that drop-path leaves, image by image (section 4).

    Args:
        inputs: tensors [B, C, H, W], of the columns numbered `columns`.
        paths, rate: as in `FractalBlock.forward`.
    """
    stacked = torch.stack(inputs)  # [J, B, C, H, W]
    if paths is None or len(inputs) == 1:
        return stacked.mean(0)
    draws = torch.rand(len(inputs), len(paths), device=paths.device)
    local = (draws >= rate) | (draws == draws.max(0).values)  # at least one survives
    # A join that the image's one column does not reach carries nothing onwards: any weights will do.
    only = torch.tensor(columns, device=paths.device)[:, None] == paths
    kept = torch.where((paths < 0) | ~only.any(0), local, only).to(stacked.dtype)
    weights = kept / kept.sum(0)
    return torch.einsum("jb,jbchw->bchw", weights, stacked)


def _conv(layers: Layers, inputs: int, filters: int, dropout: float) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict(conv=layers.conv(inputs, filters, 3, 1, 1))
    if dropout:
        parts["dropout"] = layers.dropout(dropout)
    parts["norm"] = layers.norm(filters)
    parts["act"] = layers.act()
    return nn.Sequential(parts)
