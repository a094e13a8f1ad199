"""The model families and their settings. Which names exist beyond these families is the registry's business."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bench.schema.own import Own, own_or_named
from bench.schema.part import part

Activation = Literal["linear", "relu", "sigmoid", "tanh", "leaky_relu", "gelu", "elu", "selu"]  # after each norm
Positive = Annotated[int, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, lt=1)]  # how often a unit or block is left out
Norm = Literal["native", "none", "batch", "layer", "group", "instance", "weight", "selu", "own"]

NO_NORMS = ("none",)  # nothing inside to normalise
ALL_NORMS = ("none", "batch", "layer", "group", "instance", "weight", "selu")


@part
class Knn:
    """k nearest neighbours on pixels (Cover & Hart 1967); class scores are the neighbours' votes."""

    norm_layers: ClassVar[tuple[str, ...]] = NO_NORMS
    native_norm: ClassVar[str] = "none"
    family: Literal["knn"]
    k: Positive = 5  # how many neighbours vote
    metric: Literal["l1", "l2", "cosine"] = "l2"  # distance between images
    weights: Literal["uniform", "distance"] = "uniform"  # of a vote: one each, or by closeness


@part
class Ncm:
    """Nearest class mean: the class whose mean of the training images is nearest (Mensink et al. 2013)."""

    norm_layers: ClassVar[tuple[str, ...]] = NO_NORMS
    native_norm: ClassVar[str] = "none"
    family: Literal["ncm"]
    metric: Literal["l2", "cosine"] = "l2"  # distance to a mean


@part
class Linear:
    """One affine map from the pixels: multinomial logistic regression."""

    norm_layers: ClassVar[tuple[str, ...]] = NO_NORMS
    native_norm: ClassVar[str] = "none"
    family: Literal["linear"]


@part
class Dnn:
    """Fully connected layers, each followed by norm_layer, activation and dropout."""

    # No instance norm: one unit of one image is a single number.
    norm_layers: ClassVar[tuple[str, ...]] = tuple(n for n in ALL_NORMS if n != "instance")
    native_norm: ClassVar[str] = "none"
    family: Literal["dnn"]
    hidden: tuple[Positive, ...] = (400, 100)  # units of each hidden layer
    activation: Activation = "relu"
    dropout: Probability = 0.0


@part
class Cnn:
    """The teaching network: convolutions, each with norm_layer, activation, pooling; then dense layers.

    `same` padding keeps ceil(side / stride) pixels. Dropout follows the dense layers.
    """

    norm_layers: ClassVar[tuple[str, ...]] = ALL_NORMS
    native_norm: ClassVar[str] = "none"
    family: Literal["cnn"]
    filters: tuple[Positive, ...] = (32, 64)  # of each convolution
    kernels: tuple[Positive, ...] = (8, 4)  # side of each convolution's filters
    stride: Positive = 1  # of the convolutions
    # At the edges: as many pixels as before, or only where the filter fits.
    padding: Literal["same", "valid"] = "same"
    pooling: Literal["max", "average", "none"] = "max"  # after each convolution
    pool_size: Positive = 2  # side and stride of the pooling
    dense: tuple[Positive, ...] = (128,)  # units of each layer after the convolutions
    activation: Activation = "relu"
    dropout: Probability = 0.0

    def __post_init__(self) -> None:
        if len(self.filters) != len(self.kernels):
            raise ValueError(
                f"filters and kernels must be equally long, got {len(self.filters)} and {len(self.kernels)}."
            )


