"""resnet, plain and fractalnet: published sizes, shortcuts, stochastic depth, drop-path."""

import pytest
import torch

from bench.models import build
from bench.models.cost import parameters
from bench.models.fractal import join
from bench.models.layers import DropPath
from bench.models.resnet import Subsample
from tests.models.experiments import make

CIFAR = (3, 32, 32)


@pytest.mark.parametrize(
    ("depth", "millions", "digits"), [(20, 0.27, 2), (32, 0.46, 2), (44, 0.66, 2), (56, 0.85, 2), (110, 1.7, 1)]
)
def test_parameters_are_those_of_he_et_al_table_6(depth, millions, digits):
    nets = [build(make({"family": "resnet", "depth": depth, "shortcut": s}), CIFAR, 10) for s in ("A", "none")]
    assert {round(parameters(net) / 1e6, digits) for net in nets} == {millions}  # shortcut A is free


def test_shortcut_b_adds_two_projections_with_their_norms():
    a, b = (parameters(build(make({"family": "resnet", "shortcut": s}), CIFAR, 10)) for s in "AB")
    assert b - a == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64


def test_depth_counts_the_layers_with_weights():
    net = build(make({"family": "resnet", "depth": 32}), CIFAR, 10)
    assert sum(isinstance(m, torch.nn.Conv2d | torch.nn.Linear) for m in net.modules()) == 32


def test_shortcut_a_takes_every_second_pixel_and_adds_zeros():
    x = torch.rand(2, 3, 5, 6)
    out = Subsample(2, 4)(x)
    assert out.shape == (2, 7, 3, 3)
    assert torch.equal(out[:, :3], x[..., ::2, ::2])
    assert not out[:, 3:].any()


@pytest.mark.parametrize("kind", ["none", "weight", "selu"])
def test_residual_blocks_without_a_norm_start_as_the_identity(kind):
    net = build(make({"family": "resnet"}, kind), CIFAR, 10).eval()
    block = net.stage1[0]
    x = torch.rand(2, 16, 8, 8)
    assert torch.allclose(block(x), block.act(x))
    net.train()(torch.rand(2, *CIFAR)).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_plain_differs_from_resnet_by_the_shortcut_alone():
    residual, plain = (build(make({"family": "resnet", "shortcut": s}), CIFAR, 10) for s in ("A", "none"))
    plain.load_state_dict(residual.state_dict())
    block, same = residual.stage1[0].eval(), plain.stage1[0].eval()
    x = torch.rand(2, 16, 8, 8)
    f = block.conv2(block.conv1(x))
    assert torch.allclose(block(x), torch.relu(x + f))
    assert torch.allclose(same(x), torch.relu(f))


def test_stochastic_depth_rises_linearly_and_keeps_the_expectation():
    net = build(make({"family": "resnet", "drop_path": 0.9}), CIFAR, 10)
    rates = [m.rate for m in net.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.9 * i / 9 for i in range(1, 10)])
    torch.manual_seed(0)
    x = torch.ones(20_000, 2)
    out = DropPath(0.25).train()(x)
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert out.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(out[:, 0], out[:, 1])  # an image is dropped as a whole
    assert torch.equal(DropPath(0.25).eval()(x), x)


def fractal(**settings):
    return build(make({"family": "fractalnet", "filters": [4, 6], "columns": 3, **settings}), (1, 9, 9), 5)


def test_fractal_block_has_columns_of_1_2_4_convolutions_joined_by_their_mean():
    block = fractal().eval().block1
    one, two, three = block.column1, block.column2, block.column3
    x = torch.rand(3, 1, 9, 9)
    half = (two[0](x) + three[1](three[0](x))) / 2
    expected = (one(x) + two[1](half) + three[3](three[2](half))) / 3
    assert torch.allclose(block(x, None, 0.0), expected, atol=1e-6)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_global_drop_path_leaves_one_column(column):
    block = fractal().eval().block1
    x = torch.rand(3, 1, 9, 9)
    alone = block.get_submodule(f"column{column + 1}")(x)
    assert torch.allclose(block(x, torch.full((3,), column), 0.5), alone, atol=1e-6)


def test_local_drop_path_drops_each_input_with_its_rate_but_never_all():
    torch.manual_seed(0)
    inputs = [torch.full((5000, 1, 1, 1), float(2**i)) for i in range(3)]
    out = join(inputs, [0, 1, 2], torch.full((5000,), -1), 0.5).flatten()
    sums = {sum(c) / len(c) for c in ([1], [2], [4], [1, 2], [1, 4], [2, 4], [1, 2, 4])}
    assert {round(v, 4) for v in out.tolist()} == {round(v, 4) for v in sums}
    # alone: dropped 2 of 3 (1/8), or the one that survives when all would be dropped (1/24)
    assert (out == 1).float().mean().item() == pytest.approx(1 / 8 + 1 / 24, abs=0.02)


def test_fractalnet_trains_with_drop_path_and_evaluates_without():
    net = fractal(drop_path=0.3, dropout=0.4)
    x = torch.rand(8, 1, 9, 9)
    net.train()(x).sum().backward()
    net.eval()
    assert torch.equal(net(x), net(x))
    assert net.draw(4000, torch.device("cpu")).unique().tolist() == [-1, 0, 1, 2]
