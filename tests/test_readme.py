"""The README's commands are the ones that work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO

README = (REPO / "README.md").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    """Every `$ bench ...` line of the README's console blocks, in order."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [shlex.split(line.split("   #")[0])[1:] for line in lines if line.startswith("bench ")]


def test_ci_calls_the_readmes_test_command() -> None:
    assert "make test" in README
    assert re.search(r"^make test$", (REPO / ".ci/run").read_text(), re.MULTILINE)


def test_the_first_screen_has_the_two_commands() -> None:
    first = README.splitlines()[:20]
    assert any(line.strip().startswith("make demo") for line in first)
    assert any(line.strip().startswith("make test") for line in first)


def test_every_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    local = [t for t in targets if "://" not in t]
    assert local
    assert [t for t in local if not (REPO / t).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_works(folder: Path, bench: Any) -> None:
    found = commands()
    assert len(found) >= 6
    for words in found:
        status, _, err = bench(*words)
        assert status == 0, f"bench {' '.join(words)}\n{err}"
    status, _, err = bench("table", "batchnorm")  # the obvious next thing: its runs are of another scale
    assert status == 2
    assert "Runs at scale smoke are: --scale smoke shows them." in err
