"""bench auto: a folder in, the best classifier out, and nothing chosen on test."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.auto import candidates, finish
from bench.auto.cached import cached_families
from bench.auto.candidates import BACKBONE, Candidate, Family, families
from bench.auto.folder import base, read, to_experiment, without_test
from bench.auto.search import Search, Tried
from bench.schema.errors import RequestError
from bench.track.store import Store

LINEAR = ("model=linear", "pixel_norm=unit")


def images(root: Path, counts: dict[str, int], side: int = 12) -> Path:
    """Stripes of one direction a class, with noise."""
    noise = np.random.default_rng(0)
    for k, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for i in range(count):
            wave = np.arange(side) * (0.9 + 0.05 * noise.random()) + noise.random()
            stripes = np.broadcast_to(np.sin(wave) if k else np.sin(wave)[:, None], (side, side))
            pixels = 128 + 60 * stripes + noise.normal(0, 25, (side, side))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name / f"{i}.png")
    return root


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    return images(tmp_path / "stripes", {"across": 30, "down": 30})


def search(folder: Path, tries: list[Family], seconds: float = 60, told: Any = lambda text, outcome: None) -> Search:
    data, _ = read(folder)
    made = Search(data, base(folder), time.monotonic() + seconds, told)
    made.run(tries)
    return made


def test_every_candidate_is_an_experiment(folder: Path, stripes: Path) -> None:
    data, _ = read(stripes)
    for family in families(data):
        for candidate in family.candidates:
            exp = to_experiment([*base(stripes), *candidate.overrides])
            assert exp.trains == bool(candidate.epochs)
            assert (exp.transfer.mode == "frozen") == family.features


def test_a_folder_becomes_a_classifier(
    folder: Path, stripes: Path, bench: Any, bench_json: Any, monkeypatch: Any
) -> None:
    """The whole verb, on candidates that are quick: a run, a report, an exported model that predicts."""
    quick = [
        Family("neighbours", tuple(Candidate(f"{k} nearest", ("model=knn", f"model.k={k}")) for k in (1, 3))),
        Family("linear", (Candidate("linear", (*LINEAR, "optim.lr=0.01"), 20),)),
    ]
    monkeypatch.setattr(candidates, "families", lambda data, others: quick)
    (stripes / "down" / "broken.png").write_bytes(b"nothing")
    found = bench_json("auto", str(stripes), "--minutes", "5")
    done = [t for t in found["tried"] if t["val_accuracy"] is not None]
    assert len(done) == 3
    assert found["val_accuracy"] == max(t["val_accuracy"] for t in done)
    assert found["test_accuracy"] > 0.7
    assert found["interval"][0] < found["test_accuracy"] <= found["interval"][1]
    record = Store().get(found["run_id"])
    assert record.metrics["val/accuracy"] == pytest.approx(found["val_accuracy"])
    assert [r.run_id for r in Store().records("auto")] == [found["run_id"]]  # of the others nobody saw test
    page = Path(found["report"]).read_text()
    assert "What was tried" in page
    assert "left out, such as" in page
    assert "Precision and recall" in page
    status, out, _ = bench("predict", found["model"], str(stripes / "across" / "0.png"))
    assert status == 0
    assert "across" in out


def test_losers_are_given_up_and_ties_go_to_the_cheaper_one(folder: Path, stripes: Path) -> None:
    hopeless = Candidate("hopeless", (*LINEAR, "optim=sgd", "optim.lr=1e-9"), 12)
    good = Candidate("good", (*LINEAR, "optim.lr=0.01"), 12)
    diverging = Candidate("diverging", (*LINEAR, "optim=sgd", "optim.lr=1e38"), 12)
    made = search(stripes, [Family("linear", (good, hopeless, diverging, good))])
    by_name = {t.name: t for t in made.tried}
    assert "behind the others" in by_name["hopeless"].note
    assert by_name["hopeless"].epochs < 12
    assert "failed" in by_name["diverging"].note
    assert made.best is made.tried[0]
    assert sum(t.result is not None for t in made.tried) == 1


def test_the_best_one_is_scored_on_test_once_and_as_a_run_of_its_own_would_be(
    folder: Path, stripes: Path, bench_json: Any
) -> None:
    data, _ = read(stripes)
    assert not set(without_test(data).test) & set(data.test)
    two = Candidate("net", (*LINEAR, "optim.lr=0.01"), 3), Candidate("neighbours", ("model=knn", "model.k=3"))
    for times, tried in enumerate(two, 1):
        made = search(stripes, [Family(tried.name, (tried,))])
        assert made.best is not None
        record = finish.record_best(made.best, data, Store())
        assert finish.looks(made.best, data, Store()) == times
        assert ("2 runs have been scored" in finish.candidates_table(made, record, 12, times).caption) == (times == 2)
        more = [f"trainer.epochs={tried.epochs}"] if tried.epochs else []
        again = bench_json("run", *base(stripes), *tried.overrides, *more)
        assert record.metrics == pytest.approx(again["metrics"], abs=1e-6)
        assert record.key == again["run_key"]


def test_time_that_is_short_is_used_and_said(folder: Path, stripes: Path) -> None:
    """What does not fit is left out with its reason, or runs fewer epochs; something always comes to its end."""
    data, _ = read(stripes)
    made = Search(data, base(stripes), time.monotonic() + 3, lambda text, outcome: None)
    made.pass_seconds[BACKBONE] = 10.0  # a backbone that takes ten seconds an image
    quick = Family("linear", (Candidate("linear", (*LINEAR, "optim.lr=0.01"), 2),))
    made.run([families(data)[1], quick, families(data)[-1]])
    left_out = [t.note for t in made.tried if t.result is None]
    assert len(left_out) == 2
    assert "are left" in left_out[0]
    assert "an epoch would take" in left_out[1]
    assert made.best is not None


def test_a_candidate_begun_again_costs_both_attempts(
    folder: Path, stripes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five epochs that take 10 s each, 40 s allow three: one that showed it, and three."""
    from bench.auto import search

    data, _ = read(stripes)
    clock = [0.0]

    def train(exp: Any, data: Any, tell: Any) -> SimpleNamespace:
        for epoch in range(exp.trainer.epochs):
            clock[0] += 10
            tell({"epoch": epoch + 1, "val_accuracy": 0.5})
        return SimpleNamespace(val_scores=np.zeros((len(data.val), len(data.classes)), np.float32))

    monkeypatch.setattr(search, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(search, "train", train)
    made = Search(data, base(stripes), 40, lambda text, outcome: None)
    made.run([Family("linear", (Candidate("linear", LINEAR, 5),))])
    (tried,) = made.tried
    assert (tried.epochs, tried.seconds) == (3, 40)


def test_a_backbone_that_cannot_be_built_or_timed_ends_no_search(
    folder: Path, stripes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench import models

    odd = ("model=timm", "model.name=nosuchnet", "transfer.weights=timm")
    features = Candidate("features", (*odd, "transfer=frozen"))
    nearest = Candidate("3 nearest", ("model=knn", "model.k=3"))
    made = search(stripes, [Family("odd", (features,), features=True, of=odd), Family("neighbours", (nearest,))])
    assert "failed: " in made.tried[0].note
    assert made.best is made.tried[1]
    build, seen = models.build, list[int]()

    def watched(*args: Any) -> Any:
        net = build(*args)
        net.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
        return net

    monkeypatch.setattr(models, "build", watched)
    made = Search(made.data, base(stripes), time.monotonic(), lambda text, outcome: None)
    made._pass(BACKBONE)
    assert seen == [1]  # sixteen more would take longer than what is left


def test_backbones_in_the_hubs_cache_are_tried(folder: Path, stripes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files as the hub's library keeps them, with weights of no training: found, named, used, without a network."""
    import huggingface_hub
    import timm
    from safetensors.torch import save_file

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert cached_families() == []
    for name in ("mobilenetv3_small_050.lamb_in1k", "nosuchnet.in1k", "tf_efficientnet_lite0.in1k"):
        place = folder / "hub" / f"models--timm--{name}"
        (place / "snapshots" / "abc").mkdir(parents=True)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text("abc")
        state = timm.create_model("mobilenetv3_small_050").state_dict()
        save_file({n: t.contiguous() for n, t in state.items()}, place / "snapshots" / "abc" / "model.safetensors")
    (family,) = cached_families()
    made = search(stripes, [dataclasses.replace(family, candidates=family.candidates[:1])])
    assert [t.name for t in made.tried] == ["5 nearest features of mobilenetv3_small_050.lamb_in1k"]
    assert made.tried[0].result is not None, made.tried[0].note
    data, _ = read(stripes)
    assert families(data, [family])[-2] is family


def test_ctrl_c_keeps_the_best(folder: Path, stripes: Path, bench: Any, monkeypatch: Any) -> None:
    told: list[Tried] = []

    def stop(text: str, outcome: Tried | None) -> None:
        if outcome is not None:
            told.append(outcome)
            raise KeyboardInterrupt

    data, _ = read(stripes)
    made = Search(data, base(stripes), time.monotonic() + 60, stop)
    quick = Candidate("linear", (*LINEAR, "optim.lr=0.01"), 2)
    with pytest.raises(KeyboardInterrupt):
        made.run([Family("linear", (quick, quick))])
    assert made.best is told[0]
    assert made.best.result is not None


def test_photographs_are_read_at_a_side_that_nobody_has_to_choose(folder: Path, tmp_path: Path) -> None:
    for name, colour in (("day", "white"), ("night", "black")):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.new("RGB", (1200 + i % 2, 1000), colour).save(tmp_path / name / f"{i}.jpg")
    assert read(tmp_path)[0].shape == (3, 224, 224)
    for file in tmp_path.rglob("1.jpg"):
        file.unlink()
    for file in tmp_path.rglob("3.jpg"):  # all of one size, and too large to be kept as they are
        file.unlink()
    data, _ = read(tmp_path)
    assert data.shape == (3, 224, 224)
    assert families(data)[0].name == "neighbours and means on pixels"


def test_folders_that_cannot_be_learned_from(folder: Path, tmp_path: Path, bench: Any) -> None:
    assert "does not exist" in bench("auto", "nowhere")[2]
    for minutes in ("0", "nan", "inf"):
        assert "more than 0" in bench("auto", ".", "--minutes", minutes)[2]
    assert "is an address" in bench("auto", "https://host/images.zip")[2]
    one = images(tmp_path / "one", {"across": 5})
    assert "at least two classes" in bench("auto", str(one))[2]
    few = images(tmp_path / "few", {"across": 20, "down": 1})
    status, _, err = bench("auto", str(few))
    assert status == 2
    assert "down (1)" in err
    fine = images(tmp_path / "fine", {"across": 4, "down": 4})
    place = str(fine / "across" / "0.png" / "report")
    assert f"--out: {place} cannot be made" in bench("auto", str(fine), "--out", place)[2]
    singles = images(tmp_path / "singles", {"across": 1, "down": 2})
    assert "the largest class has 2: expected 3 or more" in bench("auto", str(singles))[2]
    with pytest.raises(RequestError, match="is a file"):
        read(few / "across" / "0.png")
    assert dataclasses.is_dataclass(Tried)
