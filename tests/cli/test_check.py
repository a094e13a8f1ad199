"""`bench check`, and what the verbs that run or show results do about its findings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.compose import compose
from bench.data import fingerprint
from bench.data.finding import NAMES
from bench.schema.experiment import experiment
from tests.data.conftest import class_folders


def test_check_as_a_verb(folder: Path, bench, bench_json) -> None:
    found = bench_json("check", "dataset=digits", "augment=flip", "model=cnn")
    assert [f["name"] for f in found["findings"]] == ["flip_changes_label"]
    assert not (folder / "mlruns").exists()

    (folder / "sweeps").mkdir()
    text = "question: Does it?\nbase: [dataset=digits]\naxes: {augment: [none, flip]}\n"
    (folder / "sweeps" / "mine.yaml").write_text(text)
    status, out, _ = bench("check", "mine")
    assert status == 0
    assert "warning: flip_changes_label" in out
    (folder / "sweeps" / "mine.yaml").write_text(
        text + "allow: {flip_changes_label: mirrored digits are the question}\n"
    )
    _, out, _ = bench("check", "mine")
    assert "Allowed: mirrored digits are the question" in out

    (folder / "sweeps" / "mine.yaml").write_text(text + "allow: {flip_change_label: a reason in words}\n")
    status, _, err = bench("check", "mine")
    assert status == 2
    assert "Did you mean 'flip_changes_label'" in err
    assert bench_json("check", "--names").keys() == NAMES.keys()

    class_folders(folder / "photos" / "train")
    class_folders(folder / "photos" / "val", each=4)
    for path in (folder / "photos" / "val").rglob("*.png"):
        copy = folder / "photos" / "test" / path.relative_to(folder / "photos" / "val")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    status, out, _ = bench("check", "dataset=folder", "dataset.root=photos")
    assert status == 2
    assert "error: val_is_test" in out


UNTRAINABLE = {
    "Batch norm cannot train on one image": ["model=dnn", "norm_layer=batch", "trainer.batch_size=1"],
    "is not for levit_128s": ["model=timm", "model.name=levit_128s", "transfer.size=224", "norm_layer=none"],
    "optim.weight_decay: rprop has none": ["model=linear", "optim.name=rprop", "optim.weight_decay=0.1"],
    "Unknown stage in transfer.trainable_from": [
        "model=efficientnet_lite0",
        "transfer=partial",
        "transfer.trainable_from=x",
    ],
}


@pytest.mark.parametrize("reason", UNTRAINABLE)
def test_what_a_run_refuses_once_its_network_is_built_is_said_before_it(folder: Path, bench, reason: str) -> None:
    status, out, _ = bench("check", "dataset=digits", *UNTRAINABLE[reason])
    assert status == 2
    assert "error: cannot_run" in out
    assert reason in out


def test_cells_of_a_sweep_that_will_fail_are_a_warning(folder: Path, bench_json) -> None:
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "mine.yaml").write_text(
        "question: Does it?\nseeds: 2\nbase: [dataset=digits, model=dnn, trainer.accumulate=128]\n"
        "axes: {norm_layer: [none, batch]}\n"
    )
    (found,) = (f for f in bench_json("check", "mine")["findings"] if f["name"] == "cannot_run")
    assert found["level"] == "warning"
    assert found["reason"].startswith("2 of 4 runs: Batch norm cannot train on one image")


CHOOSING = {
    "file": "select: {over: [optim.lr], by: test/accuracy}\n",
    "corrupted test images": "select: {over: [optim.lr], by: corrupt/noise/3/accuracy}\n",
    "axis": "base: [dataset=digits, trainer.select=test/accuracy]\n",
}


@pytest.mark.parametrize("how", CHOOSING)
def test_selection_on_test_is_an_error_by_name(how: str, folder: Path, bench, bench_json) -> None:
    (folder / "sweeps").mkdir()
    text = "question: Does it?\naxes: {optim.lr: [0.1, 0.2]}\n" + CHOOSING[how]
    if how != "axis":
        text += "base: [dataset=digits]\n"
    (folder / "sweeps" / "mine.yaml").write_text(text)
    status, out, _ = bench("check", "mine", "--json")
    (found,) = json.loads(out)["findings"]
    assert (status, found["name"], found["level"]) == (2, "selection_on_test", "error")
    assert "never on test" in found["remedy"]
    for verb in ("sweep", "table"):
        status, out, err = bench(verb, "mine")
        assert (status, out) == (2, "")
        assert "selection_on_test" in err
    # No reason allows it, whether it is there or not.
    (folder / "sweeps" / "mine.yaml").write_text(text + "allow: {selection_on_test: it is only a trial}\n")
    assert bench("check", "mine")[0] == bench("sweep", "mine")[0] == 2
    plain = "question: Does it?\nbase: [dataset=digits]\naxes: {optim.lr: [0.1, 0.2]}\n"
    (folder / "sweeps" / "mine.yaml").write_text(plain + "allow: {selection_on_test: it is only a trial}\n")
    status, _, err = bench("check", "mine")
    assert status == 2
    assert "no reason allows" in err


def test_an_epoch_is_never_chosen_on_test(folder: Path, bench) -> None:
    for verb in ("run", "check"):
        status, out, err = bench(verb, "dataset=digits", "trainer.select=test/accuracy")
        assert status == 2
        assert "selection_on_test" in out + err


def test_the_shipped_partial_freezing_is_clean(folder: Path, bench_json) -> None:
    words = [
        "dataset=digits",
        "model=resnet",
        "transfer=partial",
        "transfer.trainable_from=head",
        "transfer.weights=run:x",
    ]
    assert bench_json("check", *words, "norm_layer=batch")["findings"] == []


def test_runs_and_sweeps_check_frozen_parts_themselves(folder: Path, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a `training_mode` that forgets evaluation mode, as many a training script does."""
    from torch import nn

    from bench.models import transfer

    def careless(net: nn.Module, _transfer: object, _epoch: int = 0) -> None:
        net.train()

    words = ["dataset=digits", "model=resnet", "norm_layer=batch", "transfer=partial", "transfer.trainable_from=head"]
    words += ["transfer.weights=run:x"]
    monkeypatch.setattr(transfer, "training_mode", careless)
    for call in (["run", *words], ["sweep", "--axes", "optim.lr=0.1,0.2", "--seeds", "1", "--name", "mine", *words]):
        status, _, err = bench(*call)
        assert status == 2
        assert "frozen_updates: 19 frozen norm layers" in err
        assert "nothing was run" in err


