"""One search for the runs of a sweep: over k and votes, over folds, in several processes; the same answers as alone."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from bench import data as images
from bench.compose import compose
from bench.models import neighbour_cache
from bench.models.neighbour_cache import cached_neighbours
from bench.models.search import neighbours
from bench.schema.dataset import Split
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.train.heads import fit_transfer
from bench.train.knn import pixels, score_by_distance

X = load_digits().data.astype(np.float32)
TRAIN, QUERIES = X[:900], X[900:950]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The k of every search that is made."""
    made: list[int] = []
    monkeypatch.setattr(neighbour_cache, "neighbours", lambda *a: made.append(a[2]) or neighbours(*a))
    return made


def test_a_curve_over_k_costs_a_search_for_each_power_of_two(cache: Path, searches: list[int]) -> None:
    for k in (1, 20, 5, 32, 40, 64, 33, 3):
        answer = cached_neighbours(TRAIN, QUERIES, k)
        distances, indices = neighbours(TRAIN, QUERIES, k)
        np.testing.assert_array_equal(answer.indices, indices)
        np.testing.assert_array_equal(answer.distances, distances)
        assert answer.seconds > 0
    assert searches == [32, 64]
    cached_neighbours(TRAIN, QUERIES, 900)  # all of them: no power of two
    assert searches[2:] == [900]


def test_a_sweep_over_k_costs_one_search(folder: Path, cache: Path, bench_json: Any) -> None:
    """Its largest k is asked for first."""
    words = ("--axes", "model.k=1,2,40,3,100", "model.metric=l1,l2", "--seeds", "1", "--workers", "1")
    found = bench_json("sweep", *words, "dataset=digits", "model=knn")
    assert found["ran"] == 10
    assert sorted(p.name.rpartition("-")[2] for p in (cache / "neighbours").glob("*.npy")) == ["128.npy", "128.npy"]


def test_who_asks_for_less_waits_for_the_wider_search(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, made = threading.Event(), threading.Event(), []

    def slow(*args: Any) -> Any:
        made.append(args[2])
        begun.set()
        assert go_on.wait(60)
        return neighbours(*args)

    monkeypatch.setattr(neighbour_cache, "neighbours", slow)
    with ThreadPoolExecutor(2) as pool:
        wide = pool.submit(cached_neighbours, TRAIN, QUERIES, 100)
        assert begun.wait(60)
        narrow = pool.submit(cached_neighbours, TRAIN, QUERIES, 5)
        with pytest.raises(TimeoutError):
            narrow.result(0.5)
        go_on.set()
        np.testing.assert_array_equal(narrow.result(60).indices, wide.result(60).indices[:, :5])
    assert made == [128]


def test_other_content_is_searched_anew(cache: Path, searches: list[int]) -> None:
    cached_neighbours(TRAIN, QUERIES, 1)
    changed = TRAIN.copy()
    changed[0, 0] += 1
    cached_neighbours(changed, QUERIES, 1)
    cached_neighbours(TRAIN, QUERIES + 1, 1)
    cached_neighbours(TRAIN, QUERIES, 1, "l1")
    cached_neighbours(TRAIN[:20], QUERIES, 1)
    assert searches == [32, 32, 32, 32, 20]
    cached_neighbours(TRAIN, QUERIES, 1, keep=False)
    assert searches[5:] == [1]


def ask(barrier: multiprocessing.synchronize.Barrier, log: Path) -> None:
    os.environ["IMAGEBENCH_CACHE"] = str(log.parent)

    def counted(*args: Any) -> object:
        with log.open("a") as file:
            file.write("x")
        return np.zeros((50, args[2])), np.zeros((50, args[2]), np.int64)  # a forked process must not wake threads

    neighbour_cache.neighbours = counted
    barrier.wait()
    assert cached_neighbours(TRAIN, QUERIES, 5).indices.shape == (50, 5)


def test_processes_that_ask_at_once_share_one_search(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    asking = [context.Process(target=ask, args=(barrier, tmp_path / "log")) for _ in range(3)]
    for process in asking:
        process.start()
    for process in asking:
        process.join(60)
    assert [p.exitcode for p in asking] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "x"


def test_a_sweep_over_k_votes_and_folds_searches_once(cache: Path, searches: list[int]) -> None:
    """And each run is scikit-learn's classifier on its fold; a shared search counts in the cost of each run."""
    for fold in range(3):
        speeds = []
        for k in (1, 4, 9):
            for weights in ("uniform", "distance"):
                words = ["dataset=digits", "split=kfold", "split.folds=3", f"split.fold={fold}", "model=knn"]
                exp = experiment(compose([*words, f"model.k={k}", f"model.weights={weights}"]))
                data = images.load(exp.dataset, exp.split)
                result = score_by_distance(exp, data)
                reference = KNeighborsClassifier(k, weights=weights, algorithm="brute")
                reference.fit(pixels(exp, data, data.train).astype(np.float64), data.labels[data.train])
                expected = reference.predict(pixels(exp, data, data.val).astype(np.float64))
                assert (result.val_scores.argmax(1) == expected).mean() > 0.99  # digits have ties at the k-th place
                speeds.append(result.costs["cost/images_per_second"])
        assert max(speeds) < 5 * min(speeds)
    assert len(searches) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["dataset=digits", "pixel_norm=unit"], 1),
        (["dataset=digits", "model.metric=cosine"], 3),  # standardized pixels turn with the mean of the fold
        (["dataset=digits", "model.metric=cosine", "pixel_norm=unit"], 1),
        (["dataset=shapes"], 3),  # colours: each channel has a scale of the fold's own
        (["dataset=shapes", "pixel_norm=unit"], 1),
    ],
)
def test_folds_share_a_search_where_their_pixels_can_be_compared(
    words: list[str], expected: int, cache: Path, searches: list[int]
) -> None:
    """The scores are those of a search in the fold alone."""
    for fold in range(3):
        exp = experiment(compose([*words, "split=kfold", "split.folds=3", f"split.fold={fold}", "model=knn"]))
        data = images.load(exp.dataset, exp.split)
        result = score_by_distance(exp, data)
        alone = score_by_distance(replace(exp, transfer=replace(exp.transfer, cache=False)), data)
        for split in ("val", "test"):
            ours, theirs = (getattr(r, f"{split}_scores") for r in (result, alone))
            same = (np.abs(ours - theirs) < 1e-6).all(1)
            assert same.mean() > 0.99  # pixels rounded another way: a tie at the k-th place may fall otherwise
    assert len([k for k in searches if k >= 32]) == expected


