"""Transfer as a run: weights in, then the whole network trained, or only a head on features computed once."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import models
from bench.data import augment
from bench.data.augment import Augmentation
from bench.data.imagedata import ImageData
from bench.features import features
from bench.models import cost, origin, preprocess, transfer
from bench.models.heads import Backbone, Readout, readout
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.model import Knn, Ncm
from bench.schema.pixels import Augment
from bench.schema.science import science
from bench.schema.transfer import Transfer
from bench.train import distributed
from bench.train.examples import of_features
from bench.train.fabric import Fabric, launch
from bench.train.fit import Told, fit, fit_one
from bench.train.knn import device_of, score_folds, score_queries
from bench.train.memory import peak_memory_mb, reset_peak_memory
from bench.train.result import Result
from bench.train.scoring import score
from bench.train.single import Single

AT_ONCE = 64  # images through the whole network


def fit_transfer(
    exp: Experiment,
    data: ImageData,
    path: Path | None = None,
    on_epoch: Told | None = None,
    checkpoint: Path | None = None,
) -> Result:
    """The Result of an Experiment whose transfer.mode is not scratch.

    A frozen backbone's features are computed once, and the head is trained on them: the same numbers as with the
    backbone in every epoch, but for rounding. Where a network makes its logits of more than them (squeezenet, volo) the
    backbone runs in every epoch. With augmentation that holds for `transfer.views` views of every
    image, one of them drawn at random each time the image comes up; with views=0 the backbone runs in every epoch.

    Args:
        path: weights of the earlier run, for transfer.weights=run:ID; what they were trained with lies beside them.

    Raises:
        RequestError, RunFailed: see `bench.models.transfer.initialise` and `fit`.
    """
    exp = origin.resolve(exp, path)
    net = models.build(exp, data.shape, len(data.classes))
    digest = transfer.initialise(exp, net, path)
    return dataclasses.replace(_fit_from_weights(exp, data, net, on_epoch, checkpoint), started_from=digest)


def _fit_from_weights(
    exp: Experiment, data: ImageData, net: nn.Module, on_epoch: Told | None, checkpoint: Path | None
) -> Result:
    """From a network that holds the given weights."""
    if exp.transfer.mode != "frozen":
        return fit(exp, data, net, on_epoch, checkpoint)
    augmentation = augment.make(exp.augment, data)
    untrained = exp.transfer.head in ("knn", "ncm")
    if untrained and augmentation is not None:
        raise RequestError(f"transfer.head={exp.transfer.head} trains nothing, so nothing is augmented: augment=none.")
    if exp.augment.test_time and (augmentation is None or exp.transfer.views):
        raise RequestError(
            "augment.test_time needs the whole network for each view: with transfer.mode=frozen choose augment=... and "
            "transfer.views=0."
        )
    if augmentation is not None and exp.transfer.views and exp.metrics.train:
        raise RequestError(
            "train/... metrics are of the images as they are, and transfer.views keeps features of augmented ones: "
            "say transfer.views=0, or leave those metrics out."
        )
    if augmentation is not None and not exp.transfer.views:
        return fit(exp, data, net, on_epoch, checkpoint)
    part = readout(net, preprocess.make(exp, data)(torch.from_numpy(data.images[data.train[:2]])))
    if part is None and not untrained:  # more than the heads stands between features and logits
        if augmentation is not None:
            raise RequestError(
                f"transfer.views keeps features for the head alone, and {type(net).__name__} makes its logits of more "
                "than those. With transfer.views=0 the whole network runs in every epoch."
            )
        return fit(exp, data, net, on_epoch, checkpoint)
    if distributed.uses_several_devices(exp.trainer):
        raise RequestError("Features of a frozen backbone are computed on one device: set trainer.devices=1.")
    fabric = launch(exp.trainer)
    started = time.perf_counter()
    train, val, test = _features(exp, data, net, augmentation, fabric.device)
    seconds = time.perf_counter() - started
    flops = cost.flops(net, preprocess.input_shape(exp, data.shape))
    if untrained:
        result = _score_features(exp, data, train, val, test)
        params, more = cost.parameters(Backbone(net)), result.costs.pop("cost/flops")
    else:
        assert part is not None
        result = _head(exp, data, net, part, (train, val, test), fabric, on_epoch, checkpoint)
        params, more = cost.parameters(net), 0.0
        result.costs.pop("cost/flops", None)  # of the head alone
    costs = {**result.costs, "cost/params": float(params), "cost/feature_seconds": seconds}
    if flops is not None:
        costs["cost/flops"] = flops + more
    return dataclasses.replace(result, costs=costs)


def _features(
    exp: Experiment, data: ImageData, net: nn.Module, augmentation: Augmentation | None, device: torch.device
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Of train [n, D] (augmented: [n, views, D]), val and test [n, D]."""
    backbone, prepare = Backbone(net), preprocess.make(exp, data)
    flat = science(exp)
    built = {k: v for k, v in flat.items() if k.split(".")[0] in ("model", "norm_layer", "pixel_norm")}
    changed = {k: v for k, v in flat.items() if k.startswith("augment.")}
    views = exp.transfer.views if augmentation is not None else 0

    def of(split: str, augmented: bool, among: ImageData = data) -> NDArray[np.float32]:
        return features(
            among,
            split,
            backbone,
            prepare,
            device,
            json.dumps([built, changed if augmented else {}], sort_keys=True),
            cache=exp.transfer.cache,
            augment=augmentation if augmented else None,
            views=views if augmented else 0,
            seed=exp.seed,
        )

    if exp.split.kind == "kfold":  # one pass of the backbone serves all folds
        everything = of("train", False, dataclasses.replace(data, train=data.used))
        rest = [everything[np.searchsorted(data.used, data.split(name))] for name in ("train", "val", "test")]
        return of("train", True) if augmentation is not None else rest[0], rest[1], rest[2]
    return of("train", augmentation is not None), of("val", False), of("test", False)


