"""From Hydra's grammar to plain data.

config          overrides composed; points: many of them that share most
session         where conf/ and parts/ are found, which groups there are, errors that teach
overrides       read, checked, and what nobody can mean refused; quoting: any text where any text is meant
bounded         somebody's YAML files, read within limits
"""

from __future__ import annotations

from bench.compose.config import compose
from bench.compose.session import groups, shipped_folder

__all__ = ["compose", "groups", "shipped_folder"]
