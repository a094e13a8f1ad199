"""A researcher's folder: parts/ with a network of her own."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

CONVMIXER = '''
"""My idea."""
from typing import Annotated

from pydantic import Field
from torch import nn

from bench.parts import model


class Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


@model
def convmixer(shape, classes, *, norm, dim: Annotated[int, Field(gt=0)] = 8, depth: int = 1) -> nn.Module:
    """ConvMixer (Trockman & Kolter 2022, arXiv:2201.09792)."""
    layers = [nn.Conv2d(shape[0], dim, 2, 2), nn.GELU(), norm(dim)]
    for _ in range(depth):
        layers += [Residual(nn.Sequential(nn.Conv2d(dim, dim, 3, groups=dim, padding=1), nn.GELU(), norm(dim)))]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(dim, classes))


@model
def flatnet(shape, classes, *, hidden: int = 16) -> nn.Module:
    """One hidden layer."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], hidden), nn.ReLU(), nn.Linear(hidden, classes)
    )
'''


@pytest.fixture
def write(folder: Path) -> Callable[[str, str], Path]:
    """Write a file into the working directory: `write("parts/mine.py", text)`."""

    def put(name: str, text: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return put


@pytest.fixture
def convmixer(write: Callable[[str, str], Path]) -> Path:
    """parts/convmixer.py."""
    return write("parts/convmixer.py", CONVMIXER)