def _head(
    exp: Experiment,
    data: ImageData,
    net: nn.Module,
    part: Readout,
    features: Sequence[NDArray[np.float32]],
    fabric: Fabric,
    on_epoch: Told | None,
    checkpoint: Path | None,
) -> Result:
    """The net's own head `part`, trained on features of train, val and test; the state is that of the whole net."""
    examples = of_features(data, features, fabric.device)
    alone_ = dataclasses.replace(exp, transfer=Transfer(), augment=Augment())
    result = fit_one(alone_, lambda: Single(alone_, part, examples, fabric), on_epoch, checkpoint)
    assert result.state is not None
    trained = part.rename(result.state)
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    assert trained.keys() <= whole.keys()
    net.load_state_dict({**whole, **trained})
    device = next(part.parameters()).device  # where `fit` left it; the backbone may never have been there
    net.to(device)
    prepare = preprocess.make(exp, data).to(device)
    trained_on = preprocess.as_input(prepare, preprocess.input_shape(exp, data.shape))

    def classify(images: Tensor) -> Tensor:
        images, everything = images.to(device), torch.arange(len(images))
        if not exp.trainer.precision.endswith("mixed"):
            return score(net, prepare, images, everything, AT_ONCE)
        # As val and test: features of 32 bits, and the head in the precision that it was trained in.
        net.eval()
        backbone = Backbone(net)
        return score(part, lambda rows: backbone(prepare(rows)), images, everything, AT_ONCE, fabric.autocast)

    return dataclasses.replace(result, state={**whole, **trained}, trained_on=trained_on, classify=classify)


def _score_features(
    exp: Experiment,
    data: ImageData,
    train: NDArray[np.float32],
    val: NDArray[np.float32],
    test: NDArray[np.float32],
) -> Result:
    """Nearest neighbours or class means among the features."""
    device, how = device_of(exp), exp.transfer
    reset_peak_memory(device)
    model: Knn | Ncm
    if how.head == "knn":
        model = Knn(family="knn", k=how.k, metric=how.metric, weights=how.votes)
        flops = 3.0 * train.size
    else:
        assert how.metric != "l1"
        model = Ncm(family="ncm", metric=how.metric)
        flops = 3.0 * train.shape[1] * len(data.classes)
    labels, classes = data.labels[data.train], len(data.classes)
    if how.cache and exp.split.folds_share_images and isinstance(model, Knn):
        order = np.argsort(np.concatenate([data.train, data.val, data.test]))
        scores, seconds = score_folds(model, np.concatenate([train, val, test])[order], data, device)
    else:
        scores, seconds = score_queries(model, train, labels, np.concatenate([val, test]), classes, device, how.cache)
    return Result(
        val_scores=scores[: len(val)],
        test_scores=scores[len(val) :],
        train_scores=score_queries(model, train, labels, train, classes, device, how.cache)[0]
        if exp.metrics.train
        else None,
        history=[],
        costs={
            "cost/flops": flops,
            "cost/fit_seconds": 0.0,
            "cost/images_per_second": (len(val) + len(test)) / seconds,
            "cost/peak_memory_mb": peak_memory_mb(device),
        },
        selected_epoch=0,
    )
