"""`bench cite`: BibTeX that BibTeX would read, for everything that a sweep used."""

from __future__ import annotations

import re

from bench.cli.cite import entries, papers
from bench.data.catalog import CARDS
from bench.models.registry import ENTRIES
from tests.conftest import REPO


def test_every_paper_of_the_registry_and_the_catalog_has_an_entry() -> None:
    for text in [e.paper for e in ENTRIES] + [card.paper for card in CARDS.values()]:
        found = papers(text)
        assert found, text
        assert not any("to be filled in" in entry for entry in found), text
    assert papers("nobody, unpublished") == []


def test_entries_are_well_formed() -> None:
    for key, entry in entries().items():
        assert re.fullmatch(r"@\w+\{\w+(, \w+ = \{.*?\})+\}", entry), key
        assert entry.count("{") == entry.count("}"), key
        assert re.search(r"title = \{.+?\}, author = \{.+?\}.* year = \{\d{4}\}", entry), key


def test_a_paper_that_is_a_number_only_says_so() -> None:
    (entry,) = papers("Somebody & Other 2031, arXiv:3101.00001")
    assert "author = {Somebody and Other}, year = {2031}, eprint = {3101.00001}" in entry
    assert "title to be filled in" in entry


def test_a_committed_sweep(bench, bench_json, monkeypatch) -> None:
    monkeypatch.chdir(REPO)
    status, out, _ = bench("cite", "translation")
    assert status == 0
    for word in ("@software{imagebench", "lecun1998gradient", "data set mnist5k, licence"):
        assert word in out
    assert out.count("lecun1998gradient") == 1  # data set and model: one entry, both named above it
    assert [one["bibtex"] for one in bench_json("cite")] == [out.split("\n\n")[0].splitlines()[1]]
    assert "ioffe2015batchnorm" in bench("cite", "batchnorm")[1]
    assert bench("cite", "batchnrm")[0] == 2
