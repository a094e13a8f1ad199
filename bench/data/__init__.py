"""Images, splits, pixel_norm, augmentation and batches: from a Dataset to what training reads.

- imagedata: ImageData, the contract between this room and the next.
- sources/: where images come from, one file per kind of origin; decode and files read image files for all of them.
- cache: decoded images as one uint8 memory map per set, shared by processes.
- splits: train, val and test.
- loading: `load`, `fingerprint` and `test_fingerprint`, offered here. No torch.
- pixel_norm: `make(pixel_norm, data)`, uint8 [B, C, H, W] -> float32.
- augment: `make(augment, data)`, `augment(images, labels, generator(seed, epoch, step, count))` on a batch.
- batches: `Batches`, a re-iterable over whole-tensor batches, each sample exactly once on any number of devices.
- finding, leaks, label_changes, protocol: the protocol lint, `lint(experiments, data, keys)`.
- inspection, preview, catalog: what `bench data` says, draws and knows.
- corrupt: changes to test images, by name and severity.
- stream, decoding: images that stay in their files, and the worker processes that decode them ahead of training.
"""

from bench.data.imagedata import ImageData
from bench.data.loading import fingerprint, load, test_fingerprint

__all__ = ["ImageData", "fingerprint", "load", "test_fingerprint"]
