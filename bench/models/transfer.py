"""Transfer: weights into the backbone, a new head, and what of the network is trained when."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import nn

from bench.models import hashes, weights
from bench.models.heads import head_names
from bench.models.stages import Stage, stages
from bench.schema.errors import RequestError, unknown_name
from bench.schema.experiment import Experiment
from bench.schema.transfer import Transfer


def initialise(exp: Experiment, net: nn.Module, path: Path | None = None) -> str:
    """Put the weights that the Experiment names into the backbone of `net`, a network of `bench.models.build`.

    Args:
        path: the weights artifact of the run, for `transfer.weights=run:ID`; who calls knows the store.

    Returns:
        SHA-256 (hex) of the weights: of the file, for timm's of its tensors (`bench.models.hashes.digest`).

    Raises:
        RequestError: see `bench.models.weights`; for file: also when transfer.sha256 is missing, as the path
            alone does not say what was used.
    """
    transfer, name = exp.transfer, getattr(exp.model, "name", exp.model.family)
    kind, _, rest = transfer.weights.partition(":")
    if kind == "bundled":
        return weights.load_bundled(net, name, transfer.sha256)
    if kind == "timm":
        return weights.load_timm(net, name, transfer.sha256)
    if kind == "file":
        file = Path(os.path.expanduser(rest))
        if not transfer.sha256:
            raise RequestError(
                f"transfer.weights={transfer.weights} needs the file's hash, so that the run says what it used. "
                f"If this is the file that you mean: transfer.sha256={hashes.file_sha256(file)}"
            )
        return weights.load(net, file, transfer.sha256, transfer.entry)
    if path is None:
        raise RequestError(f"The weights of run {rest} were not found in the store.")
    return weights.load(net, path, transfer.sha256)


def with_head(net: nn.Module, transfer: Transfer, classes: int) -> nn.Module:
    """`net` with the head that `transfer` asks for: linear as built, or dense layers with ReLU between them.

    Raises:
        RequestError: for head=dnn where the model has more than one head, or its head is a convolution (squeezenet).
    """
    if transfer.mode == "scratch" or transfer.head != "dnn":
        return net
    name, *others = head_names(net)
    old = net.get_submodule(name)
    if others or not isinstance(old, nn.Linear):
        has = f"{len(others) + 1} heads" if others else type(old).__name__
        raise RequestError(f"transfer.head=dnn replaces one linear head; {type(net).__name__} has {has}.")
    net.set_submodule(name, dense_head(transfer, old.in_features, classes))
    return net


def dense_head(transfer: Transfer, features: int, classes: int) -> nn.Sequential:
    """Features [B, D] -> logits [B, K] through layers of `transfer.hidden` units with ReLU, He-initialised."""
    layers: list[nn.Module] = []
    for width in transfer.hidden:
        linear = nn.Linear(features, width)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, classes))


def freeze(net: nn.Module, transfer: Transfer, epoch: int = 0) -> None:
    """Make exactly those stages trainable that are to be trained in `epoch` (from 0): the others get no gradient."""
    if transfer.mode == "scratch":
        return
    parts = stages(net)
    first = first_trained(parts, transfer, epoch)
    for i, stage in enumerate(parts):
        for parameter in stage.parameters:
            parameter.requires_grad_(i >= first)


def training_mode(net: nn.Module, transfer: Transfer, epoch: int = 0) -> None:
    """Put `net` into the mode in which `epoch` (from 0) is trained; in place of `net.train()`.

    A frozen stage is in evaluation mode: its running statistics do not move and it drops nothing. With mode=frozen all
    but the heads is, what drops or normalises before them too; in the heads dropout and batch norm do what they do in
    training, as on features computed once.
    """
    net.train(transfer.mode != "frozen")
    if transfer.mode == "frozen":
        for head in head_names(net):
            net.get_submodule(head).train()
    elif transfer.mode != "scratch":
        parts = stages(net)
        for stage in parts[: first_trained(parts, transfer, epoch)]:
            for module in stage.modules:
                module.eval()


def first_trained(parts: list[Stage], transfer: Transfer, epoch: int) -> int:
    """The index of the first stage that is trained in `epoch`.

    Gradual unfreezing (Howard & Ruder 2018, arXiv:1801.06146): the head alone, then every `unfreeze_every`
    epochs one stage more towards the input, down to `trainable_from` (finetune: down to the first).
    """
    names = [stage.name for stage in parts]
    if transfer.mode == "frozen":
        return len(parts) - 1
    last = 0
    if transfer.mode == "partial":
        if transfer.trainable_from not in names:
            raise unknown_name("stage in transfer.trainable_from:", str(transfer.trainable_from), names)
        last = names.index(str(transfer.trainable_from))
    if not transfer.unfreeze_every:
        return last
    return max(last, len(parts) - 1 - epoch // transfer.unfreeze_every)


def groups(net: nn.Module, transfer: Transfer, lr: float) -> list[dict[str, Any]]:
    """Parameter groups for the optimizer: head at `lr`, backbone at `lr * lr_backbone`, weight decay as given.

    All that is trained at some time is in from the start; the optimizer skips what has no gradient yet.
    """
    if transfer.mode == "scratch":
        return [{"params": [p for p in net.parameters() if p.requires_grad]}]
    parts = stages(net)
    first = first_trained(parts, transfer, epoch=10**9)
    backbone = [p for stage in parts[first:-1] for p in stage.parameters]
    head: list[dict[str, Any]] = [{"params": list(parts[-1].parameters)}]
    return head + ([{"params": backbone, "lr": lr * transfer.lr_backbone}] if backbone else [])
