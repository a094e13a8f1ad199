"""`bench wandb`: the store's runs in Weights & Biases. Offline: the files that `wandb sync` uploads are read."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def entries(content: bytes) -> Iterator[bytes]:
    """What a LevelDB log holds: blocks of 32 KiB, in them pieces with checksum, length and type."""
    part, at = b"", 7  # the first bytes say what file it is
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768  # no room for a head: filled with zeros
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        part += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield part
            part = b""


def written(folder: Path) -> dict[str, Any]:
    """Settings, final numbers and curves of the run that an offline file holds."""
    from wandb.proto import wandb_internal_pb2

    (file,) = folder.glob("*.wandb")
    out: dict[str, Any] = {"config": {}, "summary": {}, "history": []}
    for data in entries(file.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        if record.HasField("run"):
            out |= {"id": record.run.run_id, "group": record.run.run_group, "name": record.run.display_name}
            out["config"] |= {u.key: json.loads(u.value_json) for u in record.run.config.update}
        out["config"] |= {u.key: json.loads(u.value_json) for u in record.config.update}
        out["summary"] |= {u.key or "/".join(u.nested_key): json.loads(u.value_json) for u in record.summary.update}
        if record.HasField("history"):
            out["history"].append({i.key or "/".join(i.nested_key): i.value_json for i in record.history.item})
    return out


@pytest.mark.slow
def test_runs_of_the_store_are_in_weights_and_biases_too(
    folder: Path, bench: Any, bench_json: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    words = ("dataset=digits", "model=linear", "trainer.epochs=2")
    bench_json("sweep", "--axes", "optim.lr=0.1,0.01", "--seeds", "1", *words)
    from bench.track.store import Store

    monkeypatch.setenv("WANDB_MODE", "offline")
    assert bench_json("wandb", "adhoc") == {"copied": 2, "project": "imagebench", "offline": True}
    found = {one["id"]: one for one in map(written, (folder / "wandb").glob("offline-run-*"))}
    records = Store().records("adhoc")
    assert set(found) == {r.key[:32] for r in records}
    for record in records:
        one = found[record.key[:32]]
        assert (one["group"], one["config"]["optim.lr"]) == ("adhoc", record.config["optim.lr"])
        assert one["summary"]["test/accuracy"] == record.metrics["test/accuracy"]
        assert one["name"] == f"linear · lr {record.config['optim.lr']} · seed 0"
        assert sum("epoch/val_accuracy" in row for row in one["history"]) == 2

    status, _, err = bench("wandb", "adhocc")
    assert (status, "Did you mean 'adhoc'" in err) == (2, True)
    status, _, err = bench("wandb", "adhoc", "--project", "a/b/c")
    assert (status, "--project a/b/c" in err) == (2, True)
    wandb.teardown()  # it reads the environment once a process
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("NETRC", str(folder / "none"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    status, _, err = bench("wandb", "adhoc")
    assert (status, "wandb login" in err) == (2, True)
    assert "Traceback" not in err
