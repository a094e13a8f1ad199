"""Shell completion: verbs by us, everything after `bench run` by Hydra.

eval "$(bench -sc install=bash)"
"""

from __future__ import annotations

import os
import sys


def answer(argv: list[str]) -> int:
    """Install, uninstall or answer a query for completion (`-sc install=bash`, `query=bash`)."""
    from bench.cli import VERBS

    line = os.environ.get("COMP_LINE", "")
    words = line.split(" ")
    querying = any("query=" in a for a in argv)
    if querying and len(words) <= 2:
        print("\n".join(v for v in VERBS if v.startswith(words[1] if len(words) == 2 else "")))
        return 0
    if querying:
        # Hydra expects the program's name and then overrides: take the verb out.
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
        os.environ["COMP_POINT"] = str(len(os.environ["COMP_LINE"]))

    import hydra

    from bench.compose import plugins, shipped

    plugins()
    sys.argv = [sys.argv[0], *[a for a in argv if a == "-sc" or a == "--shell-completion" or "=" in a]]
    hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="config")(lambda config: None)()
    return 0