def test_a_training_subset_is_searched_alone(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another one in each fold, so that a search among all images would serve that fold alone; the scores are the
    same."""
    searched: list[int] = []

    def search(train: Any, *rest: Any) -> Any:
        searched.append(len(train))
        return neighbours(train, *rest)

    monkeypatch.setattr("bench.models.neighbour_cache.neighbours", search)
    words = ["dataset=digits", "split=kfold", "split.folds=3", "split.train_per_class=20", "model.k=10"]
    words += ["model=knn", "model.metric=l1"]  # between whole numbers of pixels, which are often tied
    exp = experiment(compose(words))
    data = images.load(exp.dataset, exp.split)
    alone = score_by_distance(exp, data)
    assert searched == [200]
    monkeypatch.setattr(Split, "folds_share_images", True)
    shared = score_by_distance(exp, data)
    assert searched == [200, len(data.used)]
    np.testing.assert_array_equal(alone.val_scores, shared.val_scores)
    np.testing.assert_array_equal(alone.test_scores, shared.test_scores)


def test_more_neighbours_than_a_fold_has_are_refused_before_the_search(cache: Path, searches: list[int]) -> None:
    exp = experiment(compose(["dataset=digits", "split=kfold", "model=knn", "model.k=1500"]))
    with pytest.raises(RequestError, match="k=1500 neighbours asked of 1293 training samples"):
        score_by_distance(exp, images.load(exp.dataset, exp.split))
    assert searches == []


@pytest.mark.parametrize("head", ["linear", "knn"])
def test_folds_share_the_features_of_a_frozen_backbone(head: str, cache: Path) -> None:
    """One file for all folds; the scores are those without it."""
    words = ["dataset=digits", "model=efficientnet_lite0", "transfer=frozen", f"transfer.head={head}"]
    words += ["transfer.size=32", "split=kfold", "split.folds=8", "trainer.epochs=1", "trainer.accelerator=cpu"]
    for fold in (0, 3):
        exp = experiment(compose([*words, f"split.fold={fold}"]))
        data = images.load(exp.dataset, exp.split)
        result = fit_transfer(exp, data)
        alone = fit_transfer(replace(exp, transfer=replace(exp.transfer, cache=False)), data)
        np.testing.assert_allclose(result.test_scores, alone.test_scores, atol=1e-4)
        np.testing.assert_allclose(result.val_scores, alone.val_scores, atol=1e-4)
    assert len(list((cache / "features").glob("*.npy"))) == 1
    assert len(list((cache / "neighbours").glob("*.npy"))) == (head == "knn")


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(RequestError, match=r"IMAGEBENCH_CACHE.*transfer\.cache=false"):
        cached_neighbours(TRAIN, QUERIES, 5)
    with pytest.raises(RequestError, match="k=901 neighbours asked of 900"):
        cached_neighbours(TRAIN, QUERIES, 901)
