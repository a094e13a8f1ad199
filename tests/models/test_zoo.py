"""Models of timm and torchvision: published sizes, stems, norms, activations, errors that say what can be done."""

import re

import pytest
import timm
import torch
import yaml
from torch import nn

from bench.compose import shipped_folder
from bench.models import Backbone, Readout, build, head_names, readout, stages
from bench.models.cost import flops, parameters
from bench.models.drops import _Draws, check_drops
from bench.models.overview import count, smallest_useful_input
from bench.models.registry import REGISTRY
from bench.models.swap import supported_norms
from bench.models.zoo import smallest_input, zoo
from bench.schema.errors import RequestError
from bench.schema.model import Model, NormLayer, Timm
from bench.schema.part import build as part
from tests.models.experiments import MNIST, make

ZOO = [n for n, e in REGISTRY.items() if e.pretrained]
FOLDER = shipped_folder("conf") / "model"


def settings(name: str) -> dict:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


@pytest.fixture(scope="module")
def sizes():
    """Counts of every model at its paper's input, made once, without memory for the weights."""
    return {n: count(part(Model, settings(n)), e.input, e.classes) for n, e in REGISTRY.items()}


def test_every_named_config_is_in_the_registry_and_the_other_way_round():
    assert {f.stem for f in FOLDER.glob("*.yaml")} - {"timm", "torchvision"} == set(REGISTRY)


@pytest.mark.xdist_group("sizes")  # made once
def test_published_parameter_counts(sizes):
    assert sum(e.published is not None for e in REGISTRY.values()) > 25
    for name, entry in REGISTRY.items():
        if entry.published is None:
            continue
        digits, million = re.fullmatch(r"([\d.]+)(M?)", entry.published).groups()
        places = len(digits.partition(".")[2])
        found = sizes[name].parameters / (1e6 if million else 1)
        assert f"{found:.{places}f}" == digits, f"{name}: {found}"


@pytest.mark.xdist_group("sizes")
@pytest.mark.parametrize(
    ("name", "gmacs"),
    [("resnet50", 4.09), ("resnet18", 1.81), ("vgg16", 15.47), ("mobilenetv2", 0.30), ("vit_tiny", 1.26)],
)
def test_flops_are_twice_the_known_multiply_accumulates(sizes, name, gmacs):
    assert sizes[name].flops / 2e9 == pytest.approx(gmacs, rel=0.02)


@pytest.mark.xdist_group("sizes")  # made once
def test_stages_cover_every_parameter_once_and_end_in_the_head(sizes):
    for name in ZOO:
        found = sizes[name].stages
        assert sum(n for _, n in found) == sizes[name].parameters
        assert found[-1][0] == "head"
        assert len({stage for stage, _ in found}) == len(found) > 4


def test_weights_are_published_where_the_registry_says_so():
    for name in ZOO:
        model = settings(name)
        if model["family"] == "timm":
            assert timm.models.is_model_pretrained(model["name"]), name


@pytest.mark.slow
@pytest.mark.xdist_group("smallest")
def test_smallest_inputs():
    for name in ZOO:
        model = part(Model, settings(name))
        found = smallest_useful_input(model)
        # torchvision states no strides; googlenet's is 32
        assert REGISTRY[name].min_size == (32 if name == "googlenet" else found), name


def net_of(name, norm_layer="native", shape=(3, 32, 32), **more):
    return build(make(settings(name) | more, norm_layer), shape, 5)


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "squeezenet1_1", "vit_tiny", "vgg11"])
def test_backbone_and_head_make_the_network(name):
    shape = (3, 64, 64)
    net = net_of(name, shape=shape).eval()
    x = torch.rand(2, *shape)
    features = Backbone(net)(x)
    if name == "squeezenet1_1":  # makes scores of each position before it pools them
        assert features.shape == (2, 512)
        assert readout(net, x) is None
    else:
        assert torch.allclose(Readout(net)(features), net(x), atol=1e-6)
        assert readout(net, x) is not None
    assert {id(p) for p in Backbone(net).parameters()} == {id(p) for s in stages(net)[:-1] for p in s.parameters}


SMALL_STEM = {
    "resnet18": 4,
    "resnext50": 4,
    "densenet121": 4,
    "vgg11": 2,
    "mobilenetv2": 2,
    "mobilenetv3_small": 2,
    "efficientnet_b0": 2,
    "efficientnet_lite0": 2,
    "convnext_tiny": 4,
}


