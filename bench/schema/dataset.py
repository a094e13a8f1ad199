"""Where images come from and how they are split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.schema.own import Own
from bench.schema.part import part

Positive = Annotated[int, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Side = Annotated[int, Field(ge=4, le=2048)]
OnBad = Literal["error", "skip"]  # a file that cannot be read: an error, or left out of every split and counted
Storage = Literal["map", "stream"]
# The values of images deeper than 8 bits that become 0 and 255. None: what the files say, else see the README.
Range = tuple[float, float] | None
# Processes that decode a stream. None: one for each core of the run; 0: the run's own process does it.
Workers = Annotated[int, Field(ge=0)] | None


@part
class Bundled:
    """Images that come with an installed package."""

    source: Literal["digits", "mnist5k"]


@part
class FashionMnist:
    """Fashion-MNIST (Xiao et al. 2017): Debian's files, a folder, else torchvision's download."""

    source: Literal["fashion_mnist"]
    root: str | None = None  # folder with the four IDX files, .gz or not


@part
class TorchvisionSet:
    """A set that torchvision reads and, where `root` does not hold it, downloads with checksums."""

    source: Literal[
        "mnist", "kmnist", "emnist_letters", "cifar10", "cifar100", "svhn", "stl10", "flowers102", "oxford_pets",
        "food101", "imagenette160", "imagenette320", "eurosat",
    ]  # fmt: skip
    root: str | None = None  # torchvision's root; None: the cache folder
    size: Side | None = None  # side in pixels; None: the set's own, or 128 where its images differ in size
    # The rest is for sets of image files (flowers102, oxford_pets, food101, imagenette, eurosat): see Folder.
    fit: Literal["crop", "squash", "pad"] = "crop"
    on_bad_image: OnBad = "error"
    storage: Storage = "map"
    workers: Workers = None
    range: Range = None


@part
class Folder:
    """The user's images: one sub-folder a class, or train/, val/ and test/ above them.

    Images of one size stay as they are; mixed ones are brought to 128 x 128. `fit` says how a size is reached:
    crop (shorter side, then the centre), squash, or pad (longer side, black borders).
    """

    source: Literal["folder"]
    root: str  # path of it
    size: Side | None = None
    fit: Literal["crop", "squash", "pad"] = "crop"
    colour: Literal["auto", "grey", "rgb"] = "auto"  # auto: grey where every image is
    on_bad_image: OnBad = "error"
    storage: Storage = "map"  # stream: decode in every epoch, for sets larger than the disk
    workers: Workers = None
    range: Range = None
    splits: Literal["auto", "none"] = "auto"  # none: the folders below root are classes, whatever they are called


@part
class Csv:
    """The user's images listed in a CSV file; local paths are relative to the file, others go through fsspec."""

    source: Literal["csv"]
    file: str  # path or URL
    path_column: str = "path"  # column with the path or address of each image
    label_column: str = "label"  # column with its class
    split_column: str | None = "split"  # values train, val, test or empty; it may be absent. None: draw the splits
    size: Side | None = None
    fit: Literal["crop", "squash", "pad"] = "crop"
    colour: Literal["auto", "grey", "rgb"] = "auto"
    on_bad_image: OnBad = "error"
    storage: Storage = "map"
    workers: Workers = None
    range: Range = None


@part
class HuggingFace:
    """A set of the Hugging Face hub, or a folder in its layout. Needs the extra `huggingface`."""

    source: Literal["huggingface"]
    name: str  # as the hub has it, or a folder in its layout
    config: str | None = None  # configuration of a set that has several
    revision: str | None = None  # a commit or tag: name one, or the content may change under the same name
    image_column: str = "image"  # column with the image
    label_column: str = "label"  # column with the class
    splits: tuple[str, ...] | None = None  # those to use, by name; None: all that are called train, val or test
    size: Side | None = None
    fit: Literal["crop", "squash", "pad"] = "crop"
    colour: Literal["auto", "grey", "rgb"] = "auto"
    on_bad_image: OnBad = "error"
    range: Range = None


ShapeName = Literal["circle", "square", "triangle", "cross", "star", "bar"]
ColourName = Literal["red", "green", "blue", "yellow", "magenta", "cyan", "white"]


