"""Every optimizer by its name; the further schedules against timm's and torch's."""

import math
import typing

import pytest
import timm.optim
import torch
from timm import scheduler as timm_schedules
from torch import nn

from bench.schema.errors import RequestError
from bench.schema.part import build
from bench.schema.training import Optim, Optimizer
from bench.train.optim import TORCH, factor, optimizer

NAMES = sorted({*typing.get_args(Optimizer)} - {"own"})  # own: a user's, see tests/parts
STEPS = 120


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_lowers_a_loss(name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3))
    images, labels = torch.randn(12, 1, 8, 8), torch.arange(12) % 3
    made = optimizer(Optim(name=name, lr=1e-3), net.parameters())
    losses = []

    def gradient():
        made.zero_grad()
        loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        losses.append(loss.item())
        return loss

    for _ in range(10):
        made.step(gradient)
    assert losses[-1] < losses[0]


def test_names_are_torchs_or_timms():
    assert {*TORCH, "sgd", "adam", "adamw"} <= {n.lower() for n in dir(torch.optim)}
    assert set(NAMES) <= {n.lower() for n in dir(torch.optim)} | set(timm.optim.list_optimizers())


def test_unknown_optimizers_and_missing_weight_decay_are_refused():
    with pytest.raises(RequestError, match="Did you mean 'adamw'"):
        build(Optim, {"name": "admw"})
    with pytest.raises(RequestError, match="rprop has none"):
        optimizer(Optim(name="rprop", weight_decay=0.1), nn.Linear(2, 2).parameters())


def reference(make):
    """lr / base lr at each step, of a scheduler of timm."""
    made = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    plan = make(made)
    out = []
    for t in range(STEPS):
        plan.step(t)
        out.append(made.param_groups[0]["lr"])
    return out


TIMM = {
    "tanh": (lambda o: timm_schedules.TanhLRScheduler(o, STEPS, lr_min=0.0), {}),
    "poly": (lambda o: timm_schedules.PolyLRScheduler(o, STEPS, power=0.5), {"power": 0.5}),
    "restarts": (
        lambda o: timm_schedules.CosineLRScheduler(o, STEPS // 4, lr_min=0.0, cycle_limit=4),
        {"cycles": 4},
    ),
}


@pytest.mark.parametrize("name", TIMM)
def test_schedules_are_timms(name):
    make, settings = TIMM[name]
    ours = factor(Optim(schedule=name, **settings), STEPS)
    assert [ours(t) for t in range(STEPS)] == pytest.approx(reference(make), abs=1e-6)


def test_linear_multistep_and_exponential_are_torchs():
    parameter = [nn.Parameter(torch.zeros(1))]
    for name, plan in (
        # timm drops one step earlier
        ("multistep", lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [60, 90])),
        ("linear", lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 1e-12, STEPS)),
        ("exponential", lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.1 ** (1 / (0.5 * STEPS)))),
    ):
        made = torch.optim.SGD(parameter, lr=1.0)
        scheduler = plan(made)
        ours = factor(Optim(schedule=name, step_every=0.5), STEPS)
        for t in range(STEPS):
            assert ours(t) == pytest.approx(made.param_groups[0]["lr"], abs=1e-9)
            made.step()
            scheduler.step()


def test_wsd_is_flat_and_falls_by_one_minus_the_square_root():
    ours = factor(Optim(schedule="wsd", cooldown=0.25, warmup=0.1), STEPS)
    found = [ours(t) for t in range(STEPS)]
    assert found[:12] == pytest.approx([(t + 1) / 12 for t in range(12)])
    assert found[12:91] == [1.0] * 79
    assert found[90:] == pytest.approx([1 - math.sqrt((t - 90) / 30) for t in range(90, STEPS)])