@pytest.mark.parametrize("name", SMALL_STEM)
def test_small_stems_keep_more_pixels(name):
    net = net_of(name, stem="small", drop_path=0.0)
    seen = []
    last = net.features if hasattr(net, "features") else net.get_submodule(net.feature_info[-1]["module"])
    last.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[-2:])))
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 5)
    assert seen == [(SMALL_STEM[name],) * 2]


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1", "googlenet", "vit_tiny", "vgg11"])
def test_small_stems_take_grey_images_of_28_pixels(name):
    assert net_of(name, stem="small", shape=MNIST)(torch.rand(2, *MNIST)).shape == (2, 5)


def test_errors_say_what_can_be_done():
    with pytest.raises(RequestError, match=r"Did you mean 'resnet18'\? timm has \d{4}"):
        build(make({"family": "timm", "name": "resnt18"}), MNIST, 10)
    with pytest.raises(RequestError, match=r"timm has no 'googlenet' .*inception_v4.*model=googlenet is torchvision's"):
        build(make({"family": "timm", "name": "googlenet"}), MNIST, 10)
    with pytest.raises(RequestError, match=r"vgg11 cannot take 28x28 .* smallest input is 32x32: transfer.size=32, or"):
        net_of("vgg11", shape=MNIST)
    with pytest.raises(RequestError, match=r"alexnet cannot take 32x32 .* smallest input is 63x63: transfer.size=63"):
        net_of("alexnet")
    with pytest.raises(
        RequestError, match=r"small cannot be made for inception_v3. It can for resnet.*transfer\.size=75"
    ):
        net_of("inception_v3", stem="small", shape=(3, 96, 96))
    with pytest.raises(RequestError, match="'batch' is not for vit_tiny_patch16_224; it takes native, layer"):
        net_of("vit_tiny", "batch")
    with pytest.raises(RequestError, match="'selu' is not for googlenet"):
        net_of("googlenet", "selu")
    with pytest.raises(RequestError, match="vgg11 has no residual blocks"):
        net_of("vgg11", drop_path=0.1)
    with pytest.raises(RequestError, match="not an address"):
        build(make({"family": "timm", "name": "hf-hub:someone/model"}), MNIST, 10)


NORM_CASES = [
    ("vgg11", {}),
    ("vgg11_bn", {}),
    ("alexnet", {"stem": "small"}),
    ("resnet18", {"stem": "small"}),
    ("densenet121", {"stem": "small"}),
    ("mobilenetv3_small", {"stem": "small"}),
    ("efficientnet_b0", {"stem": "small"}),
    ("convnext_tiny", {"stem": "small"}),
    ("squeezenet1_1", {"stem": "small"}),
    ("googlenet", {"stem": "small"}),
]


def right_before_norms(net: nn.Module, x: torch.Tensor) -> list[str]:
    """Convolutions with a bias whose output, unchanged, is what a norm is given: by value, layer after layer."""
    made: dict[bytes, str] = {}
    found = []

    def look(name):
        def hook(module, inputs, output):
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                made[output.detach().numpy().tobytes()] = name
            elif isinstance(module, tuple(MODULES.values())):
                found.extend(made[b] for b in [inputs[0].detach().numpy().tobytes()] if b in made)

        return hook

    hooks = [m.register_forward_hook(look(name)) for name, m in net.named_modules()]
    net(x)
    for hook in hooks:
        hook.remove()
    return found


MODULES = {"batch": nn.BatchNorm2d, "layer": nn.GroupNorm, "group": nn.GroupNorm, "instance": nn.InstanceNorm2d}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "more"), NORM_CASES)
def test_norm_layers_in_the_zoo(name, more):
    x = torch.rand(2, 3, 32, 32)
    native = net_of(name, **more)
    norms = {nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d}
    for kind in supported_norms(native):
        net = net_of(name, kind, **more)
        found = {n for n in norms for m in net.modules() if isinstance(m, n)}
        if (name, kind) != ("convnext_tiny", "layer"):  # its own, by pixel
            assert found == ({MODULES[kind]} if kind in MODULES else set()), (kind, found)
        if kind == "weight":
            left = [
                m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear) and not hasattr(m, "parametrizations")
            ]
            assert left == [net.get_submodule(*head_names(net))]
        if kind == "selu":
            assert not any(isinstance(m, nn.ReLU | nn.ReLU6 | nn.SiLU | nn.Hardswish | nn.GELU) for m in net.modules())
        if kind in MODULES and (name, kind) != ("convnext_tiny", "layer"):
            assert not right_before_norms(net, x)
        if kind in ("none", "weight", "selu"):
            assert all(m.bias is not None for m in net.modules() if isinstance(m, nn.Conv2d))
        logits = net(x)
        assert logits.isfinite().all()
        logits.logsumexp(1).sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters()), kind


