"""The loss: what is minimised, penalties on the weights included."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.parts.load import error_of, function
from bench.parts.signature import arguments
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment
from bench.schema.own import Own
from bench.schema.training import Optim

Loss = Callable[[Tensor, Tensor], Tensor]  # (logits [B, K], labels int64 [B] or targets [B, K]) -> mean over the batch


def make(optim: Optim, net: nn.Module, mine: Own | None = None, labels: Tensor | None = None) -> Loss:
    """The loss of `optim` on the outputs of `net`, with its penalties where there are any.

    Args:
        mine: a loss of somebody's own in place of `optim.loss`.
        labels: int64 [n] of the training images, for `optim.class_weights`.

    Raises:
        RequestError: for class weights with a loss of one's own, which gives one number for all images.
    """
    loss = criterion(optim) if mine is None else own_loss(mine)
    if optim.class_weights == "balanced":
        if mine is not None or labels is None:
            raise RequestError("optim.class_weights weighs optim.loss; a loss or training of one's own does it itself.")
        loss = class_weighted_loss(optim, labels)
    if not optim.l1 and not optim.l2:
        return loss
    layers = [m for m in net.modules() if _has_matrix(m)]

    def penalised(logits: Tensor, targets: Tensor) -> Tensor:
        return loss(logits, targets) + penalty(layers, optim.l1, optim.l2)

    return penalised


def criterion(optim: Optim, reduction: str = "mean") -> Loss:
    """The loss without penalties: the mean over the batch, or with `none` one number an image, [B].

    - cross_entropy: of the softmax, natural logarithm.
    - mse: squared distance of the softmax from the one-hot label, mean over the classes (Brier 1950, up to 1/K).
    - bce: binary cross-entropy of each class' sigmoid, mean over the classes.

    Label smoothing replaces the target t by (1 - s) t + s / K (Szegedy et al. 2015, arXiv:1512.00567, section 7).
    """
    smoothing, name = optim.label_smoothing, optim.loss

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        if name == "cross_entropy":
            return functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction=reduction)
        classes = logits.shape[1]
        if targets.dim() == 1:
            # one_hot looks at the values, and a GPU would have to be waited for.
            targets = targets[:, None] == torch.arange(classes, device=targets.device)
        # Not in a network's 16 bits, which have two or three digits.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        soft = targets.to(logits.dtype) * (1 - smoothing) + smoothing / classes
        if name == "mse":
            found = functional.mse_loss(logits.softmax(1), soft, reduction=reduction)
        else:
            found = functional.binary_cross_entropy_with_logits(logits, soft, reduction=reduction)
        return found if reduction == "mean" else found.mean(1)

    return loss


def own_loss(mine: Own) -> Loss:
    """A loss of somebody's own, held to what a loss is.

    Raises:
        RequestError: where the code is not there or has changed; in use where it fails or gives no number.
    """
    compute = function("loss", mine)
    settings = arguments(compute, mine.values, "loss")

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        try:
            found = compute(logits, targets, **settings)
        except RequestError:
            raise
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise error_of(f"loss '{mine.name}' cannot be computed", error) from error
        if not isinstance(found, Tensor) or found.dim():
            what = f"a tensor of {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise RequestError(f"loss '{mine.name}' gives back {what}. Expected one number, the mean over the batch.")
        if logits.requires_grad and not found.requires_grad:
            raise RequestError(f"loss '{mine.name}' gives back a number without a gradient, so that nothing is learnt: "
                               "no detach(), item(), argmax() or comparison may lie on the way.")  # fmt: skip
        return found

    return loss


def class_weighted_loss(optim: Optim, labels: Tensor) -> Loss:
    """The loss, each image counting n / (K n_k) for its class k, scikit-learn's `balanced`: the mean over a batch.

    It is divided by the number of images. torch's own weighted mean is divided by the sum of their weights, so that a
    common image counts more where rare ones are missing from its batch.

    An image of two labels, as mixup makes it, is the mixture of both labels' weighted losses (but for a constant with
    mse): its targets are weighed, and it counts by the mean weight of its labels.

    Args:
        labels: int64 [n] of the training images. A class without images has no weight.
    """
    each, counts = criterion(optim, reduction="none"), torch.bincount(labels.cpu())
    weights: dict[int, Tensor] = {}  # by the number of classes, which the outputs tell

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        classes = logits.shape[1]
        if classes not in weights:
            per = len(labels) / (classes * counts.clamp(min=1)) * (counts > 0)
            weights[classes] = functional.pad(per, (0, classes - len(per))).to(logits.device)
        if targets.dim() == 1:
            return (each(logits, targets) * weights[classes][targets]).mean()
        weighed = targets * weights[classes]
        mine = weighed.sum(1)
        return (each(logits, weighed / mine.clamp(min=1e-12)[:, None]) * mine).mean()

    return loss


def penalty(layers: list[nn.Module], l1: float, l2: float) -> Tensor:
    """l1 * sum |w| + l2 * sum w^2 over the weights of convolutions and affine layers that are being trained.

    Biases and norms are left out. `l2` differs from `optim.weight_decay` in a factor (weight decay d is the gradient
    of d/2 * sum w^2), in these exceptions, and in adam, which rescales a penalty's gradient but not adamw's decay.
    """
    # Read anew each time: under weight normalisation the weight is computed from what is trained.
    weights = [w for w in (_weight(layer) for layer in layers) if w.requires_grad]
    total = torch.zeros((), device=weights[0].device if weights else None)
    for weight in weights:
        if l1:
            total = total + l1 * weight.abs().sum()
        if l2:
            total = total + l2 * weight.square().sum()
    return total


def _has_matrix(module: nn.Module) -> bool:
    """Whether the module multiplies by a weight: convolutions and affine layers, not norms."""
    return isinstance(getattr(module, "weight", None), Tensor) and _weight(module).dim() > 1


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def minimises_nll(exp: Experiment) -> bool:
    """Whether the loss in training is the negative log-likelihood of the labels, and nothing is added to it."""
    optim, augment = exp.optim, exp.augment
    plain = optim.loss == "cross_entropy" and not (optim.label_smoothing or optim.l1 or optim.l2)
    plain = plain and optim.class_weights == "none" and exp.loss is None and exp.training is None
    return plain and exp.trainer.sampling == "shuffled" and not (augment.mixup or augment.cutmix)
