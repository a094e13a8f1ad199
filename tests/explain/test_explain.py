"""bench explain: every kind of model gets its pictures, and what they show is what the run computes."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from scipy.signal import correlate2d
from sklearn.metrics import precision_score, recall_score
from torch import nn

from bench.explain import architecture, calibration, precision_recall
from bench.explain.calibration import calibrate_crossed
from bench.explain.convolution import KERNELS, convolve
from bench.explain.drawing import KINDS
from bench.explain.exciting import patch
from bench.explain.fields import ALL
from bench.explain.label_errors import candidates
from bench.explain.misleading import equally_far
from bench.explain.neighbours import reference
from bench.explain.picture import NotFor, cells, grid
from bench.explain.precision_recall import threshold
from bench.explain.preferred import ascend
from bench.explain.saliency import grad_cam, integrated_gradients, occlusion, over
from bench.explain.seeds import siblings
from bench.explain.subject import Subject
from bench.explain.trace import layers
from bench.models.cost import flops
from bench.models.search import neighbours
from bench.reopen import open_run
from bench.track.store import Store
from bench.train.metrics import metrics
from bench.trained import Trained

QUICK = ("confusion", "neighbours", "templates", "filters", "architecture", "regions", "saliency")


@pytest.fixture
def opened(ids: dict[str, str]) -> Any:
    return lambda name: open_run(Store(), ids[name], device="cpu")


def test_a_page_with_every_picture(ids: dict[str, str], tmp_path: Path, bench: Any, bench_json: Any) -> None:
    """All kinds for a small network; the files lie in the folder and among the run's artifacts."""
    found = bench_json("explain", ids["cnn"], "--out", str(tmp_path / "out"))
    names = [p["name"] for p in found["pictures"]]
    assert {"confusion", "saliency", "embedding", "exciting", "preferred", "activations", "uncertain"} <= set(names)
    assert set(found["left_out"]) <= {"seeds", "regions", "templates", "label_errors"}
    for name in names:
        assert (tmp_path / "out" / f"{name}.csv").exists() or Image.open(tmp_path / "out" / f"{name}.png").size > (9, 9)
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<img") == len(list((tmp_path / "out").glob("*.svg")))
    assert "http" not in page.replace("http-equiv", "")  # it loads nothing from elsewhere
    assert {p.name for p in (Store().artifacts(ids["cnn"]) / "explain").iterdir()} == {
        Path(f).name for f in found["files"]
    }
    assert "Did you mean 'confusion'" in bench("explain", ids["cnn"], "confusoin")[2]
    assert json.loads(bench("explain", "--list", "--json")[1]) == KINDS


@pytest.mark.parametrize("name", ["knn", "frozen", "views"])
def test_other_models_get_what_they_have(ids: dict[str, str], name: str, tmp_path: Path, bench_json: Any) -> None:
    found = bench_json("explain", ids[name], *QUICK, "--out", str(tmp_path), "--no-store")
    made, left = {p["name"] for p in found["pictures"]}, found["left_out"]
    assert {"confusion", "neighbours", "saliency"} <= made
    assert ("architecture" in left) == (name == "knn")
    assert ("filters" in made) == (name == "frozen")
    assert ("templates" in made) == (name == "views")  # the linear one


def test_decision_regions_and_one_s_own_image(folder: Path, digit: Path, bench: Any, bench_json: Any) -> None:
    run = bench_json("run", "dataset=plane", "dataset.count=300", "model=dnn", "trainer.epochs=1")["run_id"]
    assert bench_json("explain", run, "regions", "mistakes")["pictures"][0]["name"] == "regions"
    run = bench_json("run", "dataset=digits", "model=linear", "trainer.epochs=1")["run_id"]
    assert bench("explain", run, "saliency", "--image", str(digit))[0] == 0
    assert "not an image" in bench("explain", run, "saliency", "--image", "mlflow.db")[2]
    assert "fraction" in bench("explain", run, "--precision", "95")[2]
    bench_json("run", "dataset=digits", "model=linear", "trainer.epochs=1", "seed=1")
    bench_json("run", "dataset=digits", "model=linear", "trainer.epochs=2", "seed=2")
    assert "2 seeds" in bench_json("explain", run, "seeds")["pictures"][0]["caption"]
    found = siblings(Subject(open_run(Store(), run), Store()))
    assert [r.seed for r in found] == [0, 1]  # the third differs in more than its seed


