"""What a sweep may state, on the command line and in its file, and what is refused before anything runs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.compose import compose
from bench.schema.errors import RequestError
from bench.schema.secrets import redact_text
from bench.schema.sweep_file import sweep
from bench.sweep.estimate import Estimate, estimate
from bench.sweep.file import axis_of, from_axes, read
from bench.sweep.plan import points
from bench.track.record import Record

LR = ("--axes", "optim.lr=1e30,0.1", "--seeds", "2", "dataset=digits", "model=dnn", "optim=sgd", "trainer.epochs=1")


def made(**more: Any) -> Any:
    axes = {"model": ["linear", "dnn", "knn"], "optim.lr": [0.1, 0.01, 0.001], "trainer.epochs": [1, 2]}
    return sweep({"name": "s", "question": "?", "base": ["dataset=digits"], "seeds": 1, "axes": axes, **more}, "s")


def test_axes_go_together_and_combinations_are_left_out() -> None:
    together = points(made(zip=[["model", "optim.lr"]]))
    assert [(p.axes["model"], p.axes["optim.lr"], p.axes["trainer.epochs"]) for p in together] == [
        ("linear", 0.1, 1), ("linear", 0.1, 2), ("dnn", 0.01, 1), ("dnn", 0.01, 2),
        ("knn", 0.001, 1), ("knn", 0.001, 2),
    ]  # fmt: skip
    left = points(made(exclude=[{"model": "knn"}, {"model": "dnn", "optim.lr": 0.1}]))
    assert len(left) == 18 - 6 - 2
    several = points(made(exclude=[{"model": ["knn", "dnn"], "optim.lr": [0.1, 0.01]}]))
    assert len(several) == 18 - 2 * 2 * 2
    lists = {"model.hidden": [[8], [8, 8]], "optim.lr": [0.1, 0.01]}
    whole = points(made(axes=lists, base=["dataset=digits", "model=dnn"], exclude=[{"model.hidden": [8, 8]}]))
    assert [p.axes["model.hidden"] for p in whole] == ["[8]", "[8]"]
    with pytest.raises(RequestError, match="equally many values"):
        made(zip=[["model", "trainer.epochs"]])
    with pytest.raises(RequestError, match="twice"):
        made(zip=[["model", "optim.lr"], ["optim.lr", "trainer.epochs"]])
    with pytest.raises(RequestError, match="the axis does not have"):
        made(exclude=[{"model": "resnet"}])
    for nothing in ({}, {"model": []}):
        with pytest.raises(RequestError, match=r"exclude\[0\] names no value"):
            made(exclude=[nothing])
    with pytest.raises(RequestError, match=r"says model: resnet, which the axis does not have"):
        made(exclude=[{"model": ["knn", "resnet"]}])


@pytest.mark.parametrize("word", ["optim.lr=0.5", "seed=5", "+optim.lr=0.5", "model=linear"])
def test_an_override_that_would_be_replaced_is_refused(word: str) -> None:
    with pytest.raises(RequestError, match=r"is an axis of sweep s|seeds of its own"):
        points(made(), [word])
    labelled = made(axes={"how": {"slow": ["optim.lr=0.1"], "fast": ["optim.lr=0.5"]}})
    if "lr" in word:
        with pytest.raises(RequestError, match="is an axis"):
            points(labelled, [word])


@pytest.mark.parametrize(
    "what",
    [
        {"axes": {"model": ["linear"], "seed": [0, 1]}},
        {"axes": {"how": {"a": ["seed=3"], "b": ["optim.lr=0.1"]}}},
        {"base": ["dataset=digits", "seed=3"]},
    ],
)
def test_seeds_are_no_axis_and_no_setting(what: dict[str, Any]) -> None:
    """A setting was replaced without a word, an axis was told as two values of one experiment."""
    with pytest.raises(RequestError, match=r"seeds of its own.*--seeds 0,1,2"):
        points(made(**what))


def test_an_axis_of_whatever_fits_a_pattern() -> None:
    """Hydra's glob() looks into the groups, shipped and own."""
    assert axis_of("model=glob(linea*)") == ("model", ["linear"])
    with pytest.raises(RequestError, match=r"interval.*|INTERVAL.*Expected values such as"):
        axis_of("optim.lr=interval(1,2)")


def test_an_axis_of_texts_with_colons_and_blanks() -> None:
    """Hydra marks them with backslashes, which are no part of a value."""
    assert axis_of("transfer.weights=run:ab,run:cd") == ("transfer.weights", ["run:ab", "run:cd"])
    assert axis_of("a=x y,/b:c,[1,2],1e-3") == ("a", ["x y", "/b:c", [1, 2], 0.001])


