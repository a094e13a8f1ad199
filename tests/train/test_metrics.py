"""Every metric against scikit-learn, on scores that a real classifier gave to real images."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    log_loss,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from bench.analysis import artifacts
from bench.cli.predict import line
from bench.models.knn import log_scores
from bench.report.pages.single_run import KINDS
from bench.run import train
from bench.schema.metric import METRICS, ON_REQUEST, last_part, metric
from bench.seal import measure
from bench.train.metrics import among_first, confusion, metrics, reliability
from bench.train.own_metrics import on_request


@pytest.fixture(scope="module")
def scored(digits):
    x = digits.images.reshape(len(digits.images), -1) / 16.0
    model = LogisticRegression(max_iter=30).fit(x[digits.train[:200]], digits.labels[digits.train[:200]])
    return model.predict_log_proba(x[digits.test]).astype(np.float32), digits.labels[digits.test]


def test_against_scikit_learn(scored):
    scores, labels = scored
    found, chosen, classes = metrics(scores, labels), scores.argmax(1), range(10)
    assert 0.7 < found["accuracy"] < 1
    assert found["accuracy"] == accuracy_score(labels, chosen)
    assert found["top5"] == pytest.approx(top_k_accuracy_score(labels, scores, k=5, labels=classes), abs=1e-12)
    assert found["macro_f1"] == pytest.approx(f1_score(labels, chosen, average="macro"), abs=1e-6)
    probabilities = np.exp(scores.astype(np.float64))
    expected = log_loss(labels, probabilities / probabilities.sum(1, keepdims=True), labels=classes)
    assert found["nll"] == pytest.approx(expected, abs=1e-6)
    assert (confusion(scores, labels) == confusion_matrix(labels, chosen)).all()
    assert confusion(scores, labels).dtype == np.int64


def test_calibration_against_scikit_learn(scored):
    scores, labels = scored
    right, confidence = scores.argmax(1) == labels, np.exp(scores.max(1))
    accuracy, mean = calibration_curve(right, confidence, n_bins=15, strategy="uniform")
    bins = reliability(scores, labels)
    filled = [b for b, count in enumerate(bins["count"]) if count]
    np.testing.assert_allclose([bins["accuracy"][b] for b in filled], accuracy, atol=1e-6)
    np.testing.assert_allclose([bins["confidence"][b] for b in filled], mean, atol=1e-6)
    assert sum(bins["count"]) == len(labels)
    weights = np.array([bins["count"][b] for b in filled]) / len(labels)
    assert metrics(scores, labels)["ece"] == pytest.approx(float(weights @ np.abs(accuracy - mean)), abs=1e-6)


def test_macro_f1_and_ece_are_torchmetrics_to_the_last_digit():
    """Committed records were measured with it; importing it costs every run's process seconds."""
    from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_f1_score

    torch.manual_seed(0)
    for count, classes, spread in ((7, 10, 1), (300, 2, 30), (1000, 47, 5)):  # classes that do not occur, certainty
        logp = torch.log_softmax(torch.randn(count, classes) * spread, 1)
        labels = torch.where(torch.rand(count) < 0.8, logp.argmax(1), torch.randint(classes, (count,)))
        sure = logp.exp().clamp(max=1 - 2**-24)  # see the last test
        found = metrics(logp.numpy(), labels.numpy())
        assert found["macro_f1"] == float(multiclass_f1_score(logp, labels, classes, average="macro"))
        assert found["ece"] == float(multiclass_calibration_error(sure, labels, classes, n_bins=15, norm="l1"))


def test_a_probability_that_rounding_made_greater_than_one_is_one():
    """The mean over augmented views can be; torchmetrics then takes all scores for logits, and ECE was 0.4 here."""
    scores = np.log(np.full((10, 2), [0.9, 0.1], np.float32))
    scores[0] = np.float32([2e-7, -30])
    found, labels = metrics(scores, np.zeros(10, np.int64)), np.zeros(10, np.int64)
    scores[0, 0] = 0
    assert found["ece"] == metrics(scores, labels)["ece"] == pytest.approx(0.09, abs=1e-6)


def test_few_classes():
    scores = np.log(np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]], np.float32))
    found = metrics(scores, np.array([0, 1, 1]))
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["top5"] == 1


