"""Finding: one doubt about a protocol, and the names there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.schema.errors import RequestError, suggestion

# Every name that `bench check` can say, and what it is about. The first is raised where a setting is read, in every
# verb (`bench.schema.errors.Refused`).
NAMES: dict[str, str] = {
    "selection_on_test": "an epoch or a setting would be chosen by a test metric; no reason allows it",
    "val_is_test": "val and test are the same images, by index or by pixels",
    "train_overlaps_val": "an image is in train and in val",
    "train_overlaps_test": "an image is in train and in test",
    "val_overlaps_test": "an image is in val and in test",
    "train_duplicates_in_val": "images of val are in train with exactly the same pixels",
    "train_duplicates_in_test": "images of test are in train with exactly the same pixels; an error above 1 %",
    "val_duplicates_in_test": "images of test are in val with exactly the same pixels; an error above 1 %",
    "labels_disagree": "images of several classes have exactly the same pixels; an error where a class holds no others",
    "near_duplicates_across_splits": "images of two splits look nearly the same; bench check and bench data look",
    "padded_evaluation": "an image of val or test is scored more than once",
    "images_skipped": "files could not be read and were left out",
    "classes_alike": "two classes differ in their spelling only",
    "groups_alike": "groups of split.group differ in their spelling only, so that one may be on two sides",
    "groups_single": "split.group makes each image a group of its own",
    "label_missing": "a class's name reads as if its images had no label (None, NA, ?)",
    "named_after_others": "many files are called as another one and a word: masks or copies among the images",
    "several_labels": "a label seems to name several classes at once (cat|dog)",
    "zeros_at_end": "files of plain pixels end with rows of zeros, and most of the set do not",
    "range_exceeded": "files hold values beyond the range that they state: those are cut off",
    "sliver_of_range": "pixels use a small part of their range: most of their levels are lost",
    "revision_unsaid": "nothing says which commit of a set of the hub is meant",
    "splits_left_out": "the hub's set has splits that are neither train, val nor test",
    "images_missing": "a published set is read that has other numbers of images than were published",
    "shards_missing": "a hub's set has fewer files than their names count",
    "images_unlisted": "images of a hub's folder are in no line of its metadata",
    "classes_unsaid": "some tables of a hub's set do not say which class a number means",
    "format_tells_class": "the format, mode or size of a file alone tells its class",
    "val_small": "val has too few images to select on",
    "class_missing": "a class has no image in a split",
    "test_worn": "runs of the store have scored this test split very often",
    "weights_saw_test": "the weights were trained on images of the test split",
    "imagenet_stem": "small images meet a stem made for 224 pixels: its first layer skips pixels, or takes patches",
    "cannot_run": "the network cannot be built, or not be trained, with these settings and images; bench check looks",
    "frozen_updates": "a frozen part would still change its running statistics",
    "groups_of_one": "group norms have as many groups as channels, and so are instance norms",
    "flip_changes_label": "a mirrored image is of another class (digits, letters, left and right)",
    "rotation_changes_label": "a turned image is of another class",
    "shift_changes_label": "a moved image is of another class",
    "scale_changes_label": "an enlarged image is of another class",
    "colour_changes_label": "colour is the label, or a part of it",
    "brightness_changes_label": "brightness is the label, or a part of it",
    "lr_not_scaled": "batch sizes are compared at one lr",
    "few_seeds": "a claim rests on fewer than three seeds",
    "unequal_budget": "cells had other numbers of epochs, steps or candidates (said on the table and the verdict)",
    "untuned": "one cell's lr was chosen, another's was not (said on the table and the verdict)",
    "timed_budget": "training was ended by the clock, so that no other machine repeats the numbers (said on the table)",
    "undertrained": "most seeds of a cell select their last epoch (said on the table)",
    "grid_edge": "a selected value lies on the edge of those tried (said on the table)",
}
NEVER = ("selection_on_test",)  # not to be allowed


@dataclass(frozen=True)
class Finding:
    """One doubt about a protocol.

    Attributes:
        name: what a sweep file allows it by.
        level: an error stops, a warning is stamped onto the table.
        reason: what is the matter, with numbers.
        remedy: what to do about it.
    """

    name: str
    level: Literal["error", "warning"]
    reason: str
    remedy: str

    def row(self) -> dict[str, Any]:
        """Plain data, as the report's context and `--json` want it; `message` is reason and remedy in one."""
        return {**asdict(self), "message": f"{self.reason} {self.remedy}"}


def by_number(count: int, one: str, many: str) -> str:
    """What is said of one thing, or of several."""
    return one if count == 1 else many


def check_allowed(allowed: Mapping[str, str]) -> Mapping[str, str]:
    """The same, name -> reason; raises RequestError for a name that no finding has, or that no reason allows."""
    for name in allowed:
        if name in NEVER:
            raise RequestError(f"allow: no reason allows '{name}'. Take it out, and choose on val.")
        if name not in NAMES:
            raise RequestError(
                f"allow: no finding is named '{name}'.{suggestion(name, NAMES)} 'bench check --names' lists them."
            )
    return allowed


def stops(findings: Iterable[Finding], allowed: Mapping[str, str]) -> list[Finding]:
    """The errors among the findings that no written reason allows."""
    return [f for f in findings if f.level == "error" and f.name not in allowed]