class Reused(nn.Module):
    """Functions between layers, and a layer that is used twice, as own networks are written."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.head = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.Linear(8, 10),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.first(x)), 2)
        x = x[:, :, ::2, ::2] + F.avg_pool2d(self.again(x), 2)
        return self.head(F.relu(self.again(x)).mean((2, 3)))


@pytest.mark.parametrize("make", [Reused, "resnet10t", "convnext_atto", "mobilenetv2_035", "vit_tiny_patch16_224"])
def test_fields_and_costs_agree_with_what_a_network_does(make: Any) -> None:
    """A row of the image that is no number reaches exactly the values that see it; and each FLOP is counted once."""
    size = {"img_size": 32, "patch_size": 8} if str(make).startswith("vit") else {}
    net, side = (timm.create_model(make, **size) if isinstance(make, str) else make()).eval(), 32 if size else 96
    found = layers(net, (3, side, side))
    counted = sum(layer.flops for layer in found)
    assert counted <= flops(net, (3, side, side)) if size else counted == flops(net, (3, side, side))
    told = {layer.name: layer.field for layer in found if layer.field not in (None, ALL)}
    assert set(told) == {"patch_embed.proj"} if size else len(told) >= 2
    seen: dict[str, set[int]] = {}

    def note(name: str, out: torch.Tensor) -> None:
        if name in told and out.ndim == 4:
            middle = out[:, :, out.shape[2] // 2, out.shape[3] // 2].isnan().any(1)
            seen[name] = set(middle.nonzero().flatten().tolist())  # of its last use

    for name, module in net.named_modules():
        module.register_forward_hook(lambda m, given, out, name=name: note(name, out))
    images = torch.zeros(side, 3, side, side)
    images[torch.arange(side), :, torch.arange(side)] = torch.nan
    with torch.no_grad():
        net(images)
    inside = {n: rows for n, rows in seen.items() if min(rows) > 0 and max(rows) < side - 1}
    assert len(inside) >= 1
    assert {n: max(rows) - min(rows) + 1 for n, rows in inside.items()} == {n: told[n] for n in inside}


def test_the_architecture_s_totals_are_the_record_s(opened: Any) -> None:
    """A transformer's attention is no layer; its products count all the same."""
    net = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, in_chans=1, num_classes=10).eval()
    trained = dataclasses.replace(opened("cnn"), net=net, prepare=nn.Identity(), shape=(1, 32, 32))
    (picture,) = architecture.draw(Subject(trained, Store()))
    *_, outside, whole = picture.rows
    assert outside[0] == "outside of layers"
    assert whole[4] == f"{flops(trained.net, (1, 32, 32)):,}"
    assert sum(int(row[4].replace(",", "")) for row in picture.rows[:-1]) == int(whole[4].replace(",", ""))


