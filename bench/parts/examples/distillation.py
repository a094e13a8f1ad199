"""Knowledge distillation from an earlier run of the store: training=NAME training.teacher=RUN."""

import torch
from torch.nn import functional

from bench.parts import training
from bench.reopen import open_run
from bench.track.store import Store


@training
class NAME:
    """What an earlier run's network says of an image is learned too (Hinton et al. 2015, arXiv:1503.02531).

    The teacher sees the inputs that the student sees: give both the same pixel_norm and size.
    """

    def __init__(self, *, teacher: str, temperature: float = 4.0, share: float = 0.9) -> None:
        self.teacher, self.temperature, self.share = teacher, temperature, share

    def start(self, net):
        """The teacher; what starts with an underscore is not kept in checkpoints."""
        device = next(net.parameters()).device
        self._teacher = open_run(Store(self.experiment.tracking.uri), self.teacher).net.to(device).eval()

    def loss(self, net, inputs, targets, criterion):
        """Cross-entropy with the labels, and with the teacher's softened scores."""
        logits, t = net(inputs), self.temperature
        with torch.no_grad():
            soft = (self._teacher(inputs) / t).softmax(1)
        distance = t**2 * functional.cross_entropy(logits / t, soft)
        return (1 - self.share) * criterion(logits, targets) + self.share * distance
