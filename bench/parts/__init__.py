"""The door for code of one's own: a model, a dataset, a loss, ... in one file, used like those that come along.

    # parts/convmixer.py, in the working directory
    from torch import nn
    from bench.parts import model

    @model
    def convmixer(shape, classes, *, dim: int = 128, depth: int = 4) -> nn.Module:
        '''ConvMixer (Trockman & Kolter 2022, arXiv:2201.09792).'''
        ...

and then `bench run model=convmixer model.dim=64`.

How it works, by file:

- declare: the decorators. They mark a function and return it as it is, so that it can be called and tested.
- listing: which parts there are, ours (bench/shipped) and one's own, read from the files' syntax by
  `bench.schema.offered`. Nothing is imported, so planning stays without torch and a file that does not import disturbs
  nobody who does not ask for it. outline: the signature of one of ours, likewise without importing it.
- code: the hash of a part's code: its function, and what that uses of the user's own files, without comments,
  docstrings and layout; of an installed package its name and version. It is in the run key. use: what that is, from
  file to file. syntax: what a file's statements bind and may do. quoted: which files they name. data_files: what those
  hold. hints: type hints and the file's name, where nobody reads them. ordering: where code goes through a set. walk:
  the files below a folder. named: files that settings name.
- images: what an own dataset gives back. metrics: own metrics in the one table of metrics, without running them.
- source: the code as a run keeps it, and laid out again for `bench reproduce --with-parts`.
- load: importing the file, anew in each run, one module for all parts that import it, and refusing code that is not
  what the hash says. finders: where Python finds it, made from its text. patches: taking back what it put into
  libraries.
- reads: refusing files that the code reads and the hash does not know. watches: what was seen. whose: the user's, a
  library's or ours. environment: its variables. loaders: files that libraries open in C.
- signature: typed settings from the function's own signature.
- resolve: a composed configuration in which own parts are named, with each as a `bench.schema.own.Own`: plain data,
  which workers, launchers and records carry. Only who calls the code loads it.
- options: own parts as options of Hydra's groups (`model=convmixer`), by a config source of its own.

A room on the ground floor: every room may import it, it imports nothing of bench but schema.
Own code comes from the working directory's parts/, a folder named by --parts, or an installed package that offers
the entry point group `imagebench.parts`. Never from a store, a manifest or a download.
"""

from bench.parts.declare import (
    augmentation,
    corruption,
    dataset,
    loss,
    metric,
    model,
    norm_layer,
    optimizer,
    pixel_norm,
    schedule,
    training,
)
from bench.parts.images import Images

__all__ = [
    "Images",
    "augmentation",
    "corruption",
    "dataset",
    "loss",
    "metric",
    "model",
    "norm_layer",
    "optimizer",
    "pixel_norm",
    "schedule",
    "training",
]
