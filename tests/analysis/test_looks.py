"""Looks: which count, at what settings, and when every planned replicate has ended."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.analysis.claims import judge
from bench.analysis.frame import Frame
from bench.analysis.judged import Verdict
from bench.analysis.looks import complete
from bench.analysis.registered import broken_promises
from bench.analysis.settings import settings_of_records
from bench.protocol import register
from bench.report.verdict import describe
from bench.schema.claim import digest
from bench.schema.sweep import Sweep
from bench.track.record import Record
from tests.records import make_records, make_sweep

pytestmark = pytest.mark.usefixtures("undrawn")
AXES = {"norm_layer": ["none", "batch"]}
CLAIM = {"says": "It helps", "compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}


def made(seeds: int = 3, rng: int = 1, **settings: Any) -> list[Record]:
    """Both arms alike: nothing is settled."""
    found = make_records(AXES, lambda _: 0.8, seeds=seeds, sd=0.006, rng=rng)
    return [dataclasses.replace(r, config={**r.config, **settings}) for r in found]


def judged(records: list[Record], looks: list[dict[str, Any]], folder: Path, sweep: Sweep | None = None) -> Verdict:
    sweep = sweep or make_sweep(AXES, claims=[CLAIM], seeds=3)
    out = report.write(sweep, records, folder, {"looks": looks})
    looks.append(json.loads(json.dumps(out.look)))
    return out.verdicts[0]


def test_looks_at_other_settings_do_not_count_and_are_told(tmp_path: Path) -> None:
    """`bench table X`, then `bench sweep X trainer.epochs=30`: the second was judged as if it had no 5% left."""
    looks: list[dict[str, Any]] = []
    first = judged(made(), looks, tmp_path)
    longer = judged(made(rng=2, **{"trainer.epochs": 30}), looks, tmp_path)
    assert (first.word, first.looks.factor) == ("open", 1.0)
    assert (longer.looks.earlier, longer.looks.factor, longer.looks.spent) == ([], 1.0, False)
    assert "Judged at other settings too (trainer.epochs 3, n = 3: open)." in describe(longer)
    again = judged(made(seeds=5), looks, tmp_path)
    assert [look.n for look in again.looks.earlier] == [3]
    assert again.looks.spent


def test_a_look_at_other_code_names_it_by_its_first_letters(tmp_path: Path) -> None:
    looks: list[dict[str, Any]] = []
    judged(made(**{"model.code": "a1b2c3d4" * 8}), looks, tmp_path)
    now = judged(made(rng=2, **{"model.code": "0f" * 32}), looks, tmp_path)
    assert "Judged at other settings too (model.code a1b2c3d4, n = 3: open)." in describe(now)


def test_a_claim_that_came_after_a_look_is_told_each_time_that_the_table_is_made(tmp_path: Path) -> None:
    """The second time it had been looked at, too, and the table said nothing."""
    looks: list[dict[str, Any]] = []
    judged(made(), looks, tmp_path)
    more = make_sweep(AXES, claims=[CLAIM, {**CLAIM, "says": "It hurts", "direction": "less"}], seeds=3)
    for _ in range(2):
        judged(made(), looks, tmp_path, more)
        assert "1 claim was changed or added after a look" in (tmp_path / "table.md").read_text(encoding="utf-8")
    here = {"looks": looks}
    assert broken_promises(more, made(), here) == ["1 claim was changed or added after a look at the results."]
    # Of an earlier design, before the runs of this one: told, and no contradiction.
    fresh = [
        dataclasses.replace(r, seed=r.seed + 10, provenance={"claims_sha256": digest(more.claims)}) for r in made()
    ]
    assert broken_promises(dataclasses.replace(more, seeds=[10, 11, 12]), fresh, {"looks": looks[:1]}) == []
    unsaid = [dataclasses.replace(r, provenance={}) for r in fresh]
    assert len(broken_promises(dataclasses.replace(more, seeds=[10, 11, 12]), unsaid, {"looks": looks[:1]})) == 1


def of_one_arm(records: list[Record], arm: str, **settings: Any) -> list[Record]:
    return [
        dataclasses.replace(r, config={**r.config, **settings}) if r.axes["norm_layer"] == arm else r for r in records
    ]


def test_an_arm_with_other_settings_under_its_old_label_is_another_experiment(tmp_path: Path) -> None:
    """What a look had settled stayed settled when the arm behind the label had become another one."""
    looks: list[dict[str, Any]] = []
    better = make_records(AXES, lambda p: 0.8 + 0.1 * (p["norm_layer"] == "batch"))
    assert judged(of_one_arm(better, "batch", **{"optim.lr": 0.1}), looks, tmp_path).word == "supported"
    alike = made(seeds=5, rng=2)
    now = judged(of_one_arm(alike, "batch", **{"optim.lr": 0.2}), looks, tmp_path)
    assert (now.word, now.looks.earlier) == ("open", [])
    assert "Judged at other settings too (optim.lr 0.1 where norm layer is batch" in describe(now)
    # What one arm alone had, all may have had before.
    assert judged(made(seeds=5, rng=2, **{"optim.lr": 0.1}), looks, tmp_path).looks.decided == "supported"


def test_an_arm_that_had_no_settings_of_its_own_may_get_some(tmp_path: Path) -> None:
    """A look at one weight decay settled a sweep whose arms have two."""
    looks: list[dict[str, Any]] = []
    better = make_records(AXES, lambda p: 0.8 + 0.1 * (p["norm_layer"] == "batch"))
    plain = of_one_arm(of_one_arm(better, "batch", **{"optim.weight_decay": 0}), "none", **{"optim.weight_decay": 0})
    assert judged(plain, looks, tmp_path).word == "supported"
    alike = made(seeds=5, rng=2)
    now = of_one_arm(of_one_arm(alike, "batch", **{"optim.weight_decay": 2}), "none", **{"optim.weight_decay": 1})
    assert (found := judged(now, looks, tmp_path)).word == "open"
    assert "Judged at other settings too (optim.weight_decay 0 where norm layer is" in describe(found)


def test_an_arm_that_a_claim_does_not_name_buys_it_no_new_look(tmp_path: Path) -> None:
    axes = {"norm_layer": ["none", "batch", "group"]}
    sweep = make_sweep(axes, claims=[CLAIM, {"kind": "trend", "says": "x", "over": "norm_layer"}], seeds=3)
    looks: list[dict[str, Any]] = []
    judged(of_one_arm(make_records(axes, lambda _: 0.8), "group", **{"optim.lr": 0.1}), looks, tmp_path, sweep)
    later = of_one_arm(make_records(axes, lambda _: 0.8, seeds=4), "group", **{"optim.lr": 0.2})
    named, over_all = report.write(sweep, later, tmp_path, {"looks": looks}).verdicts
    assert named.looks.spent
    assert not over_all.looks.spent


@pytest.mark.parametrize(
    "settings",
    [{"trainer.threads": 2}, {"dataset.root": "/elsewhere"}, {"split.new_setting": 1}, {"seed": 7}],
    ids=lambda s: next(iter(s)),
)
def test_what_decides_no_number_makes_no_other_settings(tmp_path: Path, settings: dict[str, Any]) -> None:
    looks: list[dict[str, Any]] = []
    judged(made(**{"trainer.threads": 1, "dataset.root": "/here"}), looks, tmp_path)
    assert judged(made(seeds=4, **settings), looks, tmp_path).looks.spent


def test_a_look_of_an_earlier_version_counts(tmp_path: Path) -> None:
    looks: list[dict[str, Any]] = []
    judged(made(), looks, tmp_path)
    del looks[0]["settings"]
    assert judged(made(rng=2, **{"trainer.epochs": 30}), looks, tmp_path).looks.spent


@pytest.mark.parametrize(("claims", "ended", "spent"), [("same", 4, False), ("same", 0, True), ("other", 4, True)])
def test_a_look_of_an_earlier_version_was_at_the_settings_of_its_launch(
    tmp_path: Path, claims: str, ended: int, spent: bool
) -> None:
    """A design of ladder with other budgets was refuted by what the first one had said."""
    looks: list[dict[str, Any]] = []
    judged(made(), looks, tmp_path)
    settings = looks[0].pop("settings")
    launch = {"claims": looks[0]["claims"] if claims == "same" else claims, "seeds": looks[0]["seeds"], "ended": ended}
    sweep = make_sweep(AXES, claims=[CLAIM], seeds=3)
    context = {"looks": looks, "registered": [{**launch, "settings": settings}]}
    longer = made(rng=2, **{"trainer.epochs": 30})
    assert report.write(sweep, longer, tmp_path, context).verdicts[0].looks.spent == spent


def test_another_chosen_candidate_is_the_same_experiment(tmp_path: Path) -> None:
    """More seeds may choose another lr; that buys no new 5%, also where one candidate alone had run."""
    axes = {**AXES, "optim.lr": [0.1, 0.01]}
    sweep = make_sweep(axes, claims=[CLAIM], seeds=3, select={"over": ["optim.lr"]})
    every = make_records(axes, lambda p: 0.8 + p["optim.lr"] / 10, seeds=3, sd=0.006)
    looks: list[dict[str, Any]] = []
    judged([r for r in every if r.axes["optim.lr"] == 0.1], looks, tmp_path, sweep)
    other = make_records(axes, lambda p: 0.8 - p["optim.lr"] / 10, seeds=3, sd=0.006, rng=5)
    assert len(judged(other, looks, tmp_path, sweep).looks.earlier) == 1


def test_an_earlier_word_is_not_said_where_there_is_nothing_to_judge() -> None:
    looks = [{"verdicts": [{"claim": "", "n": 3, "word": "supported", "p": 0.01, "values": "x", "full": True}]}]
    sweep = make_sweep(AXES, claims=[CLAIM])
    from bench.analysis.looks import identity_of

    looks[0]["verdicts"][0]["claim"] = identity_of(sweep.claims[0])
    none = [dataclasses.replace(r, status="missing", metrics={}) for r in made()]
    (found,) = judge(sweep, none, {"looks": looks})
    assert (found.word, found.n) == ("open", 0)


def test_launches_at_other_settings_plan_nothing_here() -> None:
    sweep = make_sweep(AXES, claims=[CLAIM], seeds=3)
    records, claims = made(), digest(sweep.claims)
    here = {"event": "launch", "claims": claims, "seeds": [0, 1, 2], "settings": settings_of_records(sweep, records)}
    longer = {**here, "claims": "other", "seeds": [0, 1, 2, 3, 4], "settings": {"trainer.epochs": 30}}
    assert broken_promises(sweep, records, {"registered": [here, longer]}) == []
    same = {**here, "seeds": [0, 1, 2, 3, 4]}
    assert broken_promises(sweep, records, {"registered": [here, same]}) == ["Planned and missing: seeds 3, 4."]


CROSSED = {**AXES, "split.seed": [0, 1]}


def crossed(seeds: int = 3) -> list[Record]:
    return make_records(CROSSED, lambda p: 0.8 + 0.05 * (p["norm_layer"] == "batch"), seeds=seeds, sd=0.002)


def test_a_seed_has_ended_when_all_of_its_splits_have() -> None:
    sweep = make_sweep(CROSSED, claims=[CLAIM], seeds=3, replicates=["seed", "split.seed"])
    every = crossed()
    assert complete(Frame(every, sweep), sweep, {}, {})
    running = [
        dataclasses.replace(r, status="running", metrics={}) if (r.seed, r.axes["split.seed"]) == (2, 1) else r
        for r in every
    ]
    assert not complete(Frame(running, sweep), sweep, {}, {})
    assert not complete(Frame([r for r in every if (r.seed, r.axes["split.seed"]) != (2, 1)], sweep), sweep, {}, {})


def test_a_manifest_of_crossed_replicates_has_each_run_at_its_own_split(tmp_path: Path) -> None:
    """All splits of a cell stood at the first one's place, so that `bench reproduce --check` contradicted itself."""
    sweep = make_sweep(CROSSED, claims=[CLAIM], seeds=3, replicates=["seed", "split.seed"])
    report.write(sweep, crossed(), tmp_path, {})
    points = json.loads((tmp_path / "manifest.json").read_text())["points"]
    assert sorted((p["axes"]["norm_layer"], p["axes"]["split.seed"], len(p["runs"])) for p in points) == [
        ("batch", 0, 3), ("batch", 1, 3), ("none", 0, 3), ("none", 1, 3),
    ]  # fmt: skip


