"""model.stem=small: a 3x3 stride-1 stem and no early pooling, for images under 64 pixels."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from bench.models.swap import replace
from bench.schema.errors import RequestError

# ResNet-34 on CIFAR-100 reaches 59.8 with its stem for 224 pixels, 75.9 with a small one (timm issue 2481).

HAVE_ONE = "resnet, resnext, densenet, vgg, mobilenet, efficientnet, convnext, vit, alexnet, squeezenet, googlenet"


def small_stem(net: nn.Module, name: str, least: Callable[[], int]) -> None:
    """Change a network's stem in place.

    The first convolution gets stride 1 and, where it is larger, a 3x3 kernel with new weights; a pooling right
    after it goes. vgg, whose first convolutions are like that already, loses its first pooling; a vit gets
    patches of 4 pixels (when it is built).

    Args:
        least: pixels a side of the smallest image that the network takes with its own stem; asked for an error only.

    Raises:
        RequestError: the network has no stem that could be made small.
    """
    change, cut = STEMS.get(type(net).__name__), patches(net)
    if change is None or (type(net).__name__ == "VisionTransformer" and (cut is None or cut.stride != (4, 4))):
        raise RequestError(
            f"model.stem=small cannot be made for {name}. It can for {HAVE_ONE}. Otherwise leave it native and enlarge "
            f"the images: transfer.size={max(least(), 32)} or more."
        )
    change(net)


def patches(net: nn.Module) -> nn.Conv2d | None:
    """The convolution that cuts images into patches, each seen once; None where there is none, or one on features.

    It is the first one of a network, be it a transformer's or the stem of a ConvNeXt.
    """
    embed = getattr(net, "patch_embed", None)
    cut = getattr(embed, "proj", None) or next((m for m in net.modules() if isinstance(m, nn.Conv2d)), None)
    if not isinstance(cut, nn.Conv2d) or hasattr(embed, "backbone") or getattr(embed, "dynamic_img_pad", False):
        return None
    return cut if cut.kernel_size == cut.stride and not any(cut.padding) else None


def _convolution(net: nn.Module, path: str) -> None:
    """Stride 1, and 3x3 where the kernel is larger."""
    old = net.get_submodule(path)
    if not isinstance(old, nn.Conv2d):  # a deep stem: its first convolution has the stride
        inner = next(n for n, m in old.named_modules() if isinstance(m, nn.Conv2d))
        return _convolution(net, f"{path}.{inner}")
    if max(old.kernel_size) <= 3:
        old.stride = (1, 1)
        return None
    new = nn.Conv2d(
        old.in_channels, old.out_channels, 3, padding=1, bias=old.bias is not None, device=old.weight.device
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    replace(net, path, new)
    return None


def _without(convolution: str, pooling: str = "") -> Callable[[nn.Module], None]:
    def change(net: nn.Module) -> None:
        _convolution(net, convolution)
        if pooling:
            replace(net, pooling, nn.Identity())

    return change


def _vgg(net: nn.Module) -> None:
    features = net.get_submodule("features")
    first = next(name for name, m in features.named_children() if isinstance(m, nn.MaxPool2d))
    replace(features, first, nn.Identity())


# Class of the network -> what makes its stem small.
STEMS: dict[str, Callable[[nn.Module], None]] = {
    "ResNet": _without("conv1", "maxpool"),
    "DenseNet": _without("features.conv0", "features.pool0"),
    "VGG": _vgg,
    "EfficientNet": _without("conv_stem"),  # mobilenetv2 too
    "MobileNetV3": _without("conv_stem"),
    "ConvNeXt": _without("stem.0"),
    "VisionTransformer": lambda _net: None,
    "AlexNet": _without("features.0", "features.2"),
    "SqueezeNet": _without("features.0", "features.2"),
    "GoogLeNet": _without("conv1.conv", "maxpool1"),
}
