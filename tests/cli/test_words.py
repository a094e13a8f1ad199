"""What people write by habit: flags that are settings, `help`, and the "Next:" lines, which are run as they stand."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

TINY = ["--axes", "model=linear", "optim.lr=0.1,0.01", "--seeds", "2", "dataset=digits", "trainer.epochs=1"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("sweep batchnorm --seed 5 --dry-run", "Did you mean '--seeds'?"),
        ("sweep batchnorm --resume", "the same command goes on"),
        ("sweep batchnorm --force", "Did you mean '--fresh'?"),
        ("sweep batchnorm seed=4 --dry-run", "--seeds"),
        ("sweep batchnorm norm_layer=batch --dry-run", "is an axis of sweep batchnorm"),
        ("run --seed 3", "seed=3"),
        ("run --lr=0.2", "optim.lr=0.2"),
        ("run --epochs 3 --json", "trainer.epochs=3"),
        ("run --model cnn", "model=cnn"),
        ("run --fersh", "Did you mean '--fresh'?"),
        ("run lr=0.1", "optim.lr"),
        ("report --rseults x", "Did you mean '--results'?"),
        ("report somewhere", "unrecognized arguments: somewhere"),
    ],
)
def test_what_was_meant_is_told_and_nothing_runs(tmp_path: Path, monkeypatch, bench, words: str, told: str) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = bench(*words.split())
    assert status == 2
    assert told in err
    assert not list(tmp_path.iterdir())


def test_help_is_a_word_too(bench) -> None:
    assert bench("help")[1] == bench("--help")[1]
    with pytest.raises(SystemExit, match="0"):
        bench("help", "sweep")
    assert bench("help", "swep")[0] == 2


def test_cfg_job_shows_the_defaults(bench) -> None:
    _, out, _ = bench("run", "--cfg", "job", "optim.lr=0.2")
    assert "  lr: 0.2\n" in out
    assert "  label_smoothing: 0.0\n" in out
    assert bench("run", "--cfg=job", "optim.lr=0.2")[1] == out


def following(said: str) -> list[str]:
    """The words of the last "Next:" line, as a shell would give them; what they do stands behind three spaces."""
    line = [line for line in said.splitlines() if line.startswith("Next: bench ")][-1]
    return shlex.split(line.removeprefix("Next: bench ").split("   ")[0])


def test_next_lines_do_the_next_thing(folder: Path, bench) -> None:
    status, _, err = bench("sweep", *TINY, "--dry-run", "--name", "mine")
    assert status == 0
    status, out, err = bench(*following(err))
    assert (status, "4 ran" in out) == (0, True)
    status, out, _ = bench(*following(err))
    assert status == 0
    assert "(n=2)" in out
    assert bench(*following(out))[0] == 0
    assert (folder / "results" / "mine" / "index.html").is_file()

    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "own.yaml").write_text(
        "question: Which?\nbase: [dataset=digits, model=linear]\naxes: {optim.lr: [0.1, 0.01]}\nseeds: 3\n"
        "table: {rows: optim.lr}\n"
    )
    status, _, err = bench("sweep", "own", "--seeds", "5", "trainer.epochs=1", "--dry-run")
    assert following(err) == ["sweep", "own", "trainer.epochs=1", "--scale", "small", "--seeds", "5"]


def test_a_run_says_at_once_what_it_will_do(folder: Path, bench) -> None:
    words = ["run", "dataset=digits", "model=linear", "trainer.epochs=1"]
    _, out, err = bench(*words)
    assert "digits: 1,294 / 144 / 359 images" in err
    assert "linear, adam at lr 0.001, 1 epoch of batches of 128; on the CPU" in err
    assert "linear on digits" in out
    assert bench(*words, "--json", "--fresh")[2] == ""
