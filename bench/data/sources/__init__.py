"""The sources of images: `SOURCES` maps `dataset.source` to how it is read.

- contract: what a source owes. bundled, fashion_mnist, torchvision_sets, shapes, plane, huggingface: one each.
- folder, csv: the user's own files, which files reads; entries, layout: of a folder; columns, places: of a list;
  hub_folder, hub_files, hub_columns: of a set for the hub; split_names: what people call train, val and test;
  classes: the order of class names, those that are one but for their spelling or none; companions: files named after
  others; lost: classes and splits of which bad files left nothing.
- fetch: the bytes of a path or an address. scan: hash and header of each file, read once and remembered.
- decode: image files to uint8 pixels by one rule; depth: those of more than 8 bits; formats: what is no image;
  damage: what is no whole one; tiff: what the directory of a TIFF says.
- idx, checksums: for published files.
"""

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