@part
class Shapes:
    """Made images of one object each, whose factors are set one by one; `label` says which factor is the class.

    The factor that is the label takes as many values as it has classes: shapes and colours those listed,
    orientation 0, 45, 90 and 135 degrees, position four quadrants, size small, medium and large, brightness
    dark, medium and bright. Every other factor varies as its own setting says.
    """

    source: Literal["shapes"]
    count: Positive = 3000  # images in all
    side: Side = 32  # pixels
    seed: Seed = 0  # of all that is drawn
    # The factor that is the class.
    label: Literal["shape", "colour", "orientation", "position", "size", "brightness"] = "shape"
    # What is drawn.
    shapes: Annotated[tuple[ShapeName, ...], Field(min_length=1)] = ("circle", "square", "triangle", "cross", "star")
    # What it is drawn in.
    colours: Annotated[tuple[ColourName, ...], Field(min_length=1)] = ("red", "green", "blue", "yellow", "magenta")
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees, uniform in +-rotation
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.1  # fraction of the side, uniform in +-shift on both axes
    size: Annotated[float, Field(gt=0, le=1)] = 0.5  # the object's diameter as a fraction of the side
    size_range: Annotated[float, Field(ge=0, lt=1)] = 0.15  # relative, uniform in 1 +- size_range
    brightness: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the object, where 1 is its full colour
    brightness_range: Annotated[float, Field(ge=0, lt=1)] = 0.0  # relative, uniform in 1 +- brightness_range
    clutter: Annotated[int, Field(ge=0)] = 0  # strokes of random colours behind the object
    occlusion: Annotated[float, Field(ge=0, lt=1)] = 0.0  # fraction of the object's width hidden by a grey bar
    noise: Annotated[float, Field(ge=0, le=1)] = 0.02  # standard deviation of Gaussian noise on every pixel, of 255

    def __post_init__(self) -> None:
        for name in ("shapes", "colours"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name} names a value twice: {', '.join(values)}.")
        listed = {"shape": self.shapes, "colour": self.colours}.get(self.label)
        if listed is not None and len(listed) < 2:
            raise ValueError(f"label={self.label} needs at least two {self.label}s, got {len(listed)}.")


@part
class Plane:
    """Made points of the plane as images of 1 x 2 pixels (x and y in 0..255): cases no linear classifier solves.

    quadrants: the sign of x times y. ring: a disc and the ring around it. modes: three clusters against the rest
    of the square. spirals: two, wound around each other.
    """

    source: Literal["plane"]
    pattern: Literal["quadrants", "ring", "modes", "spirals"] = "quadrants"  # what tells the classes apart
    count: Positive = 2000  # points in all
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0  # standard deviation, where the square is [-1, 1] x [-1, 1]
    seed: Seed = 0  # of all that is drawn


@part
class OwnDataset:
    """A set that a function of somebody's own reads (`bench.parts`)."""

    source: Literal["own"]
    own: Own

    @property
    def name(self) -> str:
        """As `dataset=NAME` has it."""
        return self.own.name


Dataset = Annotated[
    Bundled | FashionMnist | TorchvisionSet | Folder | Csv | HuggingFace | Shapes | Plane | OwnDataset,
    Field(discriminator="source"),
]


@part
class Split:
    """Train, val and test, drawn with a seed of their own; an official test split stays the test split.

    kfold: one of `folds` equal parts is the test split, or the val split where an official test split exists.
    hash: the bytes of an image decide, so that a set that grows keeps its test images; not stratified.
    The training subset is nested: a smaller one lies inside a larger one of the same seed.
    """

    kind: Literal["holdout", "kfold", "hash"] = "holdout"  # how test and val are drawn
    val: Annotated[float, Field(gt=0, lt=1)] = 0.1  # fraction of what is not test
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2  # holdout: fraction of all, where there is no official test split
    folds: Annotated[int, Field(ge=2)] = 5  # kfold
    fold: Annotated[int, Field(ge=0)] = 0  # kfold: which one, from 0
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0  # of each class of the train split
    train_per_class: Positive | None = None  # images of each class of the train split
    # What belongs together and is never on two sides: a column of the list, `folder` (below the class), or a pattern of
    # the path such as */{group}_*.png.
    group: str | None = None
    # Share of the training images whose label is drawn anew, all classes alike (Zhang et al. 2016); val and test stay.
    # By the set's order: another image, and others are drawn, with split=hash too.
    label_noise: Probability = 0.0
    seed: Seed = 0  # of the split alone: the training seed is another

    def __post_init__(self) -> None:
        if self.fold >= self.folds:
            raise ValueError(
                f"fold counts from 0: expected 0..{self.folds - 1} for folds={self.folds}, got {self.fold}."
            )
        if self.kind != "kfold" and (self.folds, self.fold) != (5, 0):
            raise ValueError("folds and fold are for split=kfold.")
        if self.train_per_class is not None and self.train_fraction < 1:
            raise ValueError("train_fraction and train_per_class both choose the training subset: give one of them.")

    @property
    def folds_share_images(self) -> bool:
        """Whether all folds use the same images, so that one search serves them; a training subset differs in each."""
        return self.kind == "kfold" and self.train_per_class is None and self.train_fraction == 1