def test_receptive_fields_shapes_and_counts() -> None:
    """By hand: 3x3, pooling, a strided block with a shortcut, then everything."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.short = nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.Conv2d(4, 8, 1, stride=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x) + self.short(x)

    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), Block(), nn.Conv2d(8, 8, 3, dilation=2, padding=2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    found = {layer.name: layer for layer in layers(net, (1, 32, 32))}
    # 3; 3 + 1; 4 + 2*2 and 4; 8 + (5 - 1) * 4; all
    assert [found[n].field for n in ("0", "1", "2.conv", "2.short", "3", "4", "6")] == [3, 4, 8, 4, 24, ALL, ALL]
    assert found["2.conv"].shape == (8, 8, 8)
    assert found["0"].flops == 2 * 9 * 4 * 32 * 32
    assert sum(layer.parameters for layer in found.values()) == sum(p.numel() for p in net.parameters())
    image = np.arange(32 * 32).reshape(1, 32, 32).astype(np.uint8)
    np.testing.assert_array_equal(patch(image, found["0"], 5 * 32 + 7, (1, 32, 32)), image[:, 4:7, 6:9])


def test_saliency_adds_up(opened: Any) -> None:
    """Integrated gradients sum to the change of the logit; occlusion finds the only pixels that matter."""
    trained: Trained = opened("cnn")
    image = np.asarray(trained.data.images[int(trained.data.test[0])])
    net, prepare = trained.net, trained.prepare
    assert net is not None
    with torch.no_grad():
        change = [float(net(prepare(torch.from_numpy(i[None])))[0, 3]) for i in (image, np.zeros_like(image))]
    found = integrated_gradients(trained, image, 3, steps=64)
    assert found.shape == image.shape[1:]
    assert found.sum() == pytest.approx(change[0] - change[1], abs=0.05 * abs(change[0] - change[1]) + 0.02)
    assert (grad_cam(trained, image, 3) >= 0).all()

    class Corner(Trained):
        def classify(self, stored: torch.Tensor) -> torch.Tensor:
            bright = stored[:, 0, :2, :2].float().mean((1, 2)) / 256
            return torch.stack([bright, 1 - bright], 1).clamp(1e-6).log()

    corner = Corner(**{f.name: getattr(trained, f.name) for f in dataclasses.fields(trained)})
    fallen = occlusion(corner, np.full((1, 8, 8), 255, np.uint8), 0)
    assert np.unravel_index(fallen.argmax(), fallen.shape) == (0, 0)
    assert abs(fallen[5:, 5:]).max() < 1e-6


def test_equally_far_means_equally_far(opened: Any) -> None:
    trained: Trained = opened("colour")
    made = [equally_far(np.asarray(trained.data.images[int(i)]).astype(np.float64)) for i in trained.data.test[:8]]
    assert sum(m is not None for m in made) >= 6
    for versions in filter(None, made):
        far = [np.linalg.norm(v - versions[0]) for v in versions[1:]]
        np.testing.assert_allclose(far, far[0])
        assert all(v.min() >= 0 and v.max() <= 255 for v in versions)


def test_precision_and_recall_are_the_record_s_ties_and_all(opened: Any) -> None:
    """An image between tied classes counts in parts, as in the record; what is printed chooses what it says."""
    subject = Subject(opened("knn"), Store(), precision=0.995)
    scores = np.log(np.random.default_rng(0).dirichlet(np.ones(10), len(subject.labels)).astype(np.float32))
    scores[::3, 1] = scores[::3, 4] = 0.0
    subject.__dict__["scores"] = scores
    (picture,) = precision_recall.draw(subject)
    assert picture.rows[-1][4] == f"{metrics(scores, subject.labels)['macro_f1']:.1%}"
    assert picture.head[5] == "threshold for 99.5%"
    probability = np.array([0.2, 0.99951, 0.99953, 0.99999])
    assert [precision_recall.shortest(float(at), probability) for at in probability] == [
        "0.200", "0.999", "0.99953", "0.9999",
    ]  # fmt: skip


def test_thresholds_neighbours_and_kernels(opened: Any) -> None:
    """Against scikit-learn, brute force and SciPy."""
    noise = np.random.default_rng(0)
    truth = noise.random(200) < 0.4
    probability = np.clip(0.5 * truth + 0.5 * noise.random(200), 0, 1)
    at = threshold(truth, probability, 0.9)
    assert at is not None
    said = probability >= at[0]
    assert precision_score(truth, said) >= 0.9
    assert recall_score(truth, said) == pytest.approx(at[1])
    assert threshold(truth, np.where(truth, 0.1, 0.9), 0.9) is None

    trained: Trained = opened("knn")
    rows, labels, metric = reference(trained)
    queries = trained.embed(torch.from_numpy(trained.data.images[trained.data.val[:3]]))
    distances, found = neighbours(rows, queries, 4, metric)
    wanted = np.linalg.norm(rows[None] - queries[:, None], axis=2)
    np.testing.assert_allclose(distances, np.sort(wanted, 1)[:, :4], rtol=1e-5)
    assert (labels == trained.data.labels[trained.data.train]).all()
    assert found.shape == (3, 4)

    image = noise.integers(0, 256, (3, 9, 11)).astype(np.uint8)
    for kernel in KERNELS.values():
        inside = convolve(image, kernel)[1, 2:-2, 2:-2]
        full = correlate2d(image[1].astype(float), kernel, mode="same")[2:-2, 2:-2]
        np.testing.assert_allclose(inside, full)


def test_labels_in_doubt_are_the_wrong_ones() -> None:
    """Labels that were changed on purpose come first; clean ones are not all suspected."""
    noise = np.random.default_rng(0)
    true = np.arange(300) % 3
    probabilities = np.full((300, 3), 0.05) + 0.85 * np.eye(3)[true] + 0.05 * noise.random((300, 3))
    probabilities /= probabilities.sum(1, keepdims=True)
    given = true.copy()
    changed = noise.choice(300, 20, replace=False)
    given[changed] = (given[changed] + 1) % 3
    found = candidates(probabilities, given)
    assert set(changed) <= set(found[:25])
    assert len(candidates(probabilities, true)) == 0


def test_calibration_is_drawn_on_images_it_was_not_fitted_on(opened: Any) -> None:
    subject = Subject(opened("knn"), Store(), "val")
    after, temperature = calibrate_crossed(subject)
    assert temperature < 0.8
    assert metrics(after, subject.labels)["ece"] < metrics(subject.scores, subject.labels)["ece"] / 2
    with pytest.raises(NotFor, match="too few"):
        calibration.draw(Subject(opened("colour"), Store(), "val"))


def test_the_preferred_input_is_preferred(opened: Any) -> None:
    subject = Subject(opened("cnn"), Store())
    (_, before), (images, probability) = (ascend(subject, [2, 5], steps=n) for n in (1, 150))
    assert images.shape == (2, 1, 8, 8)
    assert (images >= 0).all()
    assert (images <= 255).all()
    assert (probability > 1.5 * before).all()
    assert (probability > 0.95).all()  # shifts of a quarter of the side had left it anywhere


def test_a_single_bright_place_is_seen_and_an_empty_map_is_said_to_be_empty() -> None:
    one, none = np.zeros((28, 28)), np.zeros((28, 28))
    one[3, 4] = 2.0
    _, made = cells(1, 2)
    for cell, found in zip(made[0], (one, none), strict=True):
        over(cell, np.zeros((1, 28, 28), np.uint8), found)
    assert made[0][0].images[-1].get_clim() == (-2.0, 2.0)  # not of the size of rounding
    assert made[0][1].get_xlabel() == "nothing"


def test_titles_of_neighbouring_images_do_not_meet() -> None:
    titles = ["a long class name\nsaid T-shirt or top (96%)"] * 9
    figure = grid([np.zeros((1, 28, 28), np.uint8)] * 9, titles)
    FigureCanvasAgg(figure).draw()
    boxes = [cell.title.get_window_extent() for cell in figure.axes[:4]]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes) if a.y0 == b.y0)
    assert figure.get_figwidth() < 9
