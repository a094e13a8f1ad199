"""The registry: where each named model comes from, and what was published about it.

Its settings are in conf/model/<name>.yaml. Other models of timm need no entry: `model=timm model.name=...`.
"""

from __future__ import annotations

from dataclasses import dataclass

IMAGENET, CIFAR, MNIST = (3, 224, 224), (3, 32, 32), (1, 28, 28)


@dataclass(frozen=True)
class Entry:
    """A model with a config of its own.

    Attributes:
        paper: authors and arXiv number, or where it appeared.
        input: (C, H, W) of its paper's images; parameters and FLOPs are for these.
        classes: of its paper's task.
        published: parameters as the paper states them, or the library's own table (mobilenets, whose papers
            round otherwise); None where no number is stated.
        min_size: side of the smallest square image worth giving it: what it takes, and no less than its total stride.
        pretrained: whether weights are published where the model comes from.
    """

    name: str
    paper: str
    year: int
    input: tuple[int, int, int] = IMAGENET
    classes: int = 1000
    published: str | None = None
    min_size: int = 32
    pretrained: bool = False


VGG = "Simonyan & Zisserman, arXiv:1409.1556"
VGG_BN = "Simonyan & Zisserman, arXiv:1409.1556; with batch norm, arXiv:1502.03167"
RESNET = "He et al., arXiv:1512.03385"
RESNET_SMALL = "He et al., arXiv:1512.03385, section 4.2"
MOBILENET3 = "Howard et al., arXiv:1905.02244"


def _small_resnet(name: str, published: str | None) -> Entry:
    return Entry(name, RESNET_SMALL, 2015, CIFAR, 10, published, min_size=4)


def _timm(name: str, paper: str, year: int, published: str | None, **more: int) -> Entry:
    return Entry(name, paper, year, published=published, pretrained=True, **more)  # type: ignore[arg-type]


ENTRIES = (
    Entry("knn", "Cover & Hart, IEEE Trans. Inf. Theory 13(1)", 1967, MNIST, 10, "0", 1),
    Entry("ncm", "Mensink et al., IEEE TPAMI 35(11)", 2013, MNIST, 10, "0", 1),
    Entry("linear", "Cox, J. R. Stat. Soc. B 20(2)", 1958, MNIST, 10, "7850", 1),
    Entry("dnn", "Rumelhart et al., Nature 323", 1986, MNIST, 10, None, 1),
    Entry("cnn", "LeCun et al., Proc. IEEE 86(11)", 1998, MNIST, 10, None, 4),
    _small_resnet("plain", "0.27M"),
    _small_resnet("resnet", "0.27M"),
    _small_resnet("resnet20", "0.27M"),
    _small_resnet("resnet32", "0.46M"),
    _small_resnet("resnet44", "0.66M"),
    _small_resnet("resnet56", "0.85M"),
    _small_resnet("resnet110", "1.7M"),
    Entry("fractalnet", "Larsson et al., arXiv:1605.07648", 2016, CIFAR, 10, None, 32),
    Entry(
        "alexnet",
        "Krizhevsky et al., NeurIPS 2012; arXiv:1404.5997",
        2012,
        published="61.1M",
        min_size=63,
        pretrained=True,
    ),
    Entry("squeezenet1_1", "Iandola et al., arXiv:1602.07360", 2016, published="1.24M", min_size=17, pretrained=True),
    Entry("googlenet", "Szegedy et al., arXiv:1409.4842", 2014, published="6.6M", pretrained=True),
    _timm("vgg11", VGG, 2014, "133M"),
    _timm("vgg13", VGG, 2014, "133M"),
    _timm("vgg16", VGG, 2014, "138.4M"),
    _timm("vgg19", VGG, 2014, "144M"),
    _timm("vgg11_bn", VGG_BN, 2015, None),
    _timm("vgg13_bn", VGG_BN, 2015, None),
    _timm("vgg16_bn", VGG_BN, 2015, None),
    _timm("vgg19_bn", VGG_BN, 2015, None),
    _timm("resnet18", RESNET, 2015, "11.7M"),
    _timm("resnet34", RESNET, 2015, "21.8M"),
    _timm("resnet50", RESNET, 2015, "25.6M"),
    _timm("resnet101", RESNET, 2015, "44.5M"),
    _timm("resnet152", RESNET, 2015, "60.2M"),
    _timm("resnext50", "Xie et al., arXiv:1611.05431", 2016, "25.0M"),
    _timm("densenet121", "Huang et al., arXiv:1608.06993", 2016, "7.98M"),
    Entry("inception_v3", "Szegedy et al., arXiv:1512.00567", 2015, (3, 299, 299), 1000, "23.8M", 75, True),
    _timm("mobilenetv2", "Sandler et al., arXiv:1801.04381", 2018, "3.50M"),
    _timm("mobilenetv3_small", MOBILENET3, 2019, "2.54M"),
    _timm("mobilenetv3_large", MOBILENET3, 2019, "5.48M"),
    _timm("efficientnet_b0", "Tan & Le, arXiv:1905.11946", 2019, "5.3M"),
    _timm("efficientnet_lite0", "Tan & Le, arXiv:1905.11946; without gates and SiLU", 2020, "4.7M"),
    _timm("convnext_tiny", "Liu et al., arXiv:2201.03545", 2022, "28.6M"),
    _timm("vit_tiny", "Dosovitskiy et al., arXiv:2010.11929; size of arXiv:2012.12877", 2020, "5.7M", min_size=16),
)

REGISTRY: dict[str, Entry] = {entry.name: entry for entry in ENTRIES}