def test_batch_norm_in_a_batch_norm_model_changes_nothing():
    one, other = net_of("resnet18"), net_of("resnet18", "batch")
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "mixer_s32_224", "swin_tiny_patch4_window7_224"])
def test_layer_norm_in_a_network_of_tokens_is_its_own(name):
    shape = (3, 224, 224)
    one, other = (build(make({"family": "timm", "name": name}, kind), shape, 5) for kind in ("native", "layer"))
    assert [str(m) for m in one.modules()] == [str(m) for m in other.modules()]


def test_group_norm_keeps_the_zero_scales_that_make_residual_blocks_start_as_identity():
    net = net_of("resnet18", {"name": "group", "groups": 8})
    assert not net.layer1[0].bn2.weight.any()
    assert net.layer1[0].bn1.weight.eq(1).all()
    assert net.layer1[0].bn1.num_groups == 8


def test_vgg_with_batch_norm_is_vgg_bn():
    shape = (3, 64, 64)
    biases = 64 + 128 + 2 * 256 + 4 * 512  # before the norms: timm's vgg11_bn has them, as torchvision's weights do
    assert parameters(net_of("vgg11", "batch", shape)) == parameters(net_of("vgg11_bn", shape=shape)) - biases
    for kind in ("batch", "layer", "group", "instance"):
        assert parameters(net_of("vgg11_bn", kind, shape)) == parameters(net_of("vgg11", kind, shape))
    assert flops(net_of("vgg11_bn", "none", shape), shape) == flops(net_of("vgg11", shape=shape), shape)


def test_activation_stochastic_depth_and_dropout_reach_timm():
    net = net_of("resnet18", activation="elu", drop_path=0.2, dropout=0.3)
    assert any(isinstance(m, nn.ELU) for m in net.modules())
    assert not any(isinstance(m, nn.ReLU) for m in net.modules())
    assert max(m.drop_prob for m in net.modules() if hasattr(m, "drop_prob")) == pytest.approx(0.2)
    assert net.drop_rate == 0.3
    with pytest.raises(RequestError, match="activation is fixed"):
        net_of("googlenet", activation="elu", stem="small")
    with pytest.raises(RequestError, match="activation is fixed"):  # its attention would stay with relu
        build(make({"family": "timm", "name": "mobilevitv2_050", "activation": "elu"}), (3, 64, 64), 5)


@pytest.mark.parametrize(
    "name",
    [  # one for each way in which timm's networks drop by themselves
        *("rexnet_100", "ghostnet_050", "legacy_seresnet18", "cpubone_nano", "bat_resnext26ts", "test_vit_relpos"),
        *("swin_tiny_patch4_window7_224", "swinv2_cr_tiny_224", "focalnet_tiny_srf", "nest_tiny", "fasternet_t1"),
    ],
)
def test_a_network_of_timm_drops_only_what_the_settings_say(name):
    """By the draws of a forward pass in training: rexnet has dropout by itself, and swin stochastic depth."""

    def drawn(net):
        with torch.device("meta"), torch.no_grad(), _Draws() as draws:
            net.train()(torch.zeros(2, *size))
        return draws.masks or max(draws.rates, default=0) > 0

    size = timm.models.get_pretrained_cfg(name).input_size
    with torch.device("meta"):
        alone = timm.create_model(name, num_classes=3)
        quiet = zoo(Timm(family="timm", name=name), NormLayer(), size, 3)
        loud = zoo(Timm(family="timm", name=name, dropout=0.3), NormLayer(), size, 3)
    assert [drawn(alone), drawn(quiet), drawn(loud)] == [True, False, True]


def test_dropout_that_a_network_has_no_place_for_is_refused():
    with pytest.raises(RequestError, match=r"model\.dropout: test_deaf has no dropout"):
        check_drops(lambda: nn.Flatten(), Timm(family="timm", name="test_deaf", dropout=0.1), (1, 2, 2))


