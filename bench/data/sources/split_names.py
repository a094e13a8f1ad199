"""What people call train, val and test: names of folders, values of a column, splits of the hub."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from bench.data.sources.contract import TEST, TRAIN, VAL

# English first, then what lists and folders in other languages say, without accents.
SPLITS = {
    **dict.fromkeys(
        ("train", "training", "trn", "trained", "trainings", "trainval", "trainvalid", "lern",
         "entrenamiento", "entrainement", "apprentissage",
         "addestramento", "treino", "treinamento", "训练", "訓練", "学習", "훈련", "обучение", "обучающая"),
        TRAIN,
    ),
    **dict.fromkeys(
        ("val", "valid", "validation", "validate", "validating", "dev", "development", "validierung", "validierungs",
         "validacion", "validazione", "convalida", "validacao", "验证", "驗證", "検証", "검증", "валидация"),
        VAL,
    ),
    **dict.fromkeys(
        ("test", "testing", "tests", "tst", "holdout", "heldout", "unseen", "prueba", "pruebas", "prova", "teste",
         "testes", "测试", "測試", "テスト", "테스트", "тест", "тестовая"),
        TEST,
    ),
}  # fmt: skip
EITHER = ("eval", "evaluation", "evaluate")  # the test split, or val where another one is called test
# Words that say nothing of which split it is. Longest first: they are also cut from the end of a word (trainset).
FILLERS = ("datasets", "dataset", "samples", "folder", "images", "photos", "image", "split", "files", "daten", "datos",
           "data", "imgs", "sets", "img", "set", "raw", "集")  # fmt: skip


def split_of(name: str) -> int | str | None:
    """TRAIN, VAL or TEST, "either" for a name such as eval, None for what is no split's name.

    Case, digits, separators and words such as set, data and images do not matter: Train_Data, testset, val2017.
    """
    rest = "".join(word for word in _words(name) if word not in FILLERS)
    for filler in ("", *FILLERS):
        word = rest.removesuffix(filler)
        if word in EITHER:
            return "either"
        if word in SPLITS:
            return SPLITS[word]
    return None


def _words(name: str) -> list[str]:
    """Its words in small letters, without accents and digits."""
    plain = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()
    plain = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
    return re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", plain))


def hidden_splits(names: Iterable[str]) -> list[str]:
    """The names that hold those of splits, where train and another one are: trainA, testA, cats_test, traincat.

    Either all of them do, or two say the same beside the split (cat_train, cat_test): a bullet train, a test tube and
    a cup are things.
    """
    names = list(names)
    found: dict[str, set[int | str]] = {}
    of: dict[str, set[int | str]] = {}  # what a name says beside the split -> splits
    for name in names:
        words = _words(name)
        split_at = {word: split for word in words if (split := split_of(word)) is not None}
        found[name] = set(split_at.values())
        rest = " ".join(word for word in words if word not in split_at and word not in FILLERS)
        of.setdefault(rest, set()).update(found[name])
    said = set().union(*found.values())
    shared = any(TRAIN in splits and len(splits) > 1 for splits in of.values())
    if TRAIN in said and len(said) > 1 and (shared or all(found.values())):
        return [name for name, splits in found.items() if splits]
    return _glued(names)


def fold_names(names: Iterable[str]) -> list[str]:
    """All names, where there are several and each says fold and a number; else none. CV1 may be anything."""
    names = list(names)
    folds = [name for name in names if re.fullmatch(r"(k?folds?|splits?)[\W_]*\d+", name, re.IGNORECASE)]
    return folds if len(folds) == len(names) > 1 else []


def _glued(names: list[str]) -> list[str]:
    """Names such as traincat, traindog, testcat, testdog: those of two splits with two endings in common."""
    of: dict[str, dict[int, str]] = {}  # what is left of a name -> split -> name
    for name in names:
        plain = "".join(_words(name))
        for word, split in SPLITS.items():
            if plain.startswith(word):
                of.setdefault(plain.removeprefix(word), {})[split] = name
    twice = [found for rest, found in of.items() if rest and TRAIN in found and len(found) > 1]
    return sorted({name for found in twice for name in found.values()}) if len(twice) > 1 else []


def assign_splits(names: Iterable[str]) -> dict[str, int]:
    """Each name that is a split's -> TRAIN, VAL or TEST, where names such as eval are settled by the others.

    Where all names have words in common (seg_train, seg_test), what differs may be what names the split.
    """
    names = list(names)
    found = {name: split_of(name) for name in names}
    if (
        None in found.values()
        and None not in (short := {name: split_of(rest) for name, rest in _rests(names)}).values()
    ):
        found = short
    plain = {name: split for name, split in found.items() if isinstance(split, int)}
    other = VAL if TEST in plain.values() else TEST
    return {name: plain.get(name, other) for name, split in found.items() if split is not None}


def _rests(names: list[str]) -> list[tuple[str, str]]:
    """(name, it without the words that all begin or end with), for two names or more."""
    words = [re.split(r"[\s_.-]+", name) for name in names]
    shortest = min(map(len, words), default=0) - 1 if len(names) > 1 else 0
    before = next((i for i in range(shortest) if len({w[i] for w in words}) > 1), shortest)
    left = shortest - before
    after = next((i for i in range(left) if len({w[-1 - i] for w in words}) > 1), left)
    return [(name, "_".join(w[before : len(w) - after])) for name, w in zip(names, words, strict=True)]
