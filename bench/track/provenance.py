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
from collections.abc import Sequence
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
    """Processor and core count, and the GPU where torch is loaded and sees one.

    Processors of several generations are sold under one name, in clouds above all, and compute other last digits: so
    the name comes with the generation and with the vector instructions that are used.
    """
    text = f"{processor()}, {os.cpu_count()} cores"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        text += f", {torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    return text


def processor(info: Path = Path("/proc/cpuinfo")) -> str:
    """Name of the processor, and in brackets what of its generation and its vector instructions is known."""
    if not info.exists():
        return platform.processor() or platform.machine()
    first = info.read_text().split("\n\n", 1)[0]
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    more = [f"{word} {told[name]}" for name, word in (("cpu family", "family"), ("model", "model")) if name in told]
    if vectors := _vectors(told.get("flags", "").split()):
        more.append(vectors)
    name = told.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({' '.join(more)})" if more else name


def _vectors(flags: Sequence[str]) -> str:
    """The widest vector instructions that torch uses; by the processor's flags where torch is not loaded."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return str(torch.backends.cpu.get_cpu_capability())
    return "AVX512" if "avx512f" in flags else "AVX2" if "avx2" in flags else ""