def test_looks_at_one_test_split_add_up_over_training_subsets(folder: Path, bench: Any) -> None:
    from bench.protocol import register
    from bench.protocol.ledger import decisions, looks, tests_of

    for subset in ("split.train_per_class=5", "split.train_per_class=10"):
        assert bench("run", "dataset=digits", "model=ncm", subset)[0] == 0
    exps = [experiment(compose(["dataset=digits", "model=ncm", *more])) for more in ([], ["split.seed=1"])]
    keys = [fingerprint(exp.dataset, exp.split) for exp in exps]
    assert looks(exps, keys) == dict(zip(keys, (2, 0), strict=True))
    # Another store, committed results, and runs that were deleted: a look is never undone.
    elsewhere = f"tracking.uri=sqlite:///{folder / 'other.db'}"
    shutil.copy(folder / "mlflow.db", folder / "other.db")
    for more in ([], ["split.train_per_class=7"]):
        assert bench("run", "dataset=digits", "model=ncm", *more, elsewhere)[0] == 0
    other = [experiment(compose(["dataset=digits", "model=ncm", elsewhere]))]
    assert looks(other, keys[:1]) == {keys[0]: 4}  # the two of before are in both stores, and count once
    assert looks(exps, keys)[keys[0]] == 4
    (folder / "other.db").unlink()
    assert looks(exps, keys)[keys[0]] == 4
    kept = folder / "results" / "x" / "records.csv"
    kept.parent.mkdir(parents=True)
    test = tests_of(exps, keys)[keys[0]]
    kept.write_text(f"key,status,prov.test_fingerprint\nnew,finished,{test}\nold,failed,{test}\n")
    assert looks(exps, keys)[keys[0]] == 5
    assert decisions(exps, keys, None, "mine") == 0
    register.append(register.log_file("x"), {"event": "look", "seeds": [0], "verdicts": []})
    register.append(register.log_file("y"), {"event": "look", "seeds": [0], "verdicts": [], "tests": [test]})
    register.append(register.log_file("z"), {"event": "look", "seeds": [0], "verdicts": [], "tests": ["another"]})
    assert decisions(exps, keys, None, "mine") == 2
    assert decisions(exps, keys, None, "y") == 1
