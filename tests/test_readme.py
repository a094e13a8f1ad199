"""What the README promises: its two commands, its links. What else it calls is called after the demo (test_demo.py)."""

from __future__ import annotations

import re

from tests.conftest import REPO

README = (REPO / "README.md").read_text(encoding="utf-8")


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
