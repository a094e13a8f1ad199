"""What a run would refuse once its images are there and its network is built, found without memory or training."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from bench import data as images
from bench.data.cuts import bounds
from bench.data.finding import Finding
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.model import Cnn, Dnn, Linear, Resnet
from bench.schema.own import own_parts

if TYPE_CHECKING:
    from torch import nn

    from bench.data.imagedata import ImageData

SIMPLE = ("sgd", "adam", "adamw")  # which take every setting of an optimizer but, maybe, betas and eps
SAFE_NORMS = ("native", "none", "batch", "layer", "weight", "selu")  # of own networks, whatever the images


def refusals(experiments: Sequence[Experiment]) -> list[Finding]:
    """A finding for each reason: an error where nothing is left to run, else a warning, as the others have results.

    Experiments with own parts are left to `bench.rehearsal.rehearse`, which runs them.

    Raises:
        RequestError: as loading the data does.
    """
    look, found = _Look(), []
    for exp in experiments:
        if exp.model.family not in ("knn", "ncm") and not own_parts(exp):
            data = images.load(exp.dataset, exp.split)
            found.append(look.refusal(exp, data) if _may_be_refused(exp, data) else None)
    counted, count = Counter(reason for reason in found if reason is not None), len(experiments)
    nothing_left = counted.total() == count
    return [
        Finding(
            "cannot_run",
            "error" if nothing_left else "warning",
            reason if count == 1 else f"{times} of {count} runs: {reason}",
            "A run says the same, and trains nothing." if nothing_left else "Each will be a failed cell.",
        )
        for reason, times in counted.items()
    ]


def _may_be_refused(exp: Experiment, data: ImageData) -> bool:
    """Whether it takes the network to know: for most experiments it does not, and torch need not be imported."""
    model, optim, trainer = exp.model, exp.optim, exp.trainer
    if exp.transfer.mode != "scratch" or exp.norm_layer.name not in SAFE_NORMS:
        return True
    if optim.name not in SIMPLE or optim.betas is not None or optim.eps is not None:
        return True
    cuts = bounds(len(data.train), trainer.batch_size, drop_last=False)
    share = min(b - a for a, b in pairwise(cuts)) // (trainer.devices * trainer.num_nodes)
    if share < 2 * trainer.accumulate:  # batch norm may meet a single image
        return True
    if isinstance(model, Cnn) and model.padding == "same":
        pooled = model.stride * (1 if model.pooling == "none" else model.pool_size)
        side = min((exp.transfer.size,) if exp.transfer.size else data.shape[1:])
        return side < pooled ** len(model.filters)  # too few pixels may be left
    return not isinstance(model, Linear | Dnn | Resnet)


class _Look:
    """Builds each network once, whatever else varies."""

    def __init__(self) -> None:
        self.nets: dict[object, nn.Module | str | None] = {}
        self.known: dict[Experiment, str | None] = {}

    def refusal(self, exp: Experiment, data: ImageData) -> str | None:
        """What a run of the Experiment says in place of training; None where it trains, or where only that shows it."""
        exp = dataclasses.replace(exp, seed=0)
        if exp not in self.known:
            net = self._network(exp, data)
            if net is None or isinstance(net, str):
                self.known[exp] = net
            else:
                self.known[exp] = _untrainable(exp, data, net) if exp.trains else None
        return self.known[exp]

    def _network(self, exp: Experiment, data: ImageData) -> nn.Module | str | None:
        """The network, or why there is none; None where it cannot be looked at without memory."""
        import torch

        from bench import models
        from bench.models import transfer
        from bench.models.blank import undrawn

        what = (exp.model, exp.norm_layer, exp.transfer, data.shape, len(data.classes))
        if what not in self.nets:
            try:
                with torch.device("meta"), undrawn():  # the weights do not matter here
                    net = models.build(exp, data.shape, len(data.classes))
                transfer.freeze(net, exp.transfer)
                self.nets[what] = net
            except RequestError as error:
                self.nets[what] = str(error)
            except Exception:
                self.nets[what] = None
        return self.nets[what]


def _untrainable(exp: Experiment, data: ImageData, net: nn.Module) -> str | None:
    """Why a network that was built cannot be trained."""
    import torch

    from bench.models import preprocess, transfer
    from bench.train import loss, optim, parts

    settings = exp.trainer
    mode = partial(transfer.training_mode, transfer=exp.transfer, epoch=settings.epochs - 1)
    shape, world = preprocess.input_shape(exp, data.shape), settings.devices * settings.num_nodes
    try:
        parts.check(settings, net, shape, len(data.train), world, mode)
        loss.make(exp.optim, net, None, torch.from_numpy(data.labels[data.train]))
        optim.optimizer(exp.optim, transfer.groups(net, exp.transfer, exp.optim.lr), fused=False)
    except RequestError as error:
        return str(error)
    except Exception:  # of a network or an optimizer that needs numbers
        return None
    return None
