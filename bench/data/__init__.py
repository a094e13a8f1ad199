"""Images, splits, pixel_norm, augmentation and batches: from a Dataset to what training reads.

- imagedata: ImageData, the contract between this room and the next.
- sources/: where images come from, one file per kind of origin; decode and files read image files for all of them.
- cache: decodes a set once into one uint8 memory map, shared by processes.
- entry: such a set, opened; its files are what was written, or they are not used.
- splits: train, val and test.
- groups: what belongs together and is never on two sides of a split.
- loading: `load`, `fingerprint` and `test_fingerprint`, offered here. No torch.
- pixel_norm: `make(pixel_norm, data)`, uint8 [B, C, H, W] -> float32.
- augment: `make(augment, data)`, `augment(images, labels, generator(seed, epoch, step, count))` on a batch.
- batches: `Batches`, a re-iterable over whole-tensor batches, each sample exactly once on any number of devices;
  cuts: where an epoch is cut into them. No torch.
- geometry, colour, policies, mixing: what augment is made of.
- protocol: the protocol lint, `lint(experiments, data, keys)`; finding: one doubt, and the names there are.
- leaks: shared images, exact copies and missing classes. near: images that look the same.
- reading: skipped files and what else a source noted. label_changes: augmentations that change what the label is.
- label_errors: labels that are probably wrong.
- inspection, preview, catalog: what `bench data` says, draws and knows.
- corrupt: changes to test images, by name and severity.
- stream, decoding: images that stay in their files, and the worker processes that decode them ahead of training.
"""

from bench.data.imagedata import ImageData
from bench.data.loading import fingerprint, load, test_fingerprint

__all__ = ["ImageData", "fingerprint", "load", "test_fingerprint"]
