"""Splits: complete, disjoint, stratified, nested, and the official ones respected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.data import load, splits
from bench.data.sources.contract import TEST, TRAIN, UNASSIGNED, VAL
from bench.schema.dataset import Bundled, Split
from bench.schema.errors import RequestError
from bench.schema.part import build

labelled = st.lists(st.integers(0, 4), min_size=30, max_size=300).map(np.array)
fractions = st.floats(0.05, 0.6)
seeds = st.integers(0, 2**32 - 1)


def parted(labels: np.ndarray, official: np.ndarray | None = None, **settings: object) -> splits.Membership:
    official = np.zeros(len(labels), np.int8) if official is None else official
    try:
        return splits.split(labels, official, Split(**settings))
    except RequestError:
        assume(False)
        raise


def counts(labels: np.ndarray, indices: np.ndarray) -> np.ndarray:
    return np.bincount(labels[indices], minlength=5)


@given(labelled, fractions, fractions, seeds)
def test_holdout_is_complete_disjoint_and_stratified(labels: np.ndarray, val: float, test: float, seed: int) -> None:
    made = parted(labels, val=val, test=test, seed=seed)
    assert sorted(np.concatenate(made).tolist()) == list(range(len(labels)))
    everyone = np.arange(len(labels))
    held = counts(labels, made.test)
    assert (np.abs(held - test * counts(labels, everyone)) <= 1).all()
    rest = np.concatenate([made.train, made.val])
    assert (np.abs(counts(labels, made.val) - val * counts(labels, rest)) <= 1).all()
    # No class leaves the train split.
    assert ((counts(labels, made.train) > 0) == (counts(labels, everyone) > 0)).all()


def test_totals_are_exact_and_agree_with_scikit_learn() -> None:
    from sklearn.model_selection import train_test_split

    labels = np.random.RandomState(0).choice(5, 1000, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    made = parted(labels, val=0.1, test=0.2)
    assert (len(made.train), len(made.val), len(made.test)) == (720, 80, 200)
    _, theirs = train_test_split(np.arange(1000), test_size=0.2, stratify=labels, random_state=0)
    # Equal remainders are a tie, which they break at random.
    assert np.abs(counts(labels, made.test) - counts(labels, theirs)).max() <= 1


@given(labelled, seeds, seeds)
def test_a_seed_is_data(labels: np.ndarray, one: int, two: int) -> None:
    first, again, other = (parted(labels, seed=s) for s in (one, one, two))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assume(one != two and len(labels) > 60)
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@given(labelled, st.integers(2, 6), seeds)
def test_folds_partition_the_images(labels: np.ndarray, folds: int, seed: int) -> None:
    made = [parted(labels, kind="kfold", folds=folds, fold=f, seed=seed) for f in range(folds)]
    assert sorted(np.concatenate([m.test for m in made]).tolist()) == list(range(len(labels)))
    sizes = [len(m.test) for m in made]
    assert max(sizes) - min(sizes) <= 1
    per_class = np.stack([counts(labels, m.test) for m in made])
    assert (np.ptp(per_class, axis=0) <= 1).all()
    for m in made:
        assert sorted(np.concatenate(m).tolist()) == list(range(len(labels)))


@given(labelled, st.data())
def test_official_splits_stay(labels: np.ndarray, draw: st.DataObject) -> None:
    n = len(labels)
    official = np.array(
        draw.draw(st.lists(st.sampled_from([UNASSIGNED, TRAIN, VAL, TEST]), min_size=n, max_size=n)), np.int8
    )
    made = parted(labels, official, val=0.2, test=0.2)
    for value, indices in ((TEST, made.test), (VAL, made.val)):
        if (official == value).any():
            assert np.array_equal(np.flatnonzero(official == value), indices)
    assert sorted(np.concatenate(made).tolist()) == list(range(n))
    if (official == TEST).any():
        folded = parted(labels, official, kind="kfold", folds=3, fold=1)
        assert np.array_equal(folded.test, np.flatnonzero(official == TEST))


@given(labelled, st.floats(0.05, 1), st.floats(0.05, 1), seeds)
def test_subsets_are_nested_and_leave_val_and_test_alone(labels: np.ndarray, a: float, b: float, seed: int) -> None:
    small, large = (parted(labels, train_fraction=f, seed=seed) for f in sorted((a, b)))
    whole = parted(labels, seed=seed)
    assert set(small.train) <= set(large.train) <= set(whole.train)
    assert np.array_equal(small.val, whole.val)
    assert np.array_equal(small.test, whole.test)
    expected = np.ceil(min(a, b) * counts(labels, whole.train) - 1e-9)
    assert np.array_equal(counts(labels, small.train), expected)


@given(labelled, st.integers(1, 40), st.integers(1, 40))
def test_subsets_by_images_a_class(labels: np.ndarray, a: int, b: int) -> None:
    small, large = (parted(labels, train_per_class=n) for n in sorted((a, b)))
    assert set(small.train) <= set(large.train)
    assert np.array_equal(counts(labels, small.train), np.minimum(counts(labels, parted(labels).train), min(a, b)))


def test_membership_is_part_of_the_fingerprint(tmp_path) -> None:
    dataset = Bundled(source="digits")
    settings = [{}, {"seed": 1}, {"val": 0.2}, {"train_fraction": 0.5}, {"kind": "kfold"}, {"kind": "kfold", "fold": 1}]
    made = [load(dataset, Split(**s)) for s in settings]
    assert len({m.fingerprint for m in made}) == len(made)
    splits.save(made[1], tmp_path / "split.npz")
    with np.load(tmp_path / "split.npz") as saved:
        assert np.array_equal(saved["test"], made[1].test)
        assert str(saved["fingerprint"]) == made[1].fingerprint


def test_the_stream_of_a_seed_is_fixed() -> None:
    """Membership is in every run key: it may not move with a version of ours or of NumPy's."""
    made = splits.split(np.arange(40) % 2, np.zeros(40, np.int8), Split(seed=3))
    assert made.test.tolist() == [4, 9, 15, 16, 18, 27, 28, 29]
    assert made.val.tolist() == [25, 26, 38]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "kfold", "folds": 3, "fold": 3}, "0..2"),
        ({"kind": "holdout", "fold": 1}, "split=kfold"),
        ({"train_fraction": 0.5, "train_per_class": 3}, "one of them"),
        ({"val": 1.0}, "val"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_settings(settings: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        build(Split, settings)


def test_too_few_images() -> None:
    with pytest.raises(RequestError, match="would be empty"):
        splits.split(np.arange(4) % 2, np.zeros(4, np.int8), Split())


grouped = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=60, max_size=200).map(np.array)


@given(grouped, st.sampled_from(["holdout", "kfold", "hash"]), seeds)
def test_no_group_is_on_two_sides(rows: np.ndarray, kind: str, seed: int) -> None:
    groups, labels = rows.T.astype(np.int64)
    for how in (Split(kind=kind, group="g", seed=seed), Split(kind=kind, group="g", seed=seed, train_fraction=0.5)):
        try:
            made = splits.split(labels, np.zeros(len(labels), np.int8), how, groups, groups.astype(np.uint64))
        except RequestError:
            assume(False)
        sides = [set(groups[part].tolist()) for part in made]
        assert len(set.union(*sides)) == sum(map(len, sides))
        if how.train_fraction == 1:
            assert sorted(np.concatenate(made).tolist()) == list(range(len(labels)))


def test_one_group_that_holds_nearly_all_is_trains() -> None:
    """All small groups went to test, and val was refused with a remedy that changed nothing."""
    groups, labels = np.array([0] * 16 + [1, 2, 3, 4]), np.arange(20) % 2
    made = splits.split(labels, np.zeros(20, np.int8), Split(val=0.2, test=0.2, group="g"), groups)
    assert made.train.tolist() == list(range(16))
    assert sorted([*made.val, *made.test]) == [16, 17, 18, 19]
    assert len(made.val) == len(made.test)
    with pytest.raises(RequestError, match=r"in 2 groups; .* use more or smaller groups"):
        splits.split(labels, np.zeros(20, np.int8), Split(val=0.2, test=0.2, group="g"), labels)


def test_grouped_folds_are_about_as_even_as_scikit_learns() -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    ours = theirs = 0.0
    for seed in range(6):
        stream = np.random.RandomState(seed)
        groups = stream.randint(0, 60, 600)
        labels = (stream.rand(60, 1) * 3 + stream.rand(60, 600)).astype(int)[groups, np.arange(600)]
        share = np.bincount(labels, minlength=4) / 5

        def uneven(fold: np.ndarray, labels: np.ndarray = labels, share: np.ndarray = share) -> float:
            return float(np.abs(np.bincount(labels[fold], minlength=4) - share).sum())

        for f in range(5):
            how = Split(kind="kfold", fold=f, group="g", seed=seed)
            ours += uneven(splits.split(labels, np.zeros(600, np.int8), how, groups).test)
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        theirs += sum(uneven(test) for _, test in folds.split(labels, labels, groups))
    assert ours <= 1.2 * theirs


def test_a_thousand_classes_of_three_share_val_and_test() -> None:
    labels = np.arange(3000) % 1000
    both = []
    for seed in range(5):
        made = splits.split(labels, np.zeros(3000, np.int8), Split(seed=seed))
        both.append(len(set(labels[made.val]) & set(labels[made.test])))
    assert min(both) > 50  # 240 of val, of which the 600 classes of test once had none


def test_label_noise_is_drawn_for_training_images_alone() -> None:
    labels = np.arange(1000) % 5
    clean = Split()
    member = splits.split(labels, np.zeros(1000, np.int8), clean)
    some, all_ = (splits.with_noise(labels, member.train, Split(label_noise=share), 5) for share in (0.3, 1.0))
    held = np.concatenate([member.val, member.test])
    for noisy in (some, all_):
        assert (noisy[held] == labels[held]).all()
    changed, every = some != labels, all_ != labels
    # A label drawn from 5 classes is another one in 4 of 5 cases; 4 sd of that.
    for share, found in ((0.3, changed), (1.0, every)):
        n = share * len(member.train)
        assert abs(found.sum() - 0.8 * n) < 4 * (n * 0.16) ** 0.5
    assert (all_[changed] == some[changed]).all()  # the larger share holds the smaller one
    assert (labels == np.arange(1000) % 5).all()
    other = splits.with_noise(labels, member.train, Split(label_noise=0.3, seed=1), 5)
    assert (other != some).any()


def test_label_noise_reaches_what_is_trained_on_and_makes_another_run() -> None:
    from bench.compose import compose
    from bench.schema.experiment import experiment
    from bench.schema.run_key import run_key

    dataset = build(Bundled, {"source": "digits"})
    clean, noisy = (load(dataset, Split(label_noise=share)) for share in (0.0, 0.5))
    assert (clean.labels[clean.train] != noisy.labels[noisy.train]).mean() == pytest.approx(0.45, abs=0.06)
    assert (clean.labels[clean.test] == noisy.labels[noisy.test]).all()
    keys = {
        run_key(experiment(compose(["dataset=digits", *more])), noisy.fingerprint)
        for more in ([], ["split.label_noise=0.5"])
    }
    assert len(keys) == 2
