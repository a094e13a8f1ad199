"""What reading a set left doubtful: skipped files, notes of its source, formats that tell the class."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from bench.data.finding import Finding, by_number
from bench.data.imagedata import ImageData

TOLD = 0.2  # of what guessing the largest class leaves open


def reading(data: ImageData) -> Iterator[Finding]:
    """A finding for each of them."""
    for name, reason, remedy in data.notes:
        yield Finding(name, "warning", reason, remedy)
    if data.skipped:
        count, first = len(data.skipped), data.skipped[0]
        yield Finding(
            "images_skipped",
            "warning",
            f"{count} {by_number(count, 'file was', 'files were')} left out, as dataset.on_bad_image=skip asks: {first}"
            f"{' ...' if count > 1 else '.'}",
            f"{len(data.labels)} images are left. 'bench data' lists every one in skipped.txt; repair or remove them.",
        )
    if data.forms is not None:
        yield from _forms(data, data.forms)


def _forms(data: ImageData, forms: Sequence[str]) -> Iterator[Finding]:
    """Whether format and mode, or the size of the files, say alone what class an image is of."""
    kinds = {
        "file format and mode": [form.split(" ", 2)[:2] for form in forms],
        "size of the file's image": [form.split(" ", 2)[2:] for form in forms],
    }
    others = [*data.val.tolist(), *data.test.tolist()]
    for what, values in kinds.items():
        told: dict[str, Counter[int]] = defaultdict(Counter)
        for i in data.train.tolist():
            told[" ".join(values[i])][int(data.labels[i])] += 1
        if len(told) < 2:
            continue
        largest = sum(told.values(), Counter()).most_common(1)[0][0]
        guess = {value: counts.most_common(1)[0][0] for value, counts in told.items()}
        right = sum(guess.get(" ".join(values[i]), largest) == data.labels[i] for i in others) / len(others)
        base = sum(largest == data.labels[i] for i in others) / len(others)
        if right - base > TOLD * (1 - base):
            yield Finding(
                "format_tells_class",
                "warning",
                f"From the {what} alone, {right:.0%} of the val and test images are classed rightly (always the "
                f"largest class: {base:.0%}).",
                "A model may learn how images were made instead of what they show: bring all classes to one format "
                "and size, or collect them alike.",
            )
