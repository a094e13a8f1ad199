"""linear, dnn and cnn: parameter counts, shapes, seeds, costs, errors."""

import pytest
import torch

from bench.models import build
from bench.models.cost import flops, parameters
from bench.schema.errors import RequestError
from tests.models.experiments import MNIST, make


def test_linear_has_7850_parameters_and_15680_flops():
    net = build(make({"family": "linear"}), MNIST, 10)
    assert parameters(net) == 7850
    assert flops(net, MNIST) == 2 * 784 * 10


@pytest.mark.parametrize(
    ("norm_layer", "expected"),
    [
        ("none", 785 * 400 + 401 * 100 + 101 * 10),
        # no bias before a norm, a scale and a shift after it
        ("batch", 784 * 400 + 400 * 100 + 2 * 500 + 101 * 10),
        ("layer", 784 * 400 + 400 * 100 + 2 * 500 + 101 * 10),
    ],
)
def test_dnn_parameters(norm_layer, expected):
    assert parameters(build(make({"family": "dnn"}, norm_layer), MNIST, 10)) == expected


def test_cnn_parameters_and_flops():
    net = build(make({"family": "cnn"}), MNIST, 10)
    flat = 64 * 7 * 7
    assert parameters(net) == (8 * 8 + 1) * 32 + (32 * 16 + 1) * 64 + (flat + 1) * 128 + 129 * 10
    convolutions = 28 * 28 * 64 * 32 + 14 * 14 * 32 * 16 * 64
    assert flops(net, MNIST) == 2 * (convolutions + flat * 128 + 128 * 10)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("pooling", ["max", "average", "none"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 31, 40)])
def test_cnn_takes_any_stride_padding_and_pooling(padding, pooling, stride, shape):
    model = {"family": "cnn", "filters": [3, 4], "kernels": [4, 3], "stride": stride, "padding": padding}
    net = build(make(model | {"pooling": pooling, "dense": []}, "batch"), shape, 7)
    assert net(torch.rand(2, *shape)).shape == (2, 7)


def test_same_seed_same_weights_and_the_global_random_state_stays():
    state = torch.get_rng_state()
    nets = [build(make({"family": "cnn"}, "batch", seed), MNIST, 10).state_dict() for seed in (3, 3, 4)]
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(nets[0].values(), nets[1].values(), strict=True))
    assert not torch.equal(nets[0]["conv1.conv.weight"], nets[2]["conv1.conv.weight"])


def test_flops_leave_mode_and_running_statistics():
    net = build(make({"family": "cnn"}, "batch"), MNIST, 10).train()
    net.conv1.eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    flops(net, MNIST)
    assert net.training
    assert not net.conv1.training
    assert not net.conv1.norm.training
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in before.items())


def test_wrong_requests_name_the_remedy():
    with pytest.raises(RequestError, match="equally long, got 1 and 2"):
        make({"family": "cnn", "filters": [3]})
    with pytest.raises(RequestError, match=r"depth must be 6n\+2, got 21; near it are 20 and 26"):
        make({"family": "resnet", "depth": 21})
    with pytest.raises(RequestError, match="'batch' is not for linear; it takes native, none"):
        make({"family": "linear"}, "batch")
    with pytest.raises(RequestError, match="brings its own activation"):
        make({"family": "dnn", "activation": "tanh"}, "selu")
    with pytest.raises(RequestError, match="left with one pixel of the 28x28 image"):
        build(make({"family": "fractalnet", "filters": [2] * 6}, "instance"), MNIST, 10)
    with pytest.raises(RequestError, match=r"'group' is left with one pixel of the 28x28 .* fewer norm_layer\.groups"):
        build(make({"family": "fractalnet", "filters": [1] * 6}, "group"), MNIST, 10)
    narrow = {"family": "resnet", "width": 8}  # its last stage has 32 channels: not one in each of 32 groups
    build(make(narrow, "group"), (1, 4, 4), 10)
    with pytest.raises(RequestError, match=r"model\.padding=same"):
        build(make({"family": "cnn", "padding": "valid"}), (1, 8, 8), 10)
    with pytest.raises(RequestError, match="'knn' has no network"):
        build(make({"family": "knn"}), MNIST, 10)


def test_a_network_without_activations_is_one_affine_map():
    net = build(make({"family": "dnn", "hidden": [16, 16], "activation": "linear"}), (1, 8, 8), 10).eval()
    one, two = torch.rand(2, 4, 1, 8, 8).unbind()
    assert torch.allclose(net(one) + net(two), net(one + two) + net(torch.zeros_like(one)), atol=1e-5)
