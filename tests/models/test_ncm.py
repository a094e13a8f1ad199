"""Nearest class mean against scikit-learn and the Gaussian that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestCentroid

from bench.models.ncm import scores
from bench.schema.errors import RequestError
from bench.schema.model import Ncm
from bench.train.metrics import metrics


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    x = data.data.astype(np.float32)
    return x[:1200], data.target[:1200], x[1200:], data.target[1200:]


def test_predictions_are_scikit_learns(digits):
    train, y, queries, truth = digits
    ours = scores(Ncm(family="ncm"), train, y, queries, 10).argmax(1)
    reference = NearestCentroid().fit(train.astype(np.float64), y).predict(queries.astype(np.float64))
    np.testing.assert_array_equal(ours, reference)
    assert (ours == truth).mean() > 0.8


def test_cosine_is_the_largest_cosine_to_the_mean_of_unit_vectors(digits):
    train, y, queries, _ = digits
    ours = scores(Ncm(family="ncm", metric="cosine"), train, y, queries, 10).argmax(1)
    unit = train / np.linalg.norm(train, axis=1, keepdims=True)
    means = np.stack([unit[y == c].mean(0) for c in range(10)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_array_equal(ours, (queries @ means.T).argmax(1))


def test_probabilities_are_those_of_one_gaussian_a_class(digits):
    train, y, queries, _ = digits
    ours = np.exp(scores(Ncm(family="ncm"), train, y, queries[:20], 10).astype(np.float64))
    means = np.stack([train[y == c].mean(0) for c in range(10)]).astype(np.float64)
    variance = ((train - means[y]) ** 2).sum() / ((len(train) - 10) * 64)
    logs = np.stack([multivariate_normal(m, variance * np.eye(64)).logpdf(queries[:20]) for m in means], 1)
    expected = np.exp(logs - logs.max(1, keepdims=True))
    np.testing.assert_allclose(ours, expected / expected.sum(1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("copies", [1, 3])
def test_one_image_a_class_makes_no_answer_certain(digits, metric, copies):
    """There is no spread within classes to measure: it is that of all images, and a wrong answer no infinity."""
    train, y, queries, truth = digits
    first = [int(np.flatnonzero(y == c)[0]) for c in range(10)] * copies
    found = scores(Ncm(family="ncm", metric=metric), train[first], y[first], queries, 10)
    rows = train[first].astype(np.float64)
    seen = queries.astype(np.float64)
    if metric == "cosine":
        rows, seen = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, seen))
    logs = -((seen[:, None] - rows[None, :10]) ** 2).sum(2) / (2 * ((rows - rows.mean(0)) ** 2).mean())
    np.testing.assert_allclose(found, log_softmax(logs, 1), atol=1e-4)
    assert metrics(found, truth)["nll"] < 10


def test_a_class_without_images_is_an_error(digits):
    train, y, queries, _ = digits
    with pytest.raises(RequestError, match="none of 3"):
        scores(Ncm(family="ncm"), train[y != 3], y[y != 3], queries, 10)
