"""Settings that somebody else wrote are read within limits; files that are no settings of ours stop nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.compose.bounded import check_folder
from bench.schema.errors import RequestError

BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{x}: &{x} [{','.join(['*' + y] * 10)}]\n" for x, y in zip("bcdef", "abcde", strict=True)
)


def test_only_files_that_are_composed_are_held_to_the_limits(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "catalog.yaml").write_text(BOMB)  # of another program
    (tmp_path / "model" / "digits.yaml").write_text("a: !include other.yaml\n")
    (tmp_path / "model" / "folder.yaml").mkdir()
    os.symlink("nowhere", tmp_path / "model" / "gone.yaml")
    check_folder(tmp_path, ["model", "optim"])
    for where in ("config.yaml", "model/mine.yaml"):
        (tmp_path / where).write_text(BOMB)
        with pytest.raises(RequestError, match="aliases followed"):
            check_folder(tmp_path, ["model", "optim"])
        (tmp_path / where).unlink()
    (tmp_path / "model" / "mine.yaml").write_text(f"width: {'9' * 5000}\n")
    with pytest.raises(RequestError, match=r"mine\.yaml is not YAML: Exceeds the limit"):
        check_folder(tmp_path, ["model"])
