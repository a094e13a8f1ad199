"""A run as one module, preprocessing inside: images uint8 [B, C, H, W] -> probabilities float32 [B, K]."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.models.heads import Backbone
from bench.models.ncm import class_means
from bench.schema.errors import RequestError
from bench.schema.model import Knn, Ncm
from bench.trained import Trained


def as_module(trained: Trained, temperature: float = 1.0) -> nn.Module:
    """The module of a run, on the CPU, in evaluation mode. Views of `augment.test_time` are left out.

    Raises:
        RequestError: for neighbours by L1, whose distances no exported operator computes in bounded memory.
    """
    trained.prepare.cpu()
    if trained.net is not None:
        trained.net.cpu()
    if trained.nearest is None:
        assert trained.net is not None
        made: nn.Module = Network(trained.prepare, trained.net, temperature)
    else:
        inside = nn.Sequential(trained.prepare, Backbone(trained.net)) if trained.net is not None else trained.prepare
        rows, labels = trained.reference
        kind = Neighbours if isinstance(trained.nearest, Knn) else Means
        made = kind(inside, trained.nearest, rows, labels, len(trained.classes), temperature)  # type: ignore[arg-type]
    return made.eval()


class Network(nn.Module):
    """softmax(net(prepare(images)) / T)."""

    def __init__(self, prepare: nn.Module, net: nn.Module, temperature: float) -> None:
        super().__init__()
        self.prepare, self.net, self.temperature = prepare, net, temperature

    def forward(self, images: Tensor) -> Tensor:
        """float32 [B, K], rows sum to one."""
        return torch.softmax(self.net(self.prepare(images)).float() / self.temperature, 1)


class Neighbours(nn.Module):
    """Votes of the k nearest rows (`bench.models.knn`), distances in float64 so that near ties fall the same way."""

    def __init__(
        self,
        inside: nn.Module,
        model: Knn,
        rows: NDArray[np.float32],
        labels: NDArray[np.int64],
        classes: int,
        temperature: float,
    ) -> None:
        super().__init__()
        if model.metric == "l1":
            raise RequestError(
                "Neighbours by L1 cannot be exported: their distances are no matrix product, and would take images x "
                "training images x pixels numbers of memory. Use metric=l2 or cosine, or serve the run itself."
            )
        self.inside, self.model, self.temperature = inside, model, temperature
        held = torch.from_numpy(np.array(rows)).double()
        self.register_buffer("rows", _unit(held) if model.metric == "cosine" else held)
        self.register_buffer("squares", (cast(Tensor, self.rows) ** 2).sum(1))
        self.register_buffer("votes", torch.eye(classes)[torch.from_numpy(labels)].double())

    def forward(self, images: Tensor) -> Tensor:
        """float32 [B, K], rows sum to one."""
        rows, squares, votes = (cast(Tensor, b) for b in (self.rows, self.squares, self.votes))
        x = self.inside(images).flatten(1).double()
        if self.model.metric == "cosine":
            x = _unit(x)
        squared = (x * x).sum(1, keepdim=True) - 2 * x @ rows.T + squares
        near, places = torch.topk(squared, self.model.k, dim=1, largest=False)
        weight = torch.ones_like(near)
        if self.model.weights == "distance":
            distance = near.clamp(min=0).sqrt() if self.model.metric == "l2" else near.clamp(min=0) / 2
            zero = distance < 1e-7
            weight = torch.where(zero.any(1, keepdim=True), zero.double(), 1 / distance.clamp(min=1e-12))
        tally = (votes[places] * weight[..., None]).sum(1)
        k, classes = self.model.k, votes.shape[1]
        smoothed = (k * tally / tally.sum(1, keepdim=True) + 1 / classes) / (k + 1)  # as bench.models.knn.log_scores
        return torch.softmax(smoothed.log() / self.temperature, 1).float()


class Means(nn.Module):
    """Nearest class mean (`bench.models.ncm`)."""

    def __init__(
        self,
        inside: nn.Module,
        model: Ncm,
        rows: NDArray[np.float32],
        labels: NDArray[np.int64],
        classes: int,
        temperature: float,
    ) -> None:
        super().__init__()
        cosine = model.metric == "cosine"
        means, counts = class_means(rows, labels, classes, unit=cosine)
        held = torch.from_numpy(np.array(rows)).double()
        held = _unit(held) if cosine else held
        self.register_buffer("means", torch.from_numpy(means))
        own = float(((held - cast(Tensor, self.means)[torch.from_numpy(labels)]) ** 2).sum())
        self.variance = max(
            own / (max(1, int(counts.sum()) - classes) * rows.shape[1]), float(np.finfo(np.float32).tiny)
        )
        self.inside, self.cosine, self.temperature = inside, cosine, temperature

    def forward(self, images: Tensor) -> Tensor:
        """float32 [B, K], rows sum to one."""
        means = cast(Tensor, self.means)
        x = self.inside(images).flatten(1).double()
        x = _unit(x) if self.cosine else x
        squared = (x * x).sum(1, keepdim=True) - 2 * x @ means.T + (means * means).sum(1)
        return torch.softmax(-squared / (2 * self.variance * self.temperature), 1).float()


def _unit(x: Tensor) -> Tensor:
    length = x.norm(dim=1, keepdim=True)
    return x / torch.where(length == 0, torch.ones_like(length), length)
