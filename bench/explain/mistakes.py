"""Mistakes: the most confident wrong answers, the least certain right ones, the pairs of classes that are confused."""

from __future__ import annotations

import numpy as np

from bench.explain.picture import WIDTH, NotFor, Picture, cells, grid, label, name, show, side_for, style
from bench.explain.subject import Subject

SHOWN = 24
PAIRS, EACH = 5, 8


def draw(subject: Subject) -> list[Picture]:
    """Up to three pictures."""
    if max(subject.trained.shape[1:]) < 4:
        raise NotFor("points of the plane are seen best in the decision regions.")
    right = subject.chosen == subject.labels
    wrong = np.flatnonzero(~right)[np.argsort(-subject.confidence[~right], kind="stable")]
    unsure = np.flatnonzero(right)[np.argsort(subject.confidence[right], kind="stable")]
    share = f"{len(wrong)} of {len(right)} images of {subject.split} are wrong"
    out = []
    if len(wrong):
        caption = (
            f"{share}; these are those of which the model is most certain. Above each what it is, and what was said. "
            "Look for labels that are wrong, for images that nobody could tell, and for a pattern in the rest."
        )
        out.append(_grid(subject, "confident-mistakes", "The most confident mistakes", caption, wrong))
        out.append(_pairs(subject, wrong))
    if len(unsure):
        caption = (
            f"{share}. Of the right ones, these are those of which the model was least certain: next time it may be "
            "wrong on them."
        )
        out.append(_grid(subject, "uncertain", "Right, but hardly", caption, unsure))
    return out


def _grid(subject: Subject, file: str, title: str, caption: str, places: np.ndarray) -> Picture:
    shown = places[:SHOWN]
    titles = [subject.title(int(i)) for i in shown]
    lines = 1 + max(t.count("\n") for t in titles)
    return Picture(file, title, caption, grid(list(subject.images(shown)), titles, lines=lines))


def _pairs(subject: Subject, wrong: np.ndarray) -> Picture:
    """A row a pair of classes that are taken for one another most often, whichever way round."""
    classes, labels, chosen = subject.classes, subject.labels, subject.chosen
    pairs: dict[tuple[int, int], list[int]] = {}
    for i in wrong:
        pairs.setdefault((int(min(labels[i], chosen[i])), int(max(labels[i], chosen[i]))), []).append(int(i))
    worst = sorted(pairs.items(), key=lambda p: (-len(p[1]), p[0]))[:PAIRS]
    with style():
        titles = [f"{name(classes, labels[i])} → {name(classes, chosen[i])}" for _, some in worst for i in some]
        side = side_for(titles, 1.0)
        columns = min(EACH, int(WIDTH / side), max(4, *(len(places) for _, places in worst)))
        figure, made = cells(len(worst), columns, side, left=1.6, text=0.16)
        for line, ((a, b), places) in zip(made, worst, strict=True):
            label(line[0], f"{name(classes, a)} and\n{name(classes, b)}: {len(places)}")
            for cell, i in zip(line, places, strict=False):
                show(cell, subject.images(np.array([i]))[0], f"{name(classes, labels[i])} → {name(classes, chosen[i])}")
    caption = (
        "The pairs of classes that are confused most, with how many mistakes each has, either way. Above each image: "
        "what it is → what was said."
    )
    return Picture("confused-pairs", "The pairs that are confused", caption, figure)
