"""The sources of images: `SOURCES` maps `dataset.source` to how it is read."""

from bench.data.sources import bundled, csv, fashion_mnist, folder, huggingface, own, plane, shapes, torchvision_sets
from bench.data.sources.contract import Source

SOURCES: dict[str, Source] = {
    "digits": bundled.DIGITS,
    "mnist5k": bundled.MNIST5K,
    "fashion_mnist": fashion_mnist.FASHION_MNIST,
    **dict.fromkeys(torchvision_sets.READERS, torchvision_sets.TORCHVISION),
    "folder": folder.FOLDER,
    "csv": csv.CSV,
    "huggingface": huggingface.HUGGINGFACE,
    "shapes": shapes.SHAPES,
    "plane": plane.PLANE,
    "own": own.OWN,
}
