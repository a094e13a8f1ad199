"""Paths and names of any signs work as overrides, on axes and in sweep files; what cannot is told with what does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.compose import compose
from bench.compose.overrides import parse
from bench.compose.quoting import quote_override
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment
from bench.schema.label import canonical_text, show
from bench.schema.sweep import steps_of
from bench.sweep.file import axis_of

SIGNS = [
    "/donnees/été",
    "a = b",
    "{x}",
    "[x,y]",
    "(1)",
    "#1",
    "a & b; c",
    "~/photos",
    "it's",
    'a "b"',
    "2024",
    "a\\b",
    "猫",
]


@pytest.mark.parametrize("value", SIGNS)
def test_a_path_of_any_signs_is_read_as_it_is(value: str) -> None:
    config = compose(["dataset=folder", f"dataset.root={value}"])
    assert experiment(config).dataset.root == value


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=",$"), min_size=1))
def test_a_path_of_any_text_is_read_as_it_is(text: str) -> None:
    (override,) = parse([f"dataset.root=/data/{text}"])
    assert override.value() == f"/data/{text}"


def test_an_axis_value_with_a_comma_is_one() -> None:
    (_, (one,)), (_, (other,)) = steps_of("dataset.root", ["/it's, here", "/b"])
    assert parse([one])[0].value() == "/it's, here"
    assert other == "dataset.root=/b"


def test_what_has_a_meaning_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for word in ("optim.lr=0.1,0.2", "dataset.root='a b'", "dataset.root=null", "dataset.root=a,b", "model=cnn"):
        assert quote_override(word) == word
    (tmp_path / "a,b").mkdir()
    assert quote_override("dataset.root=a,b") == "dataset.root='a,b'"
    assert quote_override("dataset.root=a/${seed}") == "dataset.root=a/${seed}"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "${seed}").mkdir()
    assert experiment(compose(["dataset=folder", "dataset.root=a/${seed}"])).dataset.root == "a/${seed}"
    assert axis_of("dataset.root='a, b',c")[1] == ["a, b", "c"]
    assert axis_of("dataset.label_column='007','7'")[1] == ["007", "7"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["lr=0.1"], "Unknown setting 'lr'. Did you mean 'optim.lr'"),
        (["model=cnn", "model.k=3"], "It belongs to knn: model=knn"),
        (["dataset.size=64"], "It belongs to .*folder"),
        (["optim.lr=None"], "optim.lr=null"),
        (["dataset=folder", "dataset.root=${y}"], r"Where the sign itself is meant, as in a path: NAME='a\\\$\{b\}'"),
        (["optim.lr=a(b"], "\"optim.lr='a\\(b'\""),
        (["hydra/sweeper=optuna"], "Optuna below 3 only. A search with any Optuna calls bench.run"),
    ],
)
def test_the_message_says_what_works(overrides: list[str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        experiment(compose(overrides))


def test_labels_with_leading_zeros_are_themselves() -> None:
    assert len({canonical_text(v) for v in ("007", "07", "7")}) == 3
    assert show("007") == "007"
    assert canonical_text("1e-1") == canonical_text(0.1) == canonical_text("0.1")
