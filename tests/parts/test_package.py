"""Parts of an installed package, by the entry point group `imagebench.parts`: metadata as pip writes it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import models
from bench.compose import compose
from bench.parts import listing
from bench.schema.experiment import experiment
from bench.schema.run_key import run_key

NETS = """
from torch import nn
from bench.parts import model
from .layers import act

@model
def pkgnet(shape, classes, *, hidden: int = 4):
    "From a package."
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], hidden), act(), nn.Linear(hidden, classes))
"""


@pytest.mark.parametrize("editable", [False, True])
def test_its_version_stands_for_its_code_unless_it_is_edited_in_place(
    write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, editable: bool
) -> None:
    package = f"pkg_{editable}".lower()
    code = "code" if editable else "site-packages"
    file = write(f"{code}/{package}/nets.py", NETS)
    write(f"{code}/{package}/__init__.py", "")
    layers = write(f"{code}/{package}/layers.py", "from torch import nn\nact = nn.ReLU\n")
    info = f"site-packages/{package}-1.2.dist-info"
    write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    write(f"{code}/{package}/unwell.py", "1 / 0")
    offers = [f"{name} = {package}.{name}" for name in ("gone", "unwell", "nets")]  # of others nothing is imported
    entries = write(
        f"{info}/entry_points.txt", "\n".join(["[imagebench.parts]", *offers, f"twice = {package}.nets", ""])
    )
    for place in {entries.parents[1].absolute(), file.parents[1].absolute()}:
        monkeypatch.syspath_prepend(str(place))
    listing._entry_points.cache_clear()
    try:
        made: Any = experiment(compose(["model=pkgnet", "model.hidden=3"]))
        net: Any = models.build(made, (1, 8, 8), 10)
        assert [type(layer).__name__ for layer in net] == ["Flatten", "Linear", "ReLU", "Linear"]
        assert (made.model.own.code == f"{package}==1.2") == (not editable)
        layers.write_text("from torch import nn\nact = nn.Tanh\n")
        again: Any = experiment(compose(["model=pkgnet", "model.hidden=3"]))
        assert (run_key(again, "d") == run_key(made, "d")) == (not editable)
        if editable:
            assert type(models.build(again, (1, 8, 8), 10).get_submodule("2")).__name__ == "Tanh"
    finally:
        listing._entry_points.cache_clear()
        for name in [n for n in sys.modules if n.startswith(package)]:
            del sys.modules[name]
