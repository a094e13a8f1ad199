"""What is drawn anew is called by its name wherever numbers over it stand."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from bench.analysis.claims import judge
from bench.analysis.frame import Frame
from bench.report import write
from bench.report.pages import site
from bench.report.verdict import describe
from bench.track.record import Record
from tests.records import make_records, make_sweep

AXES = {"model": ["a", "b"], "split.seed": [1, 2, 3]}
CLAIM = {"says": "It helps", "compare": {"model": "a"}, "against": {"model": "b"}}


def crossed() -> list[Record]:
    made = make_records(AXES, lambda at: 0.9 if at["model"] == "a" else 0.8)
    return [dataclasses.replace(r, config={**r.config, "split.seed": r.axes["split.seed"]}) for r in made]


def test_seeds_crossed_with_splits_are_replicates_everywhere(tmp_path: Path) -> None:
    figure = {"kind": "bars", "x": "model"}
    made = make_sweep(AXES, replicates=["seed", "split.seed"], table={"rows": "model"}, figure=figure, claims=[CLAIM])
    folder = tmp_path / "results" / "made"
    write(made, crossed(), folder, {"command": "bench sweep made"})
    site.build(folder.parent)
    page = (folder / "index.html").read_text()
    said = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    assert "Means over seeds and splits" in said
    assert "n = 9 replicates" in said
    assert not re.search(r"n = \d+ seeds|single seeds|n seeds|over seeds(?! and splits)", said)
    assert "Single replicates" in page
    assert "over n replicates (seeds and splits)" in page


def test_one_seed_on_many_splits_says_nothing_over_seeds() -> None:
    made = make_sweep(AXES, replicates=["seed", "split.seed"], claims=[CLAIM])
    [verdict] = judge(made, [r for r in crossed() if r.seed == 0])
    assert "over splits." in describe(verdict)
    assert Frame(crossed(), made).replicates == "seeds and splits"
