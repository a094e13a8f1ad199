"""Where a number came from: code, packages, hardware."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

PACKAGES = (
    "imagebench",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "timm",
    "hydra-core",
    "mlflow",
    "numpy",
    "scikit-learn",
    "faiss-cpu",
)


@functools.cache
def provenance() -> dict[str, str]:
    """`git_commit`, `git_dirty`, `packages` (JSON), `python`, `platform`, `hardware`, as text; computed once."""
    commit, dirty = code_version()
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "packages": json.dumps(packages(), sort_keys=True),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "hardware": hardware(),
    }


def code_version() -> tuple[str, str]:
    """Commit of the checkout that this package runs from and `true`/`false` for uncommitted changes.

    An installed wheel has no commit: it answers with its version and `false`. A checkout that git does not answer for
    (another owner's, no git command, no commit yet) is `unknown`, twice: it may hold anything.
    """
    here = Path(__file__).resolve().parents[2]
    if (here / ".git").exists():
        try:
            commit = _git(here, "rev-parse", "HEAD")
            # Results and stores are written by runs: only what runs is asked about.
            return commit, "true" if _git(here, "status", "--porcelain", "--", "bench", "conf", "sweeps") else "false"
        except (OSError, subprocess.SubprocessError):
            return "unknown", "unknown"
    return f"imagebench {packages()['imagebench']}", "false"


def repository() -> str:
    """Address of the repository that this package runs from, as https without credentials; "" where it has none."""
    here = Path(__file__).resolve().parents[2]
    try:
        return web_address(_git(here, "config", "--get", "remote.origin.url")) if (here / ".git").exists() else ""
    except (OSError, subprocess.SubprocessError):
        return ""


def web_address(remote: str) -> str:
    """`git@host:owner/name.git` or an http address as https://host/owner/name; "" for a folder or anything else."""
    found = re.fullmatch(
        r"(?:https?://(?:[^@/]*@)?|ssh://(?:[^@/]*@)?|git@)([\w-]+(?:\.[\w-]+)+)(?::\d+)?[:/]([\w.~/-]+?)(?:\.git)?/?",
        remote.strip(),
    )
    return f"https://{found[1]}/{found[2]}" if found else ""


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def packages() -> dict[str, str]:
    """Versions of the packages that can change a number."""
    out = {}
    for name in PACKAGES:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            out[name] = "not installed"
    return out


def hardware() -> str:
    """Processor and core count, and the GPU where torch is loaded and sees one."""
    text = f"{_processor()}, {os.cpu_count()} cores"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        text += f", {torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    return text


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