@pytest.mark.parametrize(
    ("scores", "labels", "says"),
    [
        (np.zeros((3, 2), np.float32), np.zeros(2, np.int64), "shape|expected scores"),
        (np.full((1, 2), np.nan, np.float32), np.zeros(1, np.int64), "NaN"),
    ],
)
def test_refuses_what_cannot_be_measured(scores, labels, says):
    with pytest.raises(ValueError, match=says):
        metrics(scores, labels)


def test_a_confidence_of_exactly_one_is_no_bin_of_its_own() -> None:
    """torchmetrics gave 0.525; the diagram and Guo et al.'s definition give 0.475."""
    with np.errstate(divide="ignore"):
        scores = np.log(np.array([[0.95, 0.05], [1.0, 0.0]], dtype=np.float32))
    labels = np.array([0, 1])
    assert metrics(scores, labels)["ece"] == pytest.approx(0.475, abs=1e-6)
    diagram = reliability(scores, labels)
    assert diagram["count"][-1] == 2


@pytest.mark.parametrize(
    "words",
    [("model=dnn",), ("model=knn", "model.k=1"), ("model=dnn", "optim.ema=0.5", "augment=shift")],
    ids=["dnn", "knn", "averaged and augmented"],
)
def test_the_training_images_are_measured_where_asked_for(exp, digits, words):
    """By the selected epoch's network, as they are."""
    made = exp("trainer.epochs=3", *words, "metrics.train=true")
    result = train(made, digits, None)
    found = measure(result, digits)
    rows = torch.from_numpy(digits.images[digits.train])
    assert result.classify is not None
    right = result.classify(rows).argmax(1).numpy() == digits.labels[digits.train]
    assert found["train/accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    assert found["train/accuracy"] != found["val/accuracy"]
    if words[0] == "model=knn":
        assert found["train/accuracy"] == 1.0
    unasked = train(dataclasses.replace(made, metrics=dataclasses.replace(made.metrics, train=False)), digits, None)
    same = measure(unasked, digits)
    assert not any(name.startswith("train/") for name in same)
    assert same == {name: value for name, value in found.items() if not name.startswith("train/")}


def test_what_is_measured_on_request_is_scikit_learns(scored):
    scores, labels = scored
    keep = (labels > 2) | (np.arange(len(labels)) % 9 == 0)  # three rare classes
    scores, labels = np.round(scores[keep], 1), labels[keep]  # with ties, in which the first place has no part
    first = (scores == scores.max(1, keepdims=True)).sum(1) == 1
    scores, labels = scores[first], labels[first]
    found, chosen = on_request(ON_REQUEST, scores, labels), scores.argmax(1)
    assert found.pop("balanced_accuracy") == pytest.approx(balanced_accuracy_score(labels, chosen), abs=1e-12)
    assert found.pop("kappa") == pytest.approx(cohen_kappa_score(labels, chosen), abs=1e-12)
    each = [roc_auc_score(labels == k, scores[:, k]) for k in range(10)]
    assert found.pop("auroc") == pytest.approx(np.mean(each), abs=1e-12)
    assert list(found) == [f"recall/{k}" for k in range(10)]
    np.testing.assert_allclose(list(found.values()), recall_score(labels, chosen, average=None), atol=1e-12)


def test_two_classes_have_the_auroc_of_one_of_them():
    logit, labels = np.random.default_rng(0).normal(size=60), np.arange(60) % 3 // 2
    scores = np.stack([-np.logaddexp(0, logit), -np.logaddexp(0, -logit)], 1).astype(np.float32)
    expected = roc_auc_score(labels, scores[:, 1])
    assert on_request(["auroc"], scores, labels) == {"auroc": pytest.approx(expected, abs=1e-12)}


def test_what_is_not_defined_is_left_out():
    scores = np.log(np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1]], np.float32))
    assert on_request(ON_REQUEST, scores, np.array([0, 0])) == {"balanced_accuracy": 1.0, "recall/0": 1.0}
    assert set(on_request(ON_REQUEST, scores, np.array([0, 2]))) == {
        "balanced_accuracy", "kappa", "auroc", "recall/0", "recall/2",
    }  # fmt: skip


