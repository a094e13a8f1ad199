"""norm_layer: the one place that makes what normalises activations inside a network."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from bench.parts.load import error_of, function
from bench.parts.signature import arguments
from bench.schema.equal import fitting_groups
from bench.schema.errors import RequestError
from bench.schema.model import NormLayer
from bench.schema.own import Own


def norm(kind: NormLayer, channels: int, dim: int) -> nn.Module | None:
    """The module that normalises activations [B, channels] (`dim` 0) or [B, channels, H, W] (`dim` 2).

    All have a scale and a shift per channel, from 1 and 0. None where activations are left alone.

    - batch: per channel, over batch and space (Ioffe & Szegedy 2015, arXiv:1502.03167); running statistics
      in evaluation mode.
    - layer: per image, over channels and space (Ba et al. 2016, arXiv:1607.06450).
    - group: per image and group of channels, over the group and space (Wu & He 2018, arXiv:1803.08494). As many
      groups as divide the channels, at most `groups`, each of two channels or more.
    - instance: per image and channel, over space (Ulyanov et al. 2016, arXiv:1607.08022); not for `dim` 0,
      where it is None.
    - none, weight, selu: None. Weight normalisation is `normalise_weight`'s, SELU the activation's.
    """
    if kind.own is not None:
        return _own(kind.own, channels, dim)
    if kind.name == "batch":
        return nn.BatchNorm2d(channels) if dim == 2 else nn.BatchNorm1d(channels)
    if kind.name == "layer":
        return nn.GroupNorm(1, channels) if dim == 2 else nn.LayerNorm(channels)
    if kind.name == "group":
        return nn.GroupNorm(fitting_groups(channels, kind.groups), channels)
    if kind.name == "instance" and dim == 2:
        return nn.InstanceNorm2d(channels, affine=True)
    return None


def _own(own: Own, channels: int, dim: int) -> nn.Module | None:
    """The layer that a function of somebody's own makes; None where it makes none for this `dim`.

    Raises:
        RequestError: where it fails, or makes something else.
    """
    make = function("norm_layer", own)
    try:
        settings = arguments(make, own.values, "norm_layer")
        layer = make(channels, dim, **settings)
        none = layer is None and make(channels, 2 - dim, **settings) is None
    except RequestError:
        raise
    except Exception as error:
        raise error_of(f"norm_layer '{own.name}' cannot be made for {channels} channels", error) from error
    if none or not isinstance(layer, nn.Module | None):
        raise RequestError(f"norm_layer '{own.name}' gives back {type(layer).__name__}. Expected torch.nn.Module.")
    return layer


def normalise_weight(layer: nn.Module) -> nn.Module:
    """The layer with its weight as g * v / |v|, one g and one norm |v| per output channel.

    Weight normalisation (Salimans & Kingma 2016, arXiv:1602.07868, eq. 2). g starts at |v|, so the layer
    starts as it was; the paper's data-dependent start is left out, as a network here does not see data
    before training.
    """
    weight_norm(layer)
    return layer


def synchronise(net: nn.Module) -> nn.Module:
    """The network with batch norm over the images of all devices together; parameters and statistics are shared.

    By timm's conversion: torch's own (nn.SyncBatchNorm.convert_sync_batchnorm) drops the activation that timm fuses
    with its norms (timm issue 1254).
    """
    from timm.layers import convert_sync_batchnorm  # costs seconds to import

    return convert_sync_batchnorm(net)


class NormAct(nn.Module):
    """A norm and what timm's fused norm layers do after it: dropout and activation."""

    def __init__(self, norm: nn.Module, drop: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.norm, self.drop, self.act = norm, drop, act

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return self.act(self.drop(self.norm(x)))
