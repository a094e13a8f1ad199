"""What bench/cli/README.md tells its reader to type works, in this order, in a folder with two kinds of photos."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPO

MANUAL = REPO / "bench/cli/README.md"
BLOCKS = re.findall(r"```(console|python)\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)


def test_every_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", MANUAL.read_text(encoding="utf-8"))
    assert targets
    assert [t for t in targets if not (MANUAL.parent / t).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_example_works(folder: Path, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("wandb")
    pytest.importorskip("rocrate")
    monkeypatch.setenv("WANDB_MODE", "offline")
    noise = np.random.default_rng(0)
    for name, level in (("cat", 90), ("dog", 160)):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(60):
            pixels = np.clip(noise.normal(level, 30, (16, 16)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{i}.png")
    said: dict[str, str] = {}
    for language, block in BLOCKS:
        if (language, block.split()[:1]) == ("python", ["#"]):
            (folder / block.split()[1].strip(",")).write_text(block)  # the file that its first line names
            continue
        if language == "python":
            exec(compile(block, MANUAL.name, "exec"), {})
            continue
        for line in block.splitlines():
            start, name, *words = shlex.split(line)
            assert start == "$"
            assert name == "bench"
            status, out, err = bench(*words)
            assert status == 0, f"{line}\n{err}"
            said[line] = out
    counts = [re.findall(r"(\d+) skipped · (\d+) ran", out) for line, out in said.items() if "--axes" in line]
    assert [c[0] for c in counts if c] == [
        ("0", "6"),
        ("6", "0"),
        ("6", "0"),
        ("6", "0"),
    ]  # renamed, nothing runs again