def test_what_is_too_large_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Any) -> None:
    """Built or counted one by one, each of these would outlast the limit of a test."""
    axes = [f"optim.{name}=range(1,101)" for name in ("lr", "weight_decay", "momentum")]
    with pytest.raises(RequestError, match="10,000,000 points"):
        points(from_axes("s", axes, [], 10))
    with pytest.raises(RequestError, match="more than 10,000 values"):
        from_axes("s", ["optim.lr=range(0,10000000)"], [], 1)
    with pytest.raises(RequestError, match="most points"):
        points(from_axes("s", ["optim.lr=1,2"], [], 10**9))
    for endless in ("sort(shuffle(range(1,100000000)))", "range(0,1,1e-12)", "[" * 2000, "x" * 10**6, "9" * 5000):
        with pytest.raises(RequestError, match=r"more than 10,000 values|Cannot read|characters|digits"):
            points(from_axes("s", [f"optim.lr={endless}"], ["dataset=digits"], 1))
    many = {f"optim.x{i}": [1, 2] for i in range(5000)}
    with pytest.raises(RequestError, match=r"more than 10\^30 points"):
        points(made(axes=many))
    with pytest.raises(RequestError, match="and 9,900 more"):
        made(**{f"k{i}": 1 for i in range(10_000)})
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
    for text, said in (
        (bomb, "entries"), ("[" * 5000, "nested|not YAML"), ("x" * 2**21, "bytes"), (f"a: {'9' * 9999}", "digits"),
        (f"a: 0x{'f' * 9999}", "digits"), ("a: 2024-13-45", "not YAML"),
        ("".join(f"k{i}: 1\n" for i in range(20_000)), "k0"),
    ):  # fmt: skip
        (tmp_path / "s.yaml").write_text(text)
        with pytest.raises(RequestError, match=said):
            read(str(tmp_path / "s.yaml"))
    own = tmp_path / "conf" / "model" / "mine.yaml"
    own.parent.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for text, said in ((f"family: dnn\n{bomb}", "entries"), (f"hidden: {'[' * 5000}{']' * 5000}", "nested")):
        own.write_text(text)
        with pytest.raises(RequestError, match=f"mine.yaml .*{said}"):
            compose(["model=mine"])
    own.unlink()
    status, _, err = bench("run", "-m", *(f"{axis}=range(1,1000)" for axis in ("optim.lr", "seed", "trainer.epochs")))
    assert (status, "997,002,999 runs" in err) == (2, True), err
    assert len(redact_text("x" * 400_000)) == 400_000


def test_half_a_flag_is_no_flag(folder: Path, bench: Any) -> None:
    status, _, err = bench("sweep", "batchnorm", "--seed", "5", "--dry-run")
    assert status == 2
    assert "--seed" in err


def test_an_estimate_is_by_runs_of_the_same_cell() -> None:
    todo = points(from_axes("s", ["model=linear,dnn"], ["dataset=digits"], [5, 6]))
    assert estimate(todo, [], None) == Estimate(None, None, 0)
    ran = [
        Record(key=f"{m}{s}", sweep="s", axes={"model": m}, seed=0, status="finished", costs={"cost/fit_seconds": s})
        for m, s in (("linear", 1.0), ("linear", 3.0))
    ]
    assert estimate(todo, ran, None) == Estimate(8.0, None, 2)  # dnn never ran: the mean of all
    assert estimate(todo, [*ran, *ran], None).runs == 2  # as a plan finds them: by their point, and by their sweep
    ran.append(dataclasses.replace(ran[0], key="dnn", axes={"model": "dnn"}, costs={"cost/fit_seconds": 10.0}))
    assert estimate(todo, ran, None).seconds == 2 * 2.0 + 2 * 10.0


def test_a_launcher_that_is_not_there_is_refused_before_a_plan_promises_it(folder: Path, bench: Any) -> None:
    for words in ([*LR, "--dry-run"], ["batchnorm", "--scale", "smoke"]):
        status, _, err = bench("sweep", *words, "hydra/launcher=rai")
        assert status == 2
        assert "Did you mean 'ray'" in err
        assert "Next:" not in err
    assert not (folder / "results").exists()  # and before the launch is registered


@pytest.mark.slow
def test_a_plan_lists_its_points_and_estimates_and_what_was_stated_has_a_name(folder: Path, bench: Any) -> None:
    status, out, err = bench("sweep", *LR, "--dry-run")
    assert out.count("to do ") == 4
    assert "nothing to estimate" in err
    assert not (folder / ".imagebench").exists()

    status, out, err = bench("sweep", *LR, "--fail-fast", "--workers", "1")
    assert status == 1
    assert "Stopped at the first failure" in err
    assert "Next: bench table adhoc --scale small" in err

    status, out, err = bench("sweep", *LR, "--dry-run")
    assert 1 <= out.count("failed ") <= 2  # the second may have begun
    assert out.count("to do ") + out.count("failed ") == 4
    status, out, _ = bench("table", "adhoc")
    assert status == 0
    assert "optim.lr" in out


def test_a_table_keeps_what_only_the_committed_records_have(folder: Path, empty_store: Path, bench: Any) -> None:
    """On a machine with a store of its own: the files of the committed runs had been left out."""
    words = ("--axes", "model=knn,ncm", "dataset=digits", "--scale", "smoke", "--seeds", "1")
    assert bench("sweep", *words, "--workers", "1")[0] == 0
    for _ in range(2):
        status, _, err = bench("table", *words)
        assert status == 0, err
        with np.load(folder / "results" / "adhoc-smoke" / "predictions.npz") as kept:
            assert len(json.loads(kept["index"].tobytes())) == 2
        shutil.copy(empty_store, folder / "mlflow.db")
