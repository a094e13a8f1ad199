"""What all seeds get wrong: images that no luck helps with."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.explain.picture import NotFor, Picture, grid, name
from bench.explain.subject import Subject
from bench.npz import read_npz
from bench.reopen import open_run
from bench.schema.errors import RequestError
from bench.track.record import TUNING, Record

SHOWN = 24
MOST = 10  # seeds
SEED = ("seed", "trainer.threads")  # settings in which seeds may differ


def draw(subject: Subject) -> list[Picture]:
    """The images of the split that every seed of the same experiment gets wrong."""
    records = siblings(subject)
    if len(records) < 2:
        raise NotFor("the store has no second seed of this run: bench run ... seed=1 makes one.")
    records = records[:MOST]
    said = np.stack([predicted_classes(subject, record) for record in records])  # [S, n]
    wrong = (said != subject.labels).sum(0)
    every = np.flatnonzero(wrong == len(records))
    counts = np.bincount(wrong, minlength=len(records) + 1)
    some = int((wrong > 0).sum())
    caption = (
        f"{len(records)} seeds. Of {len(wrong)} images of {subject.split}, {some} are wrong for at least one, "
        f"{counts[-1]} for every one of them. What all get wrong is no bad luck: a wrong label, an image that shows "
        "too little, or something this kind of model cannot see. Above each, what it is and what was said most often."
    )
    head = ("seeds that are wrong", "images")
    rows = [(s, int(n)) for s, n in enumerate(counts)]
    if not len(every):
        return [Picture("seeds", "What all seeds get wrong: nothing", caption, head=head, rows=rows)]
    shown = every[:SHOWN]
    titles = []
    for i in shown:
        most = int(np.bincount(said[:, i]).argmax())
        titles.append(f"{name(subject.classes, subject.labels[i])}\nsaid {name(subject.classes, most)}")
    figure = grid(list(subject.images(shown)), titles)
    return [Picture("seeds", "What all seeds get wrong", caption, figure, head, rows)]


def siblings(subject: Subject) -> list[Record]:
    """The finished runs of the store that differ from this one in the training seed only, itself included."""
    record, store = subject.trained.record, subject.store

    def rest(other: Record) -> dict[str, object]:
        return {k: v for k, v in other.config.items() if k not in SEED}

    same = {
        other.seed: other
        for name in store.experiments()
        for other in store.records(name)
        if other.status == "finished"
        and (TUNING not in other.provenance or other.run_id == record.run_id)
        and rest(other) == rest(record)
        and other.provenance.get("data_fingerprint") == record.provenance.get("data_fingerprint")
    }
    return [same[seed] for seed in sorted(same)]


def predicted_classes(subject: Subject, record: Record) -> NDArray[np.int64]:
    """The class that a run said of each image of the split: as the run kept it, else by its model."""
    if record.run_id == subject.trained.record.run_id:
        return subject.chosen
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = subject.store.artifact(record.run_id, "predictions.npz", Path(folder))
            found = np.asarray(read_npz(path)[f"{subject.split}_class"], np.int64)
            if len(found) == len(subject.labels):
                return found
        except (RequestError, OSError, ValueError, KeyError, TypeError):
            pass  # an older run, or one whose file is not what we know: its model says the same
    trained = open_run(subject.store, record.run_id, subject.trained.where, str(subject.trained.device))
    return trained.scores(subject.split).argmax(1)