def test_the_same_seed_gives_the_same_zoo_model():
    a, b = net_of("efficientnet_lite0").state_dict(), net_of("efficientnet_lite0").state_dict()
    assert all(torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def test_smallest_input_is_the_smallest():
    model = part(Model, settings("squeezenet1_1"))
    least_side = smallest_input(model, NormLayer())
    assert net_of("squeezenet1_1", shape=(3, least_side, least_side)) is not None
    with pytest.raises(RequestError, match="cannot take"):
        net_of("squeezenet1_1", shape=(3, least_side - 1, least_side - 1))


@pytest.mark.parametrize(
    ("name", "more", "shape", "says"),
    [
        # A corner of 16 pixels was all that it saw of such images.
        ("vit_tiny_patch16_224", {}, MNIST, r"patches of 16x16, and of 28x28 .* 12 pixels .*size=32, or model.stem=sm"),
        ("vit_tiny_patch16_224", {"stem": "small"}, (3, 30, 30), r"patches of 4x4, .* 2 pixels .*transfer.size=32\."),
        ("swin_tiny_patch4_window7_224", {}, (3, 30, 30), r"patches of 4x4, .* 2 pixels"),
        # Stems that cut likewise, of networks of convolutions.
        ("convnext_atto", {}, (3, 65, 65), r"patches of 4x4, and of 65x65 .* 1 pixel at an edge.*size=68\."),
        ("convmixer_768_32", {}, (3, 69, 69), r"patches of 7x7, .* 6 pixels .*transfer.size=70\."),
        # It takes a rate, and every block with a shortcut is in other members of its family.
        ("lcnet_035", {"drop_path": 0.2}, (3, 64, 64), "lcnet_035 has no residual blocks that could be dropped"),
        (
            "resnet18.nonsense",
            {},
            (3, 32, 32),
            r"Unknown weights of timm model 'resnet18': 'nonsense'.*model.name=resnet18",
        ),
        ("qwen3_vit_88m_enc", {}, (3, 48, 48), r"makes \(1, 1, 1024\) of an image, .*: it is no classifier"),
        # Fails at this size before it comes to what cannot be made at any.
        ("maxvit_nano_rw_256", {"stem": "small"}, (3, 8, 8), "stem=small cannot be made for maxvit_nano_rw_256"),
        ("mixer_s32_224", {"stem": "small"}, (3, 32, 32), r"stem=small cannot be made for mixer_s32_224\. It can for"),
        ("vit_tiny_r_s16_p8_224", {"stem": "small"}, (3, 64, 64), "stem=small cannot be made for vit_tiny_r"),
        (
            "crossvit_tiny_240",
            {},
            (3, 32, 32),
            r"smallest input is 120x120: transfer.size=120\.$",
        ),  # it has no small stem
    ],
)
def test_images_that_a_network_would_not_see_and_names_that_are_wrong(name, more, shape, says):
    with torch.device("meta"), pytest.raises(RequestError, match=says):
        build(make({"family": "timm", "name": name, **more}), shape, 5)


def test_whatever_a_library_raises_is_one_message(monkeypatch):
    import timm

    def fail(*_args, **_settings):
        raise KeyError("patch_size")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(
        RequestError, match=r"resnet18 cannot be used: with model\.stem=small, it fails by itself \(KeyError"
    ):
        net_of("resnet18", stem="small")


def test_without_norms_no_activation_writes_over_what_a_gradient_needs():
    """dpn joins two ways by an activation in place, which norms between them had kept apart."""
    shape = (3, 64, 64)
    with torch.device("meta"):
        net = build(make({"family": "timm", "name": "dpn48b"}, "none"), shape, 5).train()
        net(torch.zeros(2, *shape)).sum().backward()


@pytest.mark.parametrize("name", ["crossvit_tiny_240", "deepseek_vit_412m_enc"])
def test_a_model_is_taken_at_its_own_size_or_said_to_be_no_classifier(name):
    model = part(Model, {"family": "timm", "name": name})
    if name.endswith("_enc"):
        with pytest.raises(RequestError, match=f"{name} "):
            smallest_input(model, NormLayer())
    else:
        assert smallest_input(model, NormLayer()) <= 240
