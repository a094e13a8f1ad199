"""Is a comparison fair? Doubts on the table and under the verdicts that they concern."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from bench import report
from bench.analysis.claims import judge
from bench.analysis.fairness import doubts, foresee
from bench.analysis.frame import select_frame
from bench.analysis.statement import counts
from bench.report.verdict import describe
from bench.track.record import Record
from tests.records import make_records, make_sweep

AXES = {"model": ["a", "b", "c"], "optim.lr": [0.01, 0.1, 1.0]}
CLAIM = {"says": "a helps", "compare": {"model": "a"}, "against": {"model": "b"}}
SELECT = {"over": ["optim.lr"], "seeds": [3, 4]}


def made(change: Any = lambda r: r, **more: Any) -> tuple[Any, list[Record]]:
    sweep = make_sweep(AXES, seeds=3, claims=[CLAIM], select=SELECT, **more)
    records = make_records(AXES, lambda at: 0.9 + 0.01 * (at["optim.lr"] == 0.1), seeds=5, sd=0.001)
    records = [dataclasses.replace(r, config={**r.config, "trainer.batch_size": 50}) for r in records]
    return sweep, [kept for r in records if (kept := change(r)) is not None]


def names(sweep: Any, records: list[Record]) -> list[str]:
    return [name for name, _ in doubts(select_frame(sweep, records), sweep)]


def set_(record: Record, **more: Any) -> Record:
    return dataclasses.replace(record, config={**record.config, **{k.replace("_", ".", 1): v for k, v in more.items()}})


def test_equal_cells_raise_no_doubt() -> None:
    assert names(*made()) == []


def test_one_candidate_beside_many_is_untuned_and_other_numbers_are_an_unequal_budget() -> None:
    one = made(lambda r: r if r.axes["model"] != "b" or (r.axes["optim.lr"] == 0.1 and r.seed < 3) else None)
    assert names(*one) == ["untuned"]
    (verdict,) = judge(*one)
    assert [name for name, _ in verdict.doubts] == ["untuned"]
    assert "Doubts: untuned: model b: one value only, while those of other cells were chosen." in describe(verdict)
    allowed = made(
        lambda r: r if r.axes["model"] != "b" or (r.axes["optim.lr"] == 0.1 and r.seed < 3) else None,
        allow={"untuned": "b has no rate"},
    )
    assert judge(*allowed)[0].doubts == []
    two = made(lambda r: r if r.axes["model"] != "b" or r.axes["optim.lr"] != 1.0 else None)
    assert names(*two) == ["unequal_budget", "grid_edge"]  # 0.1 is the largest that b tried


def test_where_every_cell_has_one_value_none_is_untuned(tmp_path: Path) -> None:
    """The smoke runs of ladder, beside a kNN that is not trained: "untuned", and "chosen among" nothing."""
    sweep, records = made(lambda r: r if r.axes["optim.lr"] == 0.1 and r.seed < 3 else None)
    knn = [set_(r, model_family="knn") if r.axes["model"] == "a" else r for r in records]
    assert names(sweep, knn) == []
    report.write(sweep, knn, tmp_path)
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "learning rate: one value for each cell, so that there was nothing to choose." in table
    assert "among" not in table


def test_a_lr_of_its_own_is_untuned_for_the_others() -> None:
    axes: dict[str, Any] = {"model": {"a": ["model=dnn", "optim.lr=0.3"], "b": ["model=linear"]}}
    sweep = make_sweep(axes, claims=[CLAIM])
    records = make_records({"model": ["a", "b"]}, lambda _: 0.9)
    assert [text for _, text in doubts(select_frame(sweep, records), sweep)] == [
        "model a has a learning rate of its own, and others have not."
    ]


def test_budgets_are_equal_in_epochs_or_in_steps() -> None:
    def images(record: Record, count: int, **more: Any) -> Record:
        return dataclasses.replace(set_(record, **more), provenance={**record.provenance, "images": f"{count}/10/10"})

    longer = made(lambda r: images(r, 100, trainer_epochs=6 if r.axes["model"] == "a" else 3))
    assert names(*longer) == ["unequal_budget"]
    same_steps = made(lambda r: images(r, *((100, 6) if r.axes["model"] == "a" else (200, 3))[:1],
                                       trainer_epochs=6 if r.axes["model"] == "a" else 3))  # fmt: skip
    assert names(*same_steps) == []
    batches = made(lambda r: images(r, 100, trainer_batch_size=10 if r.axes["model"] == "a" else 50))
    assert names(*batches) == ["unequal_budget"]
    other = made(lambda r: images(r, 100, trainer_epochs=6 if r.axes["model"] == "c" else 3))
    assert judge(*other)[0].doubts == []  # the claim is about a and b


def test_a_clock_beside_epochs_is_no_equal_budget() -> None:
    """The steps of one arm alone were known, and one number is always equal to itself."""

    def change(record: Record) -> Record:
        held = dataclasses.replace(record, provenance={**record.provenance, "images": "100/10/10"})
        return set_(held, trainer_seconds=60) if record.axes["model"] == "a" else held

    assert names(*made(change)) == ["timed_budget", "unequal_budget"]
    unknown = made(lambda r: r if r.axes["model"] == "a" else change(set_(r, trainer_steps=6)))
    assert names(*unknown) == ["unequal_budget"]  # of a nobody knows the images


def test_an_axis_of_epochs_excuses_no_other_difference() -> None:
    axes = {"model": ["a", "b"], "trainer.epochs": [3, 30]}
    sweep = make_sweep(axes, claims=[CLAIM])
    records = [set_(r, trainer_epochs=r.axes["trainer.epochs"]) for r in make_records(axes, lambda _: 0.9)]
    assert names(sweep, records) == []  # the question itself
    short = [set_(r, trainer_steps=10) if r.axes["model"] == "a" else r for r in records]
    assert names(sweep, short) == ["unequal_budget"]
    together = make_sweep(axes, zip=[list(axes)], claims=[CLAIM, {**CLAIM, "says": "longer helps",
        "compare": {"trainer.epochs": 30}, "against": {"trainer.epochs": 3}}])  # fmt: skip
    pairs = [r for r in records if (r.axes["model"] == "a") == (r.axes["trainer.epochs"] == 3)]
    about_models, about_epochs = judge(together, pairs)
    assert ([name for name, _ in about_models.doubts], about_epochs.doubts) == (["unequal_budget"], [])


def test_the_last_epoch_is_that_of_a_runs_own_budget() -> None:
    """`trainer.epochs` says nothing where steps or seconds end a run: 6 steps of 50 of 100 images are 3 epochs."""

    def selected(record: Record, epoch: int, **more: Any) -> Record:
        record = dataclasses.replace(set_(record, **more), provenance={"images": "100/10/10"})
        return dataclasses.replace(record, costs={**record.costs, "cost/selected_epoch": epoch})

    late = made(lambda r: selected(r, 3, trainer_steps=6, trainer_epochs=50))
    assert names(*late) == ["undertrained"]
    assert names(*made(lambda r: selected(r, 6, trainer_steps=20, trainer_epochs=5))) == []
    timed = {"cost/images_per_second": 50.0, "cost/fit_seconds": 8.0}  # 400 images, 4 epochs
    for epoch, said in ((4, ["timed_budget", "undertrained"]), (3, ["timed_budget"])):
        clock = made(lambda r, n=epoch: dataclasses.replace(
            (own := selected(r, n, trainer_seconds=8, trainer_epochs=3)), costs={**own.costs, **timed}))  # fmt: skip
        assert names(*clock) == said
    half = made(lambda r: selected(r, 3 if r.seed % 2 == 0 and r.seed < 3 else 2) if r.seed != 2 else None)
    assert names(half[0], half[1]) == []  # one of two seeds is not most


def test_edges_of_two_axes_are_those_of_what_was_tried_beside() -> None:
    axes = {"optim.lr": [0.01, 0.1, 1.0], "optim.weight_decay": [0.0, 0.1, 0.2]}

    def edges(best: tuple[float, float], zipped: bool = False, **more: Any) -> list[str]:
        sweep = make_sweep(axes, select={"over": list(axes)}, **more)
        records = make_records(axes, lambda p: 0.5 + 0.3 * (tuple(p.values()) == best))
        kept = [r for r in records if not select_frame(make_sweep(axes), records).plan.leaves_out(r.axes)]
        if zipped:
            kept = [r for r in kept if axes["optim.lr"].index(r.axes["optim.lr"])
                    == axes["optim.weight_decay"].index(r.axes["optim.weight_decay"])]  # fmt: skip
        if "exclude" in more:
            kept = [r for r in kept if tuple(r.axes.values()) != (1.0, 0.1)]
        return [text for name, text in doubts(select_frame(sweep, kept), sweep) if name == "grid_edge"]

    assert edges((0.1, 0.1)) == edges((0.1, 0.0)) == []
    assert len(edges((1.0, 0.2))) == 2
    # 1.0 was not tried with this weight decay, so that 0.1 is the largest
    assert len(edges((0.1, 0.1), exclude=[{"optim.lr": 1.0, "optim.weight_decay": 0.1}])) == 1
    assert edges((1.0, 0.2), zipped=True, zip=[list(axes)]) == []  # drawn together, as from a search


def test_what_differs_unnamed_is_told_of_every_group() -> None:
    """A loss of one's own, a width that goes along: only optim, trainer, augment and the like were listed."""
    axes = {"model": ["a", "b"], "model.hidden": [16, 64]}
    sweep = make_sweep(axes, zip=[list(axes)], claims=[CLAIM])
    records = make_records(axes, lambda _: 0.9)
    pairs = [set_(r, loss_name="mine" if r.axes["model"] == "a" else "theirs") for r in records
             if (r.axes["model"] == "a") == (r.axes["model.hidden"] == 16)]  # fmt: skip
    pairs = [dataclasses.replace(r, config={**r.config, "model.hidden": r.axes["model.hidden"]}) for r in pairs]
    said = judge(sweep, pairs)[0].differs
    assert said == {"model.hidden": ("16", "64"), "loss.name": ("mine", "theirs")}
    named = make_sweep({"model": {"a": ["model.hidden=16"], "b": ["model.hidden=64"]}}, claims=[CLAIM])
    alone = [dataclasses.replace(r, axes={"model": r.axes["model"]}) for r in pairs]
    assert list(judge(named, alone)[0].differs) == ["loss.name"]  # what a label says is what it names


