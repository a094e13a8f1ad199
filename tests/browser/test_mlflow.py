"""MLflow's own server on a store of ours, seen in a browser: what `bench ui` opens at, and a sweep's own page."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPO

COLUMNS = ("optim.lr", "seed", "test/accuracy", "val/accuracy", "Dataset", "Source", "digits (", "bench sweep")


@pytest.fixture
def address(folder: Path, bench_json) -> Iterator[str]:
    """What `bench ui` prints, its server running on a small sweep."""
    words = ("--axes", "optim.lr=0.1,0.01", "--seeds", "1", "dataset=digits", "model=linear", "trainer.epochs=1")
    bench_json("sweep", *words)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from bench.cli import shell; sys.exit(shell())"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "ui", "--port", str(port)], cwd=folder, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        said = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        deadline = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                assert time.monotonic() < deadline, "MLflow's server does not answer"
                time.sleep(0.5)
        yield said
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(30)


def wait_for(page, *words: str) -> str:
    """The page's text, once it has all these words."""
    text = ""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not all(word in text for word in words):
        text = str(page.js("return document.body ? document.body.innerText : ''"))
        time.sleep(0.5)
    assert [word for word in words if word not in text] == [], text
    return text


@pytest.mark.slow
def test_bench_ui_opens_at_the_runs_and_a_sweep_says_what_it_found(address: str, page) -> None:
    metrics = {"width": 3000, "height": 900, "deviceScaleFactor": 1, "mobile": False}  # all columns are drawn
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.driver.get(address)
    runs = ("linear · lr 0.1 · seed 0", "linear · lr 0.01 · seed 0")  # in sight, though nested below the sweep's run
    text = wait_for(page, *runs, *COLUMNS)
    names = page.js("return [...document.querySelectorAll('a[href*=\"/runs/\"]')].map(n => n.innerText.trim())")
    assert next(n for n in names if n) == "adhoc"  # type: ignore[union-attr]
    assert "Token Usage" not in text
    assert "augment" not in text  # the same in all runs
    page.js("[...document.querySelectorAll('a[href*=\"/runs/\"]')].find(n => n.innerText.trim() == 'adhoc').click()")
    wait_for(page, "2 runs: 2 finished", "Finished", "learning rate")
    page.driver.get(address.split("/runs?")[0].rpartition("/")[0])  # the list of experiments
    assert "imagebench-claims" not in wait_for(page, "adhoc", "Default")
