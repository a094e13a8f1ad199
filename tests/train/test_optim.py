"""Schedules against their formulas, and against PyTorch's own where it has them."""

import copy
import math
import pickle
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.schema.training import Optim
from bench.train.optim import factor, optimizer, schedule

STEPS = 100


def lrs(optim, steps=STEPS):
    """The lr of each step as training sees it."""
    made = optimizer(optim, [torch.nn.Parameter(torch.zeros(1))])
    plan = schedule(optim, made, steps)
    out = []
    for _ in range(steps):
        out.append(made.param_groups[0]["lr"])
        made.step()
        if plan is not None:
            plan.step()
    return out


def test_constant():
    assert lrs(Optim(lr=0.3)) == [0.3] * STEPS


def test_cosine_is_pytorchs():
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(reference, STEPS)
    expected = []
    for _ in range(STEPS):
        expected.append(reference.param_groups[0]["lr"])
        reference.step()
        plan.step()
    assert lrs(Optim(lr=0.3, schedule="cosine")) == pytest.approx(expected, abs=1e-12)


def test_onecycle_is_pytorchs():
    """PyTorch's runs over steps - 1, so that its last step is the lowest lr; ours is one step longer."""
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    # Over a long run the two meet: compare the share of the run that is done.
    steps = 10_000
    plan = torch.optim.lr_scheduler.OneCycleLR(reference, 0.3, total_steps=steps, div_factor=25, final_div_factor=1000,
                                               cycle_momentum=False)  # fmt: skip
    ours = factor(Optim(lr=0.3, schedule="onecycle"), steps)
    for step in range(steps):
        assert 0.3 * ours(step) == pytest.approx(reference.param_groups[0]["lr"], abs=2e-4)
        reference.step()
        plan.step()


def test_step_drops_at_each_interval():
    found = lrs(Optim(lr=1.0, schedule="step", step_every=0.25, step_factor=0.1))
    assert found == pytest.approx([1.0] * 25 + [0.1] * 25 + [0.01] * 25 + [0.001] * 25)


@pytest.mark.parametrize(("every", "drops"), [(0.33, 2), (0.3, 3), (0.4, 2), (0.5, 1), (0.195, 5), (0.99, 0), (0.9, 1)])
def test_step_does_not_drop_in_the_very_end(every, drops):
    """0.33 dropped a third time in the last percent."""
    values = lrs(Optim(lr=1.0, schedule="step", step_every=every, step_factor=0.1), 1000)
    assert len(set(values)) == 1 + drops


@given(
    warmup=st.floats(0, 0.9),
    steps=st.integers(1, 300),
    name=st.sampled_from(["constant", "cosine", "step", "linear"]),
)
def test_every_schedule_stays_within_the_lr_and_warms_up_linearly(warmup, steps, name):
    at = factor(Optim(schedule=name, warmup=warmup), steps)
    values = [at(step) for step in range(steps)]
    assert all(0 < v <= 1 + 1e-12 or (name in ("cosine", "linear") and v >= 0) for v in values)
    warm = round(warmup * steps)
    rises = [b - a for a, b in pairwise(values[:warm])]
    assert rises == pytest.approx([1 / warm] * len(rises)) if warm else True


def test_cosine_starts_after_the_warmup_and_ends_near_zero():
    at = factor(Optim(schedule="cosine", warmup=0.1), STEPS)
    assert at(9) == at(10) == 1.0
    assert at(55) == pytest.approx(0.5)
    assert at(99) == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_optimizers_are_pytorchs(name):
    """Ours against the plain ones of the paper's form, over steps with weight decay."""
    plain = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, foreach=False),
        "adam": lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.01, foreach=False),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01, foreach=False),
    }
    torch.manual_seed(0)
    start, target = torch.randn(5, 3), torch.randn(5, 3)
    mine, other = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    one, two = optimizer(Optim(name=name, lr=0.1, weight_decay=0.01), [mine]), plain[name]([other])
    for _ in range(20):
        for parameter, opt in ((mine, one), (other, two)):
            opt.zero_grad()
            ((parameter - target) ** 2).sum().backward()
            opt.step()
    torch.testing.assert_close(mine, other)


def test_an_optimizer_is_pickled_and_copied_with_its_weights_and_state():
    net = torch.nn.Linear(2, 1)
    made = optimizer(Optim(name="sgd", lr=0.1, momentum=0.9), net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    made.step()
    for copied, again in (copy.deepcopy((net, made)), pickle.loads(pickle.dumps((net, made)))):
        assert type(again) is type(made)
        assert again.param_groups[0]["params"][0] is copied.weight
        assert torch.equal(again.state[copied.weight]["momentum_buffer"], made.state[net.weight]["momentum_buffer"])
        copied.zero_grad()
        copied(torch.ones(1, 2)).sum().backward()
        again.step()
    made.step()
    assert torch.equal(copied.weight, net.weight)