def test_launches_at_the_same_moment_are_one_entry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both followed the same line, and the log was said to have been edited ever after."""
    path, commit, together = folder / register.FILE, register.code_version, threading.Barrier(3)

    def slow() -> tuple[str, str]:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.3)
        return commit()

    monkeypatch.setattr(register, "code_version", slow)
    launches = [threading.Thread(target=register.launch, args=(path, "c", [0], 0, 1)) for _ in range(3)]
    for launch in launches:
        launch.start()
    for launch in launches:
        launch.join()
    assert len(register.read(path)) == 1
    assert register.find_breaks(path) == []


def test_a_launch_at_other_settings_is_another_entry(folder: Path) -> None:
    path = folder / register.FILE
    assert register.launch(path, "c", [0, 1], 0, 4, {"trainer.epochs": 3})
    assert not register.launch(path, "c", [0, 1], 4, 4, {"trainer.epochs": 3})
    assert register.launch(path, "c", [0, 1], 0, 4, {"trainer.epochs": 30})
    assert not register.launch(path, "c", [0, 1], 4, 4, {"trainer.epochs": 3})
    assert register.find_breaks(path) == []


def test_long_entries_reach_the_store_whole(folder: Path) -> None:
    """What was longer than a parameter may be was left out of the store without a word."""
    from bench.track.store import Store

    store, path = Store(f"sqlite:///{folder / 'mlflow.db'}"), folder / register.FILE
    register.launch(path, "c", [0, 1], 0, 4, {f"setting.{i}": "x" * 40 for i in range(300)})
    register.append(path, {"event": "look", "seeds": [0], "verdicts": []})
    for _ in range(2):  # again writes nothing more
        register.publish(store, "made", path)
        assert register.read_stored(Store(store.uri), "made") == register.read(path)
