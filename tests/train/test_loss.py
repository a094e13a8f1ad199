"""Losses and penalties against their formulas."""

import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torch import nn

from bench.models.norm_layer import normalise_weight
from bench.schema.training import Optim
from bench.train.loss import criterion, make

torch.manual_seed(0)
LOGITS, LABELS = torch.randn(50, 4), torch.randint(4, (50,))
ONE_HOT = nn.functional.one_hot(LABELS, 4).double()
LOSSES = ["cross_entropy", "mse", "bce"]


def test_cross_entropy_is_sklearns_log_loss():
    found = criterion(Optim())(LOGITS.double(), LABELS)
    assert found.item() == pytest.approx(log_loss(LABELS, LOGITS.double().softmax(1), labels=range(4)))


def test_mse_is_sklearns_brier_score_over_classes():
    probabilities = LOGITS.double().softmax(1)
    expected = sum(brier_score_loss(ONE_HOT[:, k], probabilities[:, k]) for k in range(4)) / 4
    assert criterion(Optim(loss="mse"))(LOGITS.double(), LABELS).item() == pytest.approx(expected)


def test_bce_is_the_mean_of_sklearns_log_losses():
    sigmoid = LOGITS.double().sigmoid()
    expected = sum(log_loss(ONE_HOT[:, k], sigmoid[:, k], labels=[0, 1]) for k in range(4)) / 4
    assert criterion(Optim(loss="bce"))(LOGITS.double(), LABELS).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_label_smoothing_is_a_loss_on_smoothed_targets(loss):
    smoothed = ONE_HOT * 0.9 + 0.1 / 4
    expected = criterion(Optim(loss=loss))(LOGITS.double(), smoothed)
    found = criterion(Optim(loss=loss, label_smoothing=0.1))(LOGITS.double(), LABELS)
    assert found.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("loss", LOSSES)
def test_labels_and_their_one_hot_targets_give_the_same(loss):
    a, b = (criterion(Optim(loss=loss))(LOGITS.double(), t).item() for t in (LABELS, ONE_HOT))
    assert a == pytest.approx(b)


def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), normalise_weight(nn.Linear(8, 4)))


@pytest.mark.parametrize("loss", LOSSES)
def test_penalties_count_weights_of_convolutions_and_affine_layers_alone(loss):
    net = network()
    plain, penalised = (make(Optim(loss=loss, l1=a, l2=b), net)(LOGITS, LABELS) for a, b in ((0.0, 0.0), (0.1, 0.2)))
    weights = torch.cat([net[0].weight.flatten(), net[3].weight.flatten()])
    expected = 0.1 * weights.abs().sum() + 0.2 * weights.square().sum()
    assert (penalised - plain).item() == pytest.approx(expected.item(), rel=1e-5)


def test_frozen_layers_are_not_penalised():
    net = network()
    for p in net.parameters():
        p.requires_grad_(False)
    assert make(Optim(l1=1.0), net)(LOGITS, LABELS) == make(Optim(), net)(LOGITS, LABELS)


def test_weight_decay_of_sgd_is_half_an_l2_penalty():
    def step(optim):
        torch.manual_seed(1)
        layer = nn.Linear(3, 4, bias=False)
        make(optim, layer)(layer(torch.ones(2, 3)), torch.tensor([0, 1])).backward()
        torch.optim.SGD(layer.parameters(), 0.1, weight_decay=optim.weight_decay).step()
        return layer.weight.detach()

    assert torch.allclose(step(Optim(name="sgd", weight_decay=0.2)), step(Optim(name="sgd", l2=0.1)))
