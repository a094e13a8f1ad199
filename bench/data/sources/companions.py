"""Files that are named after others: masks and changed copies, which lie among the images and count as such."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from bench.data.sources.contract import Note

SHARE, LEAST = 0.1, 5  # of all files, and how many at least: single ones are chance
BEHIND = re.compile(r"(.+)[ _.-]([A-Za-z]{2,})(?:[ _.-]?\d{1,2})?")  # 00_mask, benign (1)_mask_1


def note_companions(places: Sequence[str]) -> list[Note]:
    """A note where many files are called as another one of their folder with a word behind: 00.png, 00_mask.png."""
    stems: dict[str, set[str]] = defaultdict(set)
    split = [os.path.split(place) for place in places]
    for folder, name in split:
        stems[folder].add(os.path.splitext(name)[0])
    found: Counter[str] = Counter()
    first: dict[str, str] = {}
    for folder, name in split:
        match = BEHIND.fullmatch(os.path.splitext(name)[0])
        if match and match.group(1) in stems[folder]:
            word = match.group(2).casefold()
            found[word] += 1
            first.setdefault(word, name)
    many = {word: count for word, count in found.items() if count >= max(LEAST, SHARE * len(places))}
    if not many:
        return []
    shown = ", ".join(f"{count:,} with '{word}', such as {first[word]}" for word, count in list(many.items())[:3])
    return [
        (
            "named_after_others",
            f"Files are called as another one of their folder and a word: {shown}. They count as images of the set.",
            "Take masks and drawings away; of changed copies say what belongs together: split.group='*/{group}_*'.",
        )
    ]
