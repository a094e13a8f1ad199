"""The ledger of test looks: how often a test split has been scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.schema.experiment import Experiment


def looks(experiments: Sequence[Experiment], keys: Sequence[str]) -> dict[str, int]:
    """Fingerprint -> how many finished runs of the experiments' store have scored its test split; makes no store.

    Sets that differ in the train split only have one test split, whose looks are added up.
    """
    from bench import data as images
    from bench.track.store import existing

    store = existing(experiments[0].tracking.uri)
    places = {key: (exp.dataset, exp.split) for exp, key in zip(experiments, keys, strict=True)}
    tests = {key: images.test_fingerprint(*place) for key, place in places.items()}
    counts = dict.fromkeys(tests.values(), 0)
    if store is None:
        return dict.fromkeys(keys, 0)
    for name in store.experiments():
        for row in store.rows(name, values=False):
            # Runs of before have no fingerprint of their test split.
            test = row.tags.get("test_fingerprint") or tests.get(row.tags.get("data_fingerprint", ""), "")
            if test in counts and row.status == "FINISHED":
                counts[test] += 1
    return {key: counts[test] for key, test in tests.items()}
