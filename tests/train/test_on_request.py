"""Metrics on request: named in a run, or because a sweep shows them; the others stay as they were."""

import pytest

from bench.schema.errors import RequestError
from bench.schema.run_key import run_key
from bench.sweep.file import read
from bench.sweep.plan import at_scale, points
from bench.track.store import Store


def test_they_are_measured_where_named_and_are_part_of_the_key(exp, folder, bench):
    word = "metrics.names=[balanced_accuracy,recall,kappa,auroc]"
    words = ("dataset=digits", "model=linear", "trainer.epochs=2")
    assert run_key(exp(word), "d") != run_key(exp(), "d")
    status, out, err = bench("run", *words, word)
    assert status == 0, err
    for name in ("balanced_accuracy", "kappa", "auroc", "recall/9"):
        assert f"test  {name}" in out
    status, out, _ = bench("run", *words)
    assert status == 0
    assert "kappa" not in out


def test_an_unknown_one_is_told_with_what_there_is(exp):
    with pytest.raises(RequestError, match="Expected one of: auroc, balanced_accuracy, kappa, recall"):
        exp("metrics.names=[kapa]")


def test_a_sweep_measures_what_it_shows(folder):
    (folder / "sweeps").mkdir()
    (folder / "sweeps/mine.yaml").write_text(
        "question: Is the rare class found?\nbase: [dataset=digits, model=linear]\naxes: {optim.lr: [0.1, 0.01]}\n"
        "seeds: 2\ntable: {rows: optim.lr, metric: [test/accuracy, test/kappa, test/recall/3]}\n"
    )
    planned = points(at_scale(read("mine"), "smoke"))
    assert {p.experiment.metrics.names for p in planned} == {("kappa", "recall")}


@pytest.mark.parametrize(
    ("base", "names"),
    [("metrics.names=[auroc]", ("auroc", "kappa")), ("metrics.names=[recall,kappa]", ("kappa", "recall"))],
)
def test_what_the_base_names_is_measured_beside_it(folder, base, names):
    """It took the place of what the table shows, whose column was then empty."""
    (folder / "sweeps").mkdir()
    (folder / "sweeps/mine.yaml").write_text(
        f"question: Is it?\nbase: [dataset=digits, model=linear, '{base}', metrics.train=false]\nseeds: 1\n"
        "axes: {optim.lr: [0.1]}\ntable: {rows: optim.lr, metric: [test/kappa, train/accuracy]}\n"
    )
    (planned,) = points(at_scale(read("mine"), "smoke"))
    assert (planned.experiment.metrics.names, planned.experiment.metrics.train) == (names, True)
    (other,) = points(at_scale(read("mine"), "smoke"), ["metrics.names=[balanced_accuracy]"])
    assert "kappa" in other.experiment.metrics.names


def test_the_store_gives_back_what_was_measured(folder, bench, bench_json):
    """Metrics of the training images were logged and not read."""
    made = bench_json("run", "dataset=digits", "model=linear", "metrics.train=true",
                      "metrics.names=[kappa]", "trainer.seconds=0.1")  # fmt: skip
    record = Store(None).get(made["run_id"])
    assert record.metrics == made["metrics"]
    assert {"train/accuracy", "train/kappa", "test/kappa"} <= record.metrics.keys()
    assert record.provenance["repeatable"].startswith("no: trainer.seconds")
