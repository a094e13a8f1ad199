"""Trained backbones at hand beside the bundled one: those of timm that an earlier run left in the hub's cache."""

from __future__ import annotations

from pathlib import Path

from bench.auto.candidates import Candidate, Family
from bench.models.weights import BUNDLED_MODEL

MOST = 3  # backbones that are tried, the smallest ones
LARGEST = 400 * 2**20  # bytes of weights
FILE = "model.safetensors"


def cached_names() -> list[str]:
    """Names of timm's models (resnet18.a1_in1k) whose weights need no network, the smallest first."""
    from huggingface_hub import constants, try_to_load_from_cache

    prefix, sizes = "models--timm--", {}
    for place in sorted(Path(constants.HF_HUB_CACHE).glob(f"{prefix}*")):
        name = place.name.removeprefix(prefix)
        file = try_to_load_from_cache(f"timm/{name}", FILE)
        if isinstance(file, str) and Path(file).is_file() and Path(file).stat().st_size <= LARGEST:
            sizes[name] = Path(file).stat().st_size
    known = [name for name in sorted(sizes, key=lambda n: sizes[n]) if name.partition(".")[0] != BUNDLED_MODEL]
    return [name for name in known if _published(name)][:MOST]


def _published(name: str) -> bool:
    """Whether timm has a model of that name with weights."""
    from timm.models import get_pretrained_cfg

    try:
        config = get_pretrained_cfg(name)
    except RuntimeError:  # a tag that this timm does not know
        return False
    return bool(config is not None and config.has_weights)


def cached_families() -> list[Family]:
    """Neighbours and a linear head on the features of each."""
    return [
        Family(
            f"features of {name}",
            (
                Candidate(
                    f"5 nearest features of {name}",
                    (*_frozen(name), "transfer.head=knn", "transfer.k=5", "transfer.metric=cosine",
                     "transfer.votes=distance"),
                ),
                Candidate(
                    f"linear head on features of {name}, lr 0.003",
                    (*_frozen(name), "optim=adam", "optim.lr=0.003"),
                    30,
                ),
            ),
            features=True,
            of=_of(name),
        )
        for name in cached_names()
    ]  # fmt: skip


def _of(name: str) -> tuple[str, ...]:
    return ("model=timm", f"model.name={name}", "transfer.weights=timm")


def _frozen(name: str) -> tuple[str, ...]:
    return (*_of(name), "transfer=frozen")
