"""A norm_layer that asks for what a network has already: the same network under the same key."""

import pytest
import torch

from bench.models import build
from bench.models.native import as_native, layers
from bench.schema.run_key import run_key
from bench.sweep.file import read
from bench.sweep.plan import at_scale, points
from tests.models.experiments import composed, make

TIMM = {"family": "timm"}


@pytest.mark.parametrize(
    ("name", "kind", "same"),
    [
        ("test_vit", "layer", True),
        ("test_convnext", "layer", True),  # whose biases were taken away with norm_layer=layer
        ("test_resnet", "batch", True),
        ("test_efficientnet", "batch", True),  # other names of the layers, nothing else
        ("tf_mobilenetv3_small_minimal_100", "batch", False),  # eps is TensorFlow's
        ("test_resnet", "group", False),
        ("test_efficientnet", "layer", False),
        ("test_vit", "batch", False),  # refused
        ("vgg11_bn", "batch", False),  # native has biases before its norms
    ],
)
def test_the_same_network_has_one_key(name, kind, same):
    native, asked = make({**TIMM, "name": name}), make({**TIMM, "name": name}, kind)
    assert run_key(asked, "d") != run_key(native, "d")
    found = as_native(asked)
    assert (found == native) is same
    if not same:
        assert found == asked
        return
    shape = (3, 160, 160)
    one, other = (build(exp, shape, 5).eval() for exp in (native, asked))
    with torch.inference_mode():
        torch.testing.assert_close(one(torch.ones(1, *shape)), other(torch.ones(1, *shape)), rtol=0, atol=0)
    assert layers(one) == layers(other)


def test_settings_beside_the_norm_stay():
    asked = make({**TIMM, "name": "test_resnet", "activation": "elu", "stem": "small"}, {"name": "batch", "groups": 4})
    assert as_native(asked) == make({**TIMM, "name": "test_resnet", "activation": "elu", "stem": "small"})


def test_a_run_and_a_sweep_ask_for_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps/mine.yaml").write_text(
        "question: Layer norm?\nbase: [dataset=digits, model=timm, model.name=test_vit, transfer.size=160]\n"
        "axes: {norm_layer: [layer]}\nseeds: 1\n"
    )
    (planned,) = points(at_scale(read("mine"), "smoke"))
    words = ("model=timm", "model.name=test_vit", "transfer.size=160", "scale=smoke", "seed=0")
    assert planned.key == run_key(composed(*words), planned.data)
    assert planned.axes == {"norm_layer": "layer"}
