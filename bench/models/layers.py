"""Layers: what the own networks are made of, with one norm_layer and one activation throughout."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from bench.models.activation import activation, initialise
from bench.models.norm_layer import norm, normalise_weight
from bench.schema.model import Activation, NormLayer


@dataclass(frozen=True)
class Layers:
    """Makes layers that fit a norm_layer and an activation.

    norm_layer selu replaces the activation by SELU and dropout by alpha dropout (Klambauer et al. 2017,
    arXiv:1706.02515). norm_layer weight acts on every convolution and affine layer but the head.
    """

    kind: NormLayer
    activation: Activation

    @property
    def bare(self) -> bool:
        """Whether activations are left as they come: nothing rescales what a layer makes."""
        return self.kind.name in ("none", "weight", "selu")

    def act(self) -> nn.Module:
        """The activation."""
        return activation("selu" if self.kind.name == "selu" else self.activation)

    def dropout(self, rate: float) -> nn.Module:
        """Dropout (Srivastava et al. 2014), which keeps mean and variance where selu needs that."""
        return nn.AlphaDropout(rate) if self.kind.name == "selu" else nn.Dropout(rate)

    def norm(self, channels: int, dim: int = 2) -> nn.Module:
        """The norm of [B, channels, H, W], or of [B, channels] for `dim` 0; nn.Identity where there is none."""
        return norm(self.kind, channels, dim) or nn.Identity()

    def conv(self, inputs: int, filters: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Module:
        """A convolution; without a bias before a norm, whose shift replaces it."""
        return self._initialise(nn.Conv2d(inputs, filters, kernel, stride, padding, bias=self.bare))

    def affine(self, inputs: int, units: int) -> nn.Module:
        """An affine layer; without a bias before a norm, whose shift replaces it."""
        return self._initialise(nn.Linear(inputs, units, bias=norm(self.kind, units, dim=0) is None))

    def dense(self, inputs: int, units: int, dropout: float) -> nn.Sequential:
        """One hidden layer: affine, norm_layer, activation, dropout. [B, inputs] -> [B, units]."""
        parts = OrderedDict(affine=self.affine(inputs, units), norm=self.norm(units, dim=0), act=self.act())
        if dropout:
            parts["dropout"] = self.dropout(dropout)
        return nn.Sequential(parts)

    def _initialise(self, layer: nn.Conv2d | nn.Linear) -> nn.Module:
        initialise(layer, "selu" if self.kind.name == "selu" else self.activation)
        return normalise_weight(layer) if self.kind.name == "weight" else layer


def silence(layer: nn.Module) -> None:
    """Make a convolution or affine layer's output zero at the start, so that its residual block starts as identity.

    For residual networks without a norm, whose activations would otherwise double in variance with
    every block (Zhang et al. 2019, arXiv:1901.09321).
    """
    with torch.no_grad():
        # Under weight normalisation the first of the weight's two tensors is its length g.
        normalised = "parametrizations.weight.original0"
        layer.get_parameter(normalised if is_parametrized(layer, "weight") else "weight").zero_()


class DropPath(nn.Module):
    """Stochastic depth: passes each image's residual with probability 1 - rate in training, always at evaluation.

    Huang et al. 2016, arXiv:1603.09382, eq. 2 and 5. Where the paper multiplies by 1 - rate at evaluation,
    this divides by it in training, which has the same expectation; and it draws for each image, not each batch.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...] -> [B, ...]."""
        if not self.training or self.rate == 0:
            return x
        keep = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.rate
        return x * keep / (1 - self.rate)

    def extra_repr(self) -> str:
        """The rate, for print."""
        return f"rate={self.rate:g}"
