"""tracking.log_model, and MLflow's own server on what it logs."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from bench.cli.serve import bind
from bench.serve.logged import track_here
from bench.track.store import Store


def test_mlflow_serves_a_logged_model(folder: Path, digit: Path, bench: Any, bench_json: Any) -> None:
    """Logged with signature and example, registered, and answered over HTTP as bench predict answers."""
    words = ("run", "dataset=digits", "model=linear", "trainer.epochs=1")
    bench_json(*words)
    for _ in range(2):  # of a run that is there already, once
        run = bench_json(*words, "tracking.log_model=true")
        assert run["model"] == "models:/digits-linear/1"
    assert Store().get(run["run_id"]).status == "finished"
    wanted = bench_json("predict", run["run_id"], str(digit))["predictions"][0]
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    words = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        run["model"],
        "--env-manager",
        "local",
        "-p",
        str(port),
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it starts uvicorn by name
    env = {**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    server = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        text = base64.b64encode(digit.read_bytes()).decode()
        (row,) = posted(port, [[text]])["predictions"]
        assert row["class"] == wanted["class"]
        assert {name: row[name] for name in wanted["probabilities"]} == pytest.approx(wanted["probabilities"], abs=1e-5)
        with pytest.raises(urllib.error.HTTPError):
            posted(port, [["no image"]])
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def posted(port: int, rows: list[list[str]]) -> Any:
    """The server's answer, once it is there."""
    content = json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}}).encode()
    headers = {"Content-Type": "application/json"}
    until = time.monotonic() + 300
    while True:
        try:
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", content, headers)
            with urllib.request.urlopen(asked, timeout=30) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def test_what_cannot_be_logged_is_said_and_the_run_kept(folder: Path, bench: Any) -> None:
    status, out, err = bench("run", "dataset=digits", "model=knn", "model.metric=l1", "tracking.log_model=true")
    assert status == 1
    assert "test  accuracy" in out
    assert "L1" in err
    assert Store().records("runs")[0].status == "finished"


def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow puts its address into the environment, where later runs of this process would take it for the user's."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with track_here("sqlite:///elsewhere.db"):
        assert os.environ["MLFLOW_TRACKING_URI"] == "sqlite:///elsewhere.db"
    assert "MLFLOW_TRACKING_URI" not in os.environ
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine.db")
    with track_here("sqlite:///elsewhere.db"):
        pass
    assert os.environ["MLFLOW_TRACKING_URI"] == "sqlite:///mine.db"
