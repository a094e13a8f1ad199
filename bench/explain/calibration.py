"""Whether confidence can be believed: reliability before and after temperature scaling."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.explain.picture import NotFor, Picture, style
from bench.explain.subject import Subject
from bench.serve.temperature import fit_temperature, scale_scores
from bench.train.metrics import metrics, reliability

LEAST = 20  # images, below which nothing can be said


def draw(subject: Subject) -> list[Picture]:
    """Two diagrams side by side."""
    if len(subject.labels) < LEAST:
        raise NotFor(f"{subject.split} has {len(subject.labels)} images, too few to say how often confidence is right.")
    after, temperature = calibrate_crossed(subject)
    with style():
        figure = Figure(figsize=(7.2, 3.9), layout="constrained")
        sides = {"as trained": subject.scores, f"temperature {temperature:.2f}": after}
        for axes, (title, scores) in zip(figure.subplots(1, 2, sharey=True), sides.items(), strict=True):
            bins = reliability(scores, subject.labels)
            ece = metrics(scores, subject.labels)["ece"]
            middle = np.array(bins["edges"])[:-1] + 0.5 / len(bins["count"])
            width = 1 / len(bins["count"])
            heights = [v or 0 for v in bins["accuracy"]]
            axes.bar(middle, heights, width * 0.92, color="#0072B2", label="accuracy in the bin")
            for x, a, c, n in zip(middle, bins["accuracy"], bins["confidence"], bins["count"], strict=True):
                if n:
                    axes.plot([x - width / 2, x + width / 2], [c, c], color="#D55E00", lw=1.6)
                    axes.text(x, (a or 0) + 0.015, str(n), ha="center", fontsize=6, color="#444444")
            axes.plot([0, 1], [0, 1], ":", color="#777777", lw=1)
            axes.plot([], [], color="#D55E00", lw=1.6, label="mean confidence")
            axes.set(xlim=(0, 1), ylim=(0, 1.08), xlabel="confidence")
            axes.set_title(f"{title}: ECE {ece:.1%}", fontsize=9)
        figure.axes[0].set_ylabel("accuracy")
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    how = (
        "fitted on val"
        if subject.split != "val"
        else "fitted on one half of val and drawn on the other, in turn; the number is that of all of val"
    )
    caption = (
        "Images of similar confidence in one bin: where the bar ends at the orange line, a model that says 80% is "
        "right in 80 of 100 cases. Bars below it: too certain; above: too modest. Small numbers count images. Right: "
        f"after division of the scores by one number, {how}. No prediction changes by that."
    )
    return [Picture("calibration", "Can its confidence be believed?", caption, figure)]


def calibrate_crossed(subject: Subject) -> tuple[NDArray[np.float32], float]:
    """Log-probabilities after temperature scaling, never fitted on the images that they are of; and the temperature."""
    if subject.split != "val":
        data = subject.trained.data
        temperature = fit_temperature(subject.trained.scores("val"), data.labels[data.val])
        return scale_scores(subject.scores, temperature).astype(np.float32), temperature
    out = np.empty_like(subject.scores)
    half = np.arange(len(out)) % 2 == 0
    for drawn, others in ((half, ~half), (~half, half)):
        out[drawn] = scale_scores(
            subject.scores[drawn], fit_temperature(subject.scores[others], subject.labels[others])
        )
    return out, fit_temperature(subject.scores, subject.labels)