def test_what_is_late_or_on_the_edge_is_said_of_the_sides_that_have_it() -> None:
    late = made(
        lambda r: dataclasses.replace(r, costs={**r.costs, "cost/selected_epoch": 3}) if r.axes["model"] == "c" else r
    )
    assert names(*late) == ["undertrained"]
    assert judge(*late)[0].doubts == []
    asked = made(
        lambda r: (
            dataclasses.replace(set_(r, trainer_select="last"), costs={**r.costs, "cost/selected_epoch": 3})
            if r.axes["model"] == "c"
            else r
        )
    )
    assert names(*asked) == []  # the last epoch was asked for
    edge = made(
        lambda r: (
            dataclasses.replace(r, metrics={**r.metrics, "val/accuracy": r.axes["optim.lr"]})
            if r.axes["model"] == "a"
            else r
        )
    )
    assert [name for name, _ in judge(*edge)[0].doubts] == ["grid_edge"]


def test_a_plan_alone_shows_what_is_unequal() -> None:
    """Before: only the table said it, once the compute was spent."""
    sweep, every = made()
    one = [r for r in every if r.seed == 0]
    assert foresee(sweep, one) == []
    longer = [set_(r, trainer_epochs=30) if r.axes["model"] == "a" else r for r in one]
    ((name, text),) = foresee(sweep, longer)
    assert (name, "longer training alone may win" in text) == ("unequal_budget", True)
    searched = [r for r in one if r.axes["model"] != "b" or r.axes["optim.lr"] == 0.1]
    assert [name for name, _ in foresee(sweep, searched)] == ["untuned"]
    fewer = [r for r in one if r.axes["model"] != "b" or r.axes["optim.lr"] > 0.01]
    assert [name for name, _ in foresee(sweep, fewer)] == ["unequal_budget"]
    search = make_sweep(AXES, seeds=3, claims=[CLAIM], select={"over": ["optim.lr"], "seeds": [3]})
    assert foresee(search, one) == []


