"""Own images, augmentation, corruption, pixel_norm, norm_layer and metric: in one run, and each fault by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import data as images
from bench import models
from bench.compose import compose
from bench.data import augment, corrupt, pixel_norm
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.schema.metric import METRICS, metric
from bench.schema.run_key import run_key
from bench.track.record import Record
from bench.track.store import Store
from bench.train.own_metrics import own_metrics

Write = Callable[[str, str], Path]

MINE = """
    import numpy as np
    import torch
    from torch import nn

    from bench.parts import Images, augmentation, corruption, dataset, metric, norm_layer, pixel_norm


    @dataset
    def stripes(*, count: int = 60, names: tuple[str, ...] = ()) -> Images:
        "Stripes across or down."
        labels = np.arange(count) % 2
        image = np.tile(np.arange(8) % 2 * 200, (8, 1)).astype(np.uint8)
        made = np.stack([image if label else image.T for label in labels])
        made[:, 0, 0] = np.arange(count)
        return Images(made, [("down", "across")[label] for label in labels])


    @augmentation
    def darker(images, targets, draws, *, least: float = 0.5):
        "Each image times a number of its own."
        factor = least + (1 - least) * draws.uniform(1).to(images.device)
        return images * factor[:, :, None, None], targets


    @corruption
    def fog(images, severity, generator):
        "Towards white."
        return (images.float() * (1 - severity / 10) + 25.5 * severity).clamp(0, 255).to(torch.uint8)


    @pixel_norm
    def halves(train, *, times: float = 1.0):
        "Around the median of the training images."
        return np.median(train, axis=(0, 2, 3)), times * 128


    class Center(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

        def forward(self, x):
            shape = (1, -1) + (1,) * (x.dim() - 2)
            return (x - x.mean(1, keepdim=True)) * self.weight.view(shape) + self.bias.view(shape)


    @norm_layer
    def center(channels, dim):
        "Mean over the channels taken off."
        return Center(channels)


    @metric(higher_is_better=False, range=(0, 1), words="worst class' error")
    def worst_class(scores, labels, classes):
        "The error of the class that comes out worst."
        right = scores.argmax(1) == labels
        return 1 - min(float(right[labels == k].mean()) for k in range(len(classes)))
    """


@pytest.fixture
def mine(write: Write) -> Path:
    return write("parts/mine.py", MINE)


def exp(*overrides: str) -> Any:
    return experiment(compose(list(overrides)))


def test_all_of_them_in_one_run(bench: Any, mine: Path) -> None:
    words = (
        "dataset=stripes", "model=cnn", "model.filters=[4]", "model.kernels=[3]", "model.dense=[]", "augment=darker",
        "augment.least=0.8", "augment.flip=0.5", "pixel_norm=halves", "norm_layer=center", "corrupt.names=[noise,fog]",
        "corrupt.severities=[2]", "metrics.names=[worst_class]", "trainer.epochs=2", "optim.lr=0.01",
    )  # fmt: skip
    status, out, err = bench("run", *words, "--json")
    assert status == 0, err
    record = Store(None).get(json.loads(out)["run_id"])
    assert {"test/worst_class", "val/worst_class", "corrupt/fog/2/accuracy", "corrupt/noise/2/nll"} <= set(
        record.metrics
    )
    config = record.config
    assert (config["dataset.name"], config["augment.name"], config["augment.least"]) == ("stripes", "darker", 0.8)
    assert (config["pixel_norm.name"], config["norm_layer.name"]) == ("halves", "center")
    assert config["corrupt.names"] == ["noise", "fog"]
    assert set(config["corrupt.code"]) == {"fog"}
    kept = json.loads((Store(None).artifacts(record.run_id) / "parts.json").read_text())
    assert {part["kind"] for part in kept} == {
        "dataset", "augmentation", "corruption", "pixel_norm", "norm_layer", "metric",
    }  # fmt: skip
    assert {tuple(part["files"]) for part in kept} == {("mine.py",)}
    assert "worst_class" in bench("run", *words)[1]

    from bench.restore import experiment_of

    again = experiment_of(record, record.seed, None, {})
    assert run_key(again, record.provenance["data_fingerprint"]) == record.key
    mine.write_text(mine.read_text().replace("(1 - severity / 10)", "(1 - severity / 20)"))
    with pytest.raises(RequestError, match="corruption 'fog' has other code here"):
        experiment_of(record, record.seed, None, {})
    mine.unlink()
    with pytest.raises(RequestError, match=r"'\w+' \(code \w{12}\) is somebody's own code and not here"):
        experiment_of(record, record.seed, None, {})


def test_only_what_an_experiment_uses_is_in_its_key(mine: Path) -> None:
    base = ("dataset=digits", "model=linear")
    keys = {
        words: run_key(exp(*base, *words), "d")
        for words in (
            (),
            ("augment=darker",),
            ("pixel_norm=halves",),
            ("corrupt.names=[fog]",),
            ("metrics.names=[worst_class]",),
        )
    }
    assert len(set(keys.values())) == 5
    mine.write_text(mine.read_text().replace("least + (1", "least + (0.9"))
    changed = [words for words, key in keys.items() if run_key(exp(*base, *words), "d") != key]
    assert changed == [("augment=darker",)]


def test_a_dataset_is_read_anew_and_its_labels_become_classes(mine: Path, write: Write) -> None:
    made = exp("dataset=stripes", "dataset.count=40")
    found = images.load(made.dataset, made.split)
    assert (found.shape, found.classes, len(found.labels)) == ((1, 8, 8), ("across", "down"), 40)
    write("table.csv", "3\n")
    write(
        "parts/table.py",
        """
        import numpy as np
        from bench.parts import Images, dataset

        @dataset
        def table(*, file: str = "table"):
            value = int(open(file + ".csv").read())
            for part in range(3):
                yield Images(np.full((20, 4, 4, 3), value, np.uint8), [i % 2 for i in range(20)], ["a", "b"],
                             ["test" if part == 2 else ""] * 20)
        """,
    )
    first = exp("dataset=table")
    before = images.load(first.dataset, first.split)
    assert before.shape == (3, 4, 4)
    assert before.test.tolist() == list(range(40, 60))
    write("table.csv", "4\n")  # the code is the same, what it reads is not
    assert images.fingerprint(first.dataset, first.split) != before.fingerprint


GIVEN = """
    import json
    import numpy as np
    from bench.parts import Images, dataset

    @dataset
    def given(*, shape: str = "[24, 4, 4]", more: str = "{}"):
        images = np.zeros(json.loads(shape), np.uint8)
        images.reshape(-1)[::7] = 9
        return Images(images, [i % 2 for i in range(24)], **json.load(open("said" + ".json")))

    @dataset(reads=("folder",))
    def read(*, folder: str):
        return given()
    """


def test_names_shape_and_columns_are_content(write: Write) -> None:
    write("parts/given.py", GIVEN)
    found = []
    for said in ({"classes": ["a", "b"]}, {"classes": ["b", "a"]}, {"columns": {"who": [i // 3 for i in range(24)]}}):
        write("said.json", json.dumps(said))
        made = exp("dataset=given", *(["split.group=who"] if "columns" in said else []))
        found.append(images.load(made.dataset, made.split))
    assert [data.classes for data in found] == [("a", "b"), ("b", "a"), ("0", "1")]
    assert len({data.fingerprint for data in found}) == 3
    groups = found[2].groups
    assert groups is not None
    assert not set(groups[found[2].train]) & {*groups[found[2].val], *groups[found[2].test]}
    write("said.json", '{"columns": {"who": [1]}}')
    with pytest.raises(RequestError, match="column 'who' has 1 entries for 24 images"):
        images.load(made.dataset, made.split)
    from bench.data.sources import SOURCES

    write("said.json", "{}")
    other = exp("dataset=given").dataset, exp("dataset=given", "dataset.shape='[24,2,8]'").dataset
    assert len({SOURCES["own"].identity(d)["content"] for d in other}) == 2


def test_linked_folders_are_walked(write: Write) -> None:
    from bench.data.sources import SOURCES
    from bench.parts.walk import files_below

    write("parts/given.py", GIVEN)
    write("far/deep/one.txt", "1")
    here = write("near/own.txt", "1").parent
    (here / "link").symlink_to(Path("far").absolute(), target_is_directory=True)
    (here / "circle").symlink_to(here.absolute(), target_is_directory=True)
    assert [p.relative_to(here).as_posix() for p in files_below(here)] == ["own.txt", "link/deep/one.txt"]
    for source, made in (
        ("own", exp("dataset=read", "dataset.folder=near").dataset),
        ("huggingface", exp("dataset=huggingface", "dataset.name=near").dataset),
    ):
        before = SOURCES[source].identity(made)
        write("far/deep/one.txt", source)
        assert SOURCES[source].identity(made) != before


@pytest.mark.parametrize(("layout", "shape"), [("NCHW", (3, 5, 3)), ("NHWC", (3, 3, 5))])
def test_a_dataset_says_where_its_channels_are(layout: str, shape: tuple[int, ...]) -> None:
    from bench.data.sources.own import _check_images
    from bench.parts import Images

    made = Images(np.zeros((4, 3, 5, 3), np.uint8), [0, 1, 0, 1], layout=layout)  # type: ignore[arg-type]
    assert _check_images(made, "mine").images.shape == (4, *shape)


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        ("np.zeros((4, 8, 8)), [0, 1, 0, 1]", "images are float64, expected uint8"),
        ("np.zeros((4, 8, 8), np.uint8), [0, 2, 0, 2]", "1 of 3 classes have no image (1)"),
        ("np.zeros((4, 8, 8), np.uint8), [0, 1, 0]", "4 images, but labels of shape [3]"),
        ("np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], ['a']", "labels are 0..1, but there are 1 classes"),
        ("np.zeros((4, 8, 8), np.uint8), [0, 0, 0, 0]", "has one class"),
        ("np.zeros((4, 8, 8), np.uint8), ['a', 'b', 'c', 'a'], ['a', 'b']", "label 'c' is none of the classes a, b"),
        ("np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], (), ['learn'] * 4", "split 'learn' is unknown"),
        ("np.zeros((4,), np.uint8), [0, 1, 0, 1]", "images are 4, expected N x C x H x W"),
        ("1 / 0", "cannot be read (faulty.py, line 7): ZeroDivisionError"),
        ("np.full((4, 8, 8), 200), [0, 1, 0, 1]", "Pixels in 0..255: images.astype('uint8')."),
        ("np.zeros((4, 8, 8), np.uint8), [0, 1, None, 1]", "labels are NoneType and int, expected whole numbers"),
        ("np.zeros((4, 8, 8), np.uint8), np.array([0, 0.7, 1, 1], object)", "labels are float and int"),
        ("np.zeros((0, 8, 8), np.uint8), []", "has not a single image"),
        ("'images'", "gives str. Expected bench.parts.Images"),
        ("np.zeros((4, 3, 5, 3), np.uint8), [0, 1, 0, 1]", "channels may come first or last. Say which"),
        ("np.zeros((4, 8, 8, 4), np.uint8), [0, 1, 0, 1]", "channels may come first or last. Say which"),
        ("np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], ['a', 'a']", "two classes are called 'a'"),
        (
            "(Images(np.zeros((2, 8, 8), np.uint8), labels) for labels in ([0, 1], ['a', 'b']))",
            "'a' follow labels like 0",
        ),
    ],
)
def test_what_is_no_dataset_is_told(write: Write, gives: str, message: str) -> None:
    write(
        "parts/faulty.py",
        f"""\
        import numpy as np
        from bench.parts import Images, dataset

        @dataset
        def faulty():
            "Is none."
            return {gives}
        """,
    )
    made = exp("dataset=faulty")
    with pytest.raises(RequestError) as told:
        images.load(made.dataset, made.split)
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        ("images", "gives back Tensor. Expected (images, targets)"),
        ("images[:1], targets[:1]", "gives back 1 x 1 x 8 x 8 images and 1 targets for 4 x 1 x 8 x 8 and 4"),
        ("images, targets[:2]", "and 2 targets for"),
    ],
)
def test_an_augmentation_keeps_the_batch(write: Write, gives: str, message: str) -> None:
    write("parts/wrong.py", "from bench.parts import augmentation\n@augmentation\ndef wrong(images, targets, draws):\n"
          f"    return {gives}\n")  # fmt: skip
    made = exp("dataset=digits", "augment=wrong")
    change = augment.make(made.augment, images.load(made.dataset, made.split))
    assert change is not None
    with pytest.raises(RequestError) as told:
        change(torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.long), augment.generator(0, 0, 0, 4))
    assert message in str(told.value)


def test_a_setting_of_every_augmentation_is_no_own_one(write: Write) -> None:
    write("parts/wrong.py", "from bench.parts import augmentation\n@augmentation\n"
          "def wrong(images, targets, draws, *, flip: float = 0.5):\n    return images, targets\n")  # fmt: skip
    with pytest.raises(RequestError, match="every augment has a flip already"):
        exp("augment=wrong")


def test_pixel_norm_and_norm_layer_do_what_they_say(mine: Path) -> None:
    made = exp("dataset=stripes", "pixel_norm=halves", "pixel_norm.times=0.5", "norm_layer=center", "model=resnet20")
    found = images.load(made.dataset, made.split)
    scale = pixel_norm.make(made.pixel_norm, found)
    assert float(scale.shift) == np.median(found.images[found.train])
    assert float(scale.scale) == 64
    net = models.build(made, found.shape, 2)
    assert sum(type(m).__name__ == "Center" for m in net.modules()) == 19
    swapped = models.build(
        exp("model=timm", "model.name=resnet18", "norm_layer=center", "dataset=stripes"), (3, 32, 32), 2
    )
    assert sum(type(m).__name__ == "Center" for m in swapped.modules()) == 20
    with pytest.raises(RequestError, match="norm_layer 'own' is not for linear"):
        exp("model=linear", "norm_layer=center")
    with pytest.raises(RequestError, match="'own' is no norm_layer by itself"):
        exp("model=cnn", "norm_layer.name=own")


def test_a_corruption_has_the_same_draws_for_every_model(mine: Path) -> None:
    own = exp("corrupt.names=[fog]").corrupt.own[0]
    first, again, other = (corrupt.own_generator(0, "fog", s) for s in (2, 2, 3))
    assert torch.equal(torch.rand(3, generator=first), torch.rand(3, generator=again))
    assert not torch.equal(torch.rand(3, generator=first), torch.rand(3, generator=other))
    white = corrupt.apply_own(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), own, 4, first)
    assert white.unique().tolist() == [102]
    with pytest.raises(RequestError, match="names"):
        exp("corrupt.names=[frog]")


def test_a_metric_is_shown_and_marked_as_it_says(mine: Path) -> None:
    own = exp("metrics.names=[worst_class]").metrics.own
    scores, labels = np.log(np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32)), np.array([0, 1, 1])
    assert own_metrics(own, scores, labels, ["a", "b"]) == {"worst_class": 0.5}
    known = metric("test/worst_class")
    assert (known.title, known.unit, known.higher_is_better) == ("test worst class' error", "%", False)
    with pytest.raises(RequestError, match=r"Unknown metric 'worst_clas'. Did you mean 'worst_class'\?"):
        exp("metrics.names=[worst_clas]")
    with pytest.raises(RequestError, match=r"'nothing' is none of your own metrics"):
        exp("metrics.names=[nothing]")
    METRICS.pop("worst_class")
    facts = {"worst_class": {"range": [0, 1], "unit": "%", "words": "worst", "higher_is_better": False}}
    Record(key="", sweep="", axes={}, seed=0, status="finished", provenance={"own_metrics": json.dumps(facts)})
    assert metric("val/worst_class").title == "val worst"  # who reads the record needs no code


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        ("torch.tensor(0.5)", "gives back Tensor. Expected a number, float. Return float(value)"),
        ("float('nan')", "is nan. Expected a finite number in 0..1"),
        ("7", "is 7.0. Expected a finite number in 0..1"),
        ("scores @ 3", "cannot be computed (wrong.py, line 5): ValueError"),
    ],
)
def test_what_is_no_metric_is_told(write: Write, gives: str, message: str) -> None:
    write("parts/wrong.py", "import torch\nfrom bench.parts import metric\n@metric(range=(0.0, 1.0))\n"
          f"def wrong(scores, labels, classes):\n    return {gives}\n")  # fmt: skip
    with pytest.raises(RequestError) as told:
        own_metrics(
            exp("metrics.names=[wrong]").metrics.own, np.zeros((2, 2), np.float32), np.array([0, 1]), ["a", "b"]
        )
    assert message in str(told.value)


def test_a_sweep_measures_the_metrics_that_it_shows_and_judges(mine: Path, write: Write) -> None:
    from bench.sweep.file import read
    from bench.sweep.plan import at_scale, points

    write(
        "sweeps/mine.yaml",
        """
        question: Is darker better?
        base: [dataset=stripes, model=linear]
        axes: {augment: [none, darker]}
        seeds: 2
        table: {rows: augment, metric: [test/accuracy, test/worst_class]}
        """,
    )
    planned = points(at_scale(read("mine"), "smoke"))
    assert [[own.name for own in p.experiment.metrics.own] for p in planned] == [["worst_class"]] * 4
    METRICS.pop("worst_class", None)
