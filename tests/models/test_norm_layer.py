"""Each norm_layer against its formula, in training and evaluation mode, and the initialisation that suits it."""

import math

import pytest
import torch
from torch import nn

from bench.models import build
from bench.models.layers import Layers
from bench.models.norm_layer import norm, normalise_weight
from bench.schema.model import NormLayer
from tests.models.experiments import MNIST, make

EPS = 1e-5


def standardised(x, dims):
    return (x - x.mean(dims, keepdim=True)) / torch.sqrt(x.var(dims, keepdim=True, unbiased=False) + EPS)


def filled(module):
    """The module with a scale and a shift that are not 1 and 0, and both, shaped for [B, C, ...]."""
    nn.init.uniform_(module.weight, 0.5, 2)
    nn.init.uniform_(module.bias, -1, 1)
    return module


@pytest.mark.parametrize("shape", [(5, 8), (5, 8, 6, 7)])
@pytest.mark.parametrize("kind", ["batch", "layer", "group", "instance"])
def test_norms_follow_their_formulas(kind, shape):
    torch.manual_seed(1)
    x = 3 * torch.randn(shape) + 2
    dim = len(shape) - 2
    made = norm(NormLayer(name=kind, groups=4), 8, dim)
    if kind == "instance" and dim == 0:
        assert made is None
        return
    filled(made)
    space = tuple(range(2, len(shape)))
    expected = {
        "batch": lambda: standardised(x, (0, *space)),
        "layer": lambda: standardised(x, (1, *space)),
        "group": lambda: standardised(x.view(5, 4, 2, *shape[2:]), tuple(range(2, len(shape) + 1))).view(shape),
        "instance": lambda: standardised(x, space),
    }[kind]()
    column = (1, 8, *[1] * dim)
    affine = lambda y: y * made.weight.view(column) + made.bias.view(column)  # noqa: E731
    assert torch.allclose(made.train()(x), affine(expected), atol=1e-5)
    if kind == "batch":  # evaluation uses the running statistics: 0.9 of the start and 0.1 of the batch
        dims = (0, *space)
        mean, var = 0.1 * x.mean(dims), 0.9 + 0.1 * x.var(dims)
        expected = (x - mean.view(column)) / torch.sqrt(var.view(column) + EPS)
    assert torch.allclose(made.eval()(x), affine(expected), atol=1e-5)


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (48, 24), (32, 16), (16, 8), (10, 5), (37, 1), (100, 25)])
def test_groups_are_the_largest_divisor_up_to_the_setting(channels, groups):
    assert norm(NormLayer(name="group"), channels, 2).num_groups == groups


@pytest.mark.parametrize("channels", [2, 16, 32])
def test_group_norm_of_few_channels_is_not_instance_norm(channels):
    x = torch.rand(3, channels, 5, 5)
    instance = standardised(x, (2, 3))
    assert not torch.allclose(norm(NormLayer(name="group"), channels, 2)(x), instance, atol=1e-2)


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3), nn.Linear(6, 4)])
def test_weight_normalisation_separates_length_and_direction(layer):
    before = layer.weight.detach().clone()
    normalise_weight(layer)
    assert torch.allclose(layer.weight, before, atol=1e-6)
    length, direction = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    with torch.no_grad():
        length.uniform_(0.5, 2)
        direction.mul_(3)  # changes nothing: only the direction counts
    rows = direction.flatten(1)
    expected = length.flatten(1) * rows / rows.norm(dim=1, keepdim=True)
    for mode in (True, False):
        assert torch.allclose(layer.train(mode).weight.flatten(1), expected, atol=1e-6)


def test_selu_nets_keep_mean_and_variance_through_20_layers_and_alpha_dropout():
    net = build(make({"family": "dnn", "hidden": [512] * 20, "dropout": 0.05}, "selu"), MNIST, 10)
    assert sum(isinstance(m, nn.AlphaDropout) for m in net.modules()) == 20
    assert not any(type(m) is nn.Dropout or isinstance(m, nn.ReLU) for m in net.modules())
    torch.manual_seed(0)
    x = torch.randn(1000, *MNIST)
    for mode in (True, False):
        out = net[:-1].train(mode)(x)
        assert out.mean().item() == pytest.approx(0, abs=0.15)
        assert out.std().item() == pytest.approx(1, abs=0.2)


def test_selu_follows_its_formula():
    x = torch.linspace(-3, 3, 50)
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    expected = scale * torch.where(x > 0, x, alpha * (x.exp() - 1))
    assert torch.allclose(Layers(NormLayer(name="selu"), "relu").act()(x), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind", "variance"),
    [("relu", "none", 2 / 400), ("relu", "selu", 1 / 400), ("tanh", "none", 2 / 700), ("elu", "batch", 2 / 400)],
)
def test_initialisation_suits_the_choice(name, kind, variance):
    layer = Layers(NormLayer(name=kind), name).affine(400, 300)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(variance), rel=0.03)


@pytest.mark.parametrize("kind", ["none", "batch", "layer", "group", "instance", "weight", "selu"])
@pytest.mark.parametrize("family", ["dnn", "cnn", "resnet", "fractalnet"])
def test_own_models_take_each_norm_and_convolutions_before_a_norm_have_no_bias(family, kind):
    if (family, kind) == ("dnn", "instance"):
        return
    small = {"resnet": {"depth": 8, "shortcut": "B"}, "fractalnet": {"filters": [4, 6], "columns": 2}}.get(family, {})
    net = build(make({"family": family, **small}, kind), MNIST, 10)
    net.train()(torch.rand(4, *MNIST)).logsumexp(1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            assert (layer.bias is None) == (kind in ("batch", "layer", "group", "instance"))
            assert hasattr(layer, "parametrizations") == (kind == "weight")


@pytest.mark.parametrize("width", [2, 7, 16, 32, 64])
def test_group_norm_of_dense_units_never_normalises_a_unit_by_itself(width: int) -> None:
    layer = norm(NormLayer(name="group"), width, 0)
    assert layer is not None
    x = torch.randn(50, width)
    assert layer(x).abs().max() > 0.1
    assert width // layer.num_groups >= 2