@part
class Resnet:
    """Residual network for small images, 6n+2 layers deep (He et al. 2015, arXiv:1512.03385, section 4.2)."""

    norm_layers: ClassVar[tuple[str, ...]] = ALL_NORMS
    native_norm: ClassVar[str] = "batch"
    family: Literal["resnet"]
    depth: Annotated[int, Field(ge=8)] = 20  # 6n+2: a first convolution, 3 stages of n blocks of two, the head
    shortcut: Literal["A", "B", "none"] = "A"  # A: zero-padded identity; B: projection; none: the plain network
    width: Positive = 16  # filters of the first stage; doubled in the second and third
    drop_path: Probability = 0.0  # stochastic depth: how often the last block is skipped, rising linearly from 0
    activation: Activation = "relu"
    dropout: Probability = 0.0  # before the head

    def __post_init__(self) -> None:
        if (self.depth - 2) % 6:
            below = self.depth - (self.depth - 2) % 6
            raise ValueError(f"depth must be 6n+2, got {self.depth}; near it are {below} and {below + 6}.")
        if self.drop_path and self.shortcut == "none":
            raise ValueError("drop_path needs shortcuts: without them a skipped block leaves nothing to pass on.")


@part
class Fractal:
    """FractalNet (Larsson et al. 2016, arXiv:1605.07648): blocks of columns of 1, 2, 4, ... convolutions."""

    norm_layers: ClassVar[tuple[str, ...]] = ALL_NORMS
    native_norm: ClassVar[str] = "batch"
    family: Literal["fractalnet"]
    filters: tuple[Positive, ...] = (64, 128, 256, 512, 512)  # one block each, with a 2x2 max pooling after it
    columns: Annotated[int, Field(gt=0, le=6)] = 3  # paths of different depth in each block
    drop_path: Probability = 0.0  # local: how often a join drops each of its inputs; half the images: one column only
    activation: Activation = "relu"
    dropout: Probability = 0.0  # after the last block, rising linearly from 0 after the first

    def __post_init__(self) -> None:
        if not self.filters:
            raise ValueError("filters must name at least one block.")


@part
class Timm:
    """Any model of timm, by its name there."""

    norm_layers: ClassVar[tuple[str, ...]] = ALL_NORMS  # what the named model takes is checked when it is built
    native_norm: ClassVar[str] = "native"
    family: Literal["timm"]
    name: str  # as `bench models` and timm call it
    stem: Literal["native", "small"] = "native"  # small: 3x3 stride-1 stem and no early pooling
    activation: Activation | None = None  # None: the model's own
    dropout: Probability = 0.0  # where the model has it, mostly before the head; 0: nowhere, whatever timm's default
    drop_path: Probability = 0.0  # stochastic depth, as in `Resnet`; 0: none, where timm's default is another too
    own: Own | None = None  # where a file of the user's registers it


@part
class Torchvision:
    """The models of torchvision that timm does not have."""

    norm_layers: ClassVar[tuple[str, ...]] = ALL_NORMS
    native_norm: ClassVar[str] = "native"
    family: Literal["torchvision"]
    name: Literal["alexnet", "squeezenet1_1", "googlenet"]  # as torchvision calls it
    stem: Literal["native", "small"] = "native"
    activation: Activation | None = None
    dropout: Probability | None = None  # None: the model's own


@part
class OwnModel:
    """A network of somebody's own (`bench.parts`)."""

    family: Literal["own"]
    own: Own

    @property
    def name(self) -> str:
        """As `model=NAME` has it."""
        return self.own.name

    @property
    def norm_layers(self) -> tuple[str, ...]:
        """Those that it takes besides native."""
        return tuple(self.own.says("norm_layers", ()))

    @property
    def native_norm(self) -> str:
        """What norm_layer=native means; `native` where the network makes its norms itself."""
        return str(self.own.says("native", "native"))


Model = Annotated[
    Knn | Ncm | Linear | Dnn | Cnn | Resnet | Fractal | Timm | Torchvision | OwnModel,
    Field(discriminator="family"),
]


@part
class NormLayer:
    """What normalises activations inside the network; `native` is what the model's paper has."""

    name: Norm = "native"  # what stands where a norm stands
    own: Own | None = None
    groups: Positive = 32  # group: at most so many, of two channels or more: the largest number that divides them

    def __post_init__(self) -> None:
        own_or_named(self.name, self.own, "norm_layer")
