"""Completion in the shells themselves: what is offered, and that nothing else ever reaches the prompt."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.cli.completion import SCRIPTS, candidates
from tests.conftest import REPO


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sw", ["sweep"]),
        ("help comp", ["compare"]),
        ("sweep ba", ["batchnorm"]),
        ("sweep batchnorm --scale s", ["small", "smoke"]),
        ("sweep --retry", ["--retry-failed"]),
        ("sweep --axes model=linear,dn", ["model=linear,dnn"]),
        ("run optim=adam", ["optim=adam", "optim=adamw"]),
        ("run trainer.sel", ["trainer.select="]),
        ("run trainer.select=val/", ["trainer.select=val/accuracy", "trainer.select=val/nll"]),
        ("run trainer.compile=", ["trainer.compile=false", "trainer.compile=true"]),
        ("data dig", ["digits"]),
        ("models resnet10", ["resnet101"]),
        ("reproduce mi", ["mine"]),
        ("ui mi", ["mine"]),
        ("wandb batchn", ["batchnorm"]),
        ("publish mi", []),  # a folder to be
        ("new mod", ["model"]),
        ("options equi", ["equivalence"]),
        ("table --records ", []),  # files, which the shell knows
        ("nothing ", []),
    ],
)
def test_what_is_offered(tmp_path: Path, monkeypatch, line: str, offered: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "mine").mkdir(parents=True)
    (tmp_path / "results" / "mine" / "manifest.json").write_text("{}")
    assert candidates(line.split(" ")) == offered


def test_whatever_is_wrong_is_silent(tmp_path: Path, monkeypatch, bench) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "broken.py").write_text("def (")
    (tmp_path / "conf" / "optim").mkdir(parents=True)
    (tmp_path / "conf" / "optim" / "bad.yaml").write_text("{")
    for line in ("bench run optim=", "bench run 'x=", "bench", "", "bench run model=$(", "bench sweep [", "bench é"):
        monkeypatch.setenv("COMP_LINE", line)
        status, _, err = bench("-sc", "query=bash")
        assert (status, err) == (0, ""), line
    assert bench("-sc", "install=csh")[0] == 2
    assert "zsh" in bench("-sc", "instal=zsh")[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep of its own, and `bench` on the path as an installation puts it there."""
    made = tmp_path_factory.mktemp("shell")
    (made / "sweeps").mkdir()
    (made / "sweeps" / "zebra.yaml").write_text("question: ?\naxes: {model: [linear, dnn]}\n")
    (made / "bin").mkdir()
    script = made / "bin" / "bench"
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom bench.cli import shell\nsys.exit(shell())\n")
    script.chmod(0o755)
    return made


def environment(place: Path) -> dict[str, str]:
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(REPO), "HOME": str(place), "TERM": "dumb"}


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here; on Debian: apt-get install {name}.")
    return found


def said(place: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=place, env=environment(place), capture_output=True, text=True, timeout=400)
    assert done.stderr == ""
    return done.stdout


def test_bash(place: Path) -> None:
    ask = """
eval "$(bench -sc install=bash)"
for COMP_LINE in "bench sweep zeb" "bench run optim=adam" "bench nothing '"; do
  COMP_POINT=${#COMP_LINE} COMP_WORDS=(bench) COMP_CWORD=1; _bench_complete; echo "${COMPREPLY[*]}"
done
complete -p bench
eval "$(bench -sc uninstall=bash)"; complete -p bench 2>/dev/null || echo gone
"""
    lines = said(place, shell("bash"), "--norc", "-c", ask).splitlines()
    # Readline takes the word to begin behind the =.
    assert lines[:3] == ["zebra", "adam adamw", ""]
    assert lines[-1] == "gone"


def test_fish(place: Path) -> None:
    ask = 'bench -sc install=fish | source; complete -C "bench sweep zeb"; complete -C "bench run optim=adam"'
    found = said(place, shell("fish"), "--no-config", "-c", ask).split()
    assert found == ["zebra", "optim=adam", "optim=adamw"]


def test_zsh(place: Path) -> None:
    """It completes only where somebody types: in a terminal."""
    program = shell("zsh")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(place)
        os.execve(program, [program, "-f", "-i"], environment(place))
    shown = b""

    def until(text: str) -> None:
        nonlocal shown
        deadline = time.monotonic() + 300
        while text.encode() not in shown:
            assert time.monotonic() < deadline, shown
            if select.select([terminal], [], [], 0.2)[0]:
                shown += os.read(terminal, 4096)

    try:
        os.write(terminal, b"PS1='at'rest'> '; eval \"$(bench -sc install=zsh)\"; echo rea''dy\n")
        until("ready")
        shown = b""
        os.write(terminal, b"bench sweep zeb\t")
        until("zebra")
        os.write(terminal, b"\x15bench run trainer.sel\t")
        until("trainer.select=")
        os.write(terminal, b"val/a\t")
        until("val/accuracy")
        assert b"rror" not in shown
        assert b"Traceback" not in shown
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_the_readme_says_how() -> None:
    text = (REPO / "README.md").read_text()
    assert all(f"install={name}" in text for name in SCRIPTS)