def test_an_edge_is_that_of_what_a_cell_tried_and_is_seen_behind_labels() -> None:
    """ladder's `setting` names values of k for one model and rates for the others."""
    steps = {
        **{f"k {k}": [f"model.k={k}"] for k in (1, 3, 9)},
        **{f"lr {n}": [f"optim.lr={n}"] for n in (0.01, 0.1, 1)},
    }
    best = {"knn": "k 3", "cnn": "lr 1"}
    made_ = make_records(
        {"model": ["knn", "cnn"], "setting": list(steps)}, lambda p: 0.5 + 0.3 * (p["setting"] == best[p["model"]])
    )
    mine = [r for r in made_ if r.axes["setting"].startswith("k") == (r.axes["model"] == "knn")]
    sweep = make_sweep({"model": ["knn", "cnn"], "setting": steps}, select={"over": ["setting"]})
    said = dict(doubts(select_frame(sweep, mine), sweep))
    assert said["grid_edge"].endswith("on the edge of those tried (lr 1).")
    middle = [r for r in mine if r.axes["setting"] != "lr 1"]
    assert "lr 0." in dict(doubts(select_frame(sweep, middle), sweep))["grid_edge"]  # of the two that this cell tried


def test_candidates_drawn_at_random_have_no_edge() -> None:
    """Of twelve draws one has the largest rate, and wins as often as any other."""
    drawn = {f"drawn {i}": [f"optim.lr={0.01 + 0.007 * i}", f"model.filters=[{8 + i % 3}]"] for i in range(6)}
    made_ = make_records({"candidate": list(drawn)}, lambda p: 0.5 + 0.3 * (p["candidate"] == "drawn 5"))
    sweep = make_sweep({"candidate": drawn}, select={"over": ["candidate"]})
    assert "grid_edge" not in dict(doubts(select_frame(sweep, made_), sweep))
    grid = {f"lr {i}": [f"optim.lr={0.01 + 0.007 * i}", "model.filters=[8]"] for i in range(6)}
    made_ = make_records({"candidate": list(grid)}, lambda p: 0.5 + 0.3 * (p["candidate"] == "lr 5"))
    sweep = make_sweep({"candidate": grid}, select={"over": ["candidate"]})
    assert "grid_edge" in dict(doubts(select_frame(sweep, made_), sweep))


def test_neighbours_among_frozen_features_have_no_epochs_no_lr_and_pixels_no_head() -> None:
    (one, *_), config = (
        make_records({"model": ["a"]}, lambda _: 0.9),
        {"transfer_mode": "frozen", "transfer_head": "knn"},
    )
    frozen = set_(one, model_family="timm", **config)
    pixels = set_(one, model_family="knn", transfer_mode="scratch", transfer_head="linear")
    head = set_(frozen, transfer_head="linear")
    names = ("optim.lr", "trainer.epochs", "transfer.head")
    assert [[counts(r, name) for name in names] for r in (frozen, pixels, head)] == [
        [False, False, True], [False, False, False], [True, True, True]]  # fmt: skip
