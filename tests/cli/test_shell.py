"""What the console script calls: as `main`, but it does not wait until Python has freed every module."""

import subprocess
import sys
from pathlib import Path

import pytest


def called(folder: Path, words: list[str], before: str = "") -> subprocess.CompletedProcess[str]:
    """The console script with an object in a module that tells when it is freed."""
    code = f"""
import sys, bench.cli as cli
class Loud:
    def __del__(self): print("freed", flush=True)
cli.loud = Loud()
sys.argv = {["bench", *words]!r}
{before}
sys.exit(cli.shell())
"""
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["tabel"], 2)])
def test_it_leaves_with_the_status_and_frees_nothing(tmp_path: Path, words: list[str], status: int) -> None:
    done = called(tmp_path, words)
    assert done.returncode == status
    assert "freed" not in done.stdout
    assert ("imagebench" if status == 0 else "'table'") in done.stdout + done.stderr


def test_what_is_registered_to_happen_at_exit_happens(tmp_path: Path) -> None:
    register = """
def version(argv):
    import atexit, threading
    atexit.register(print, "registered")
    threading.Thread(target=lambda: (__import__("time").sleep(0.5), print("thread"))).start()
    return 1
cli._dispatch = version
"""
    done = called(tmp_path, [], register)
    assert (done.returncode, done.stdout.split()) == (1, ["thread", "registered"])


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = called(tmp_path, ["tabel", "--debug"])
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "RequestError" in done.stderr