def test_a_metric_of_one_class_has_its_entry():
    assert [last_part(n) for n in ("test/recall/3", "recall", "test/3", "corrupt/blur/3/nll")] == [
        "recall", "recall", "3", "nll",
    ]  # fmt: skip
    assert metric("test/recall/3").title == "test recall of class 3"
    assert metric("test/recall/3").unit == "%"
    assert set(ON_REQUEST) <= set(METRICS)


def test_ties_count_as_the_mean_over_all_orders_of_the_classes() -> None:
    """Closed form against every renumbering of six classes, measured by sorting."""
    draws = np.random.default_rng(0)
    scores = draws.integers(0, 3, (40, 6)).astype(np.float32)  # three values: ties everywhere
    labels = draws.integers(0, 6, 40)
    orders = [np.array(order) for order in itertools.permutations(range(6))]
    places = np.stack([order[np.argsort(-scores[:, order], axis=1, kind="stable")] for order in orders])  # [O, N, K]
    for many in (1, 2, 5, 6):
        brute = (places[:, :, :many] == labels[:, None]).any(2).mean(0)
        found = among_first(torch.from_numpy(scores), torch.from_numpy(labels), many)
        np.testing.assert_allclose(found, brute, atol=1e-12)
    matrices = [confusion_matrix(labels, said, labels=range(6)) for said in places[:, :, 0]]
    np.testing.assert_allclose(confusion(scores, labels), np.mean(matrices, axis=0), atol=1e-12)
    assert np.trace(confusion(scores, labels)) / 40 == pytest.approx((places[:, :, 0] == labels).mean(), abs=1e-12)
    logp = np.log(np.exp(scores) / np.exp(scores).sum(1, keepdims=True))
    assert metrics(logp, labels)["accuracy"] == pytest.approx((places[:, :, 0] == labels).mean(), abs=1e-12)


def test_no_metric_asks_how_classes_are_numbered() -> None:
    draws = np.random.default_rng(1)
    scores = np.log(draws.integers(1, 4, (200, 12)).astype(np.float32) / 48)
    labels, order = draws.integers(0, 12, 200), draws.permutation(12)
    found, again = metrics(scores, labels), metrics(scores[:, order], np.argsort(order)[labels])
    assert found == pytest.approx(again, abs=1e-6)
    mean = ("balanced_accuracy", "kappa", "auroc")
    asked = on_request(mean, scores, labels)
    assert asked == pytest.approx(on_request(mean, scores[:, order], np.argsort(order)[labels]), abs=1e-9)
    assert found["accuracy"] < found["top5"] < 1


def test_the_kept_matrix_and_the_named_class_say_ties_by_one_rule(tmp_path) -> None:
    """The matrix of neighbours' votes had all tied images in one column, and its diagonal was not the accuracy."""
    labels, scores = np.array([0, 1, 1]), np.log(np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 1, 0]], np.float32) + 1e-9)
    text = json.dumps({"classes": ["a", "b", "c"], "counts": confusion(scores, labels).tolist()})
    kept = artifacts.confusion(text, "confusion.json")
    assert kept.counts.tolist() == [[0.5, 0.5, 0], [0.5, 1.5, 0], [0, 0, 0]]
    assert np.trace(kept.counts) / 3 == pytest.approx(metrics(scores, labels)["accuracy"])
    page = KINDS["confusion"](text, "run")
    assert page["mistakes"] == [(0.5, 1, "a", "b"), (0.5, 2, "b", "a")]
    assert line(("a", "b", "c"), [0.4, 0.4, 0.2], 1) == "a 40% (2 classes are tied)"
    assert line(("a", "b", "c"), [0.3, 0.5, 0.2], 1) == "b 50%"


def test_a_confidence_on_an_edge_lies_in_one_bin_wherever_it_is_counted():
    """Votes of four neighbours among three classes, and one vote for all of them: multiples of a fifteenth."""
    votes = np.array([[4, 0, 0], [3, 1, 0], [2, 1, 1], [2, 2, 0]])
    scores, labels = log_scores((votes / 4).astype(np.float32), 4), np.array([0, 1, 2, 2])
    bins = reliability(scores, labels)
    filled = [i for i, count in enumerate(bins["count"]) if count]
    gaps = [bins["count"][i] / 4 * abs(bins["confidence"][i] - bins["accuracy"][i]) for i in filled]
    assert sum(gaps) == pytest.approx(metrics(scores, labels)["ece"], abs=1e-6)
