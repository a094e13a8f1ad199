"""What opens an address stays between the user and the server: nothing that a run or a table leaves behind holds it."""

from __future__ import annotations

import base64
import json
import shlex
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.schema.secrets import redact, redact_text, remember
from tests.data.conftest import picture

SECRETS = ("geheim", "t0kenvalue", "s1gnature")


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a server that gives list.csv and images to user:geheim only."""
    root = tmp_path_factory.mktemp("served")
    rows = [f"{picture(root / f'{i}.png').name},{'ab'[i % 2]}" for i in range(20)]
    (root / "list.csv").write_text("path,label\n" + "\n".join(rows))

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(root))

        def do_GET(self) -> None:
            expected = "Basic " + base64.b64encode(b"user:geheim").decode()
            if self.headers.get("Authorization") == expected:
                super().do_GET()
            else:
                self.send_error(403)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None: ...

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{made.server_port}"
    made.shutdown()


def found_in(folder: Path) -> list[str]:
    """Files below `folder` that hold a secret."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    return [str(p) for p in files for secret in SECRETS if secret.encode() in p.read_bytes()]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:geheim@host/a.csv", "https://host/a.csv"),
        ("https://user:geh/eim@host:80/a.csv", "https://host:80/a.csv"),
        ("https://t0kenvalue@host/a.csv", "https://host/a.csv"),
        ("https://t0ken@value@host/a.csv", "https://host/a.csv"),
        ("postgresql://bob:ge@heim@host/db", "postgresql://host/db"),
        ("postgresql://bob:ge heim@host/db", "postgresql://host/db"),
        ("postgresql://bob:g@e/h?e#im@host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://bob:1234 5678@host/db", "postgresql://host/db"),  # which begins as a port does
        ("postgresql://bob:1234/5678@host/db", "postgresql://host/db"),
        ("postgresql://bob:1234/5678@host", "postgresql://host"),
        ("postgresql://bob:ge'he<im@host/db", "postgresql://host/db"),
        ("postgresql://bob::geheim@host/db", "postgresql://host/db"),  # no chain of fsspec's
        ("http://bob:5432/x@geheim@host", "http://host"),
        ("sqlite:////home/me@host/a.db", "sqlite:////home/me@host/a.db"),
        ("http://[::1]:5000/a", "http://[::1]:5000/a"),
        ("s3://KEY:geheim@bucket/a.csv", "s3://bucket/a.csv"),
        ("https://host/a.csv?X-Amz-Signature=s1gnature&X-Amz-Date=1", "https://host/a.csv"),
        ("https://host/a.csv#access_token=t0kenvalue", "https://host/a.csv"),
        ("zip://a.csv::https://user:geheim@host/b.zip?token=t0kenvalue", "zip://a.csv::https://host/b.zip"),
        ("memory://a.csv?token=t0kenvalue", "memory://a.csv"),
        ("https://[not-six]/a?token=t0kenvalue", "https://[not-six]/a"),
        ("https://host:8080/a@b.csv", "https://host:8080/a@b.csv"),
        ("https://host:8080/img@2x.jpeg", "https://host:8080/img@2x.jpeg"),
        ("https://host:8080/set@2.parquet", "https://host:8080/set@2.parquet"),
        ("photos/what?.csv", "photos/what?.csv"),
    ],
)
def test_an_address_as_it_may_be_shown(address: str, shown: str) -> None:
    assert redact(address) == shown
    if "://" in address:
        assert redact_text(f"reading '{address}', then {address}\nfailed") == (
            f"reading '{shown}', then {shown}\nfailed"
        )


def test_words_after_an_address_stay() -> None:
    said = "http://localhost:5000 is away (see http://[::1]:5000); write to somebody@host"
    assert redact_text(said) == said


@pytest.mark.parametrize(
    "password", ["12 34", "12 34@56 78", "4321 gehe im", "gehe'im", 'gehe"im', "[geheim]", "g@e/h?e#i%m", "5432/x@y"]
)
def test_an_address_that_is_known_is_shown_in_no_spelling(password: str) -> None:
    """What the command line or the store's setting names need not be guessed out of a sentence."""
    address = f"postgresql://bob:{password}@host/db"
    assert password not in redact_text(f"The store {address} does not answer.")
    remember(f"tracking.uri='{address}'")
    other = address.replace("postgresql:", "postgresql+psycopg2:")
    for said in (f"to {other} or not", f"{[address]!r}", json.dumps({"uri": address}), shlex.join(["a", address])):
        assert password not in redact_text(said)
        assert redact_text(said).count("@") == 0


@pytest.mark.parametrize("storage", ["map", "stream"])
def test_a_run_leaves_no_credentials_behind(
    storage: str, folder: Path, server: str, bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = folder.parent / f"{folder.name} cache"
    monkeypatch.setenv("IMAGEBENCH_CACHE", str(cache))

    def words(token: str) -> list[str]:
        address = f"http://user:geheim@{server}/list.csv?token={token}&X-Amz-Signature=s1gnature"
        return ["dataset=csv", f"dataset.file='{address}'", f"dataset.storage={storage}", "model=ncm"]

    status, out, err = bench("run", *words("t0kenvalue"), "--json")
    assert status == 0, err
    first = out
    status, out, err = bench("run", *words("an0therone"), "--json")
    assert '"ran": false' in out  # the same run key
    assert first.split('"run_key": ')[1][:66] == out.split('"run_key": ')[1][:66]
    said = [first, out, err, *bench("run", *words("t0kenvalue"), "--cfg", "job")]
    said += bench("data", *words("t0kenvalue"))
    sweep = ["--axes", "model=ncm,knn", "--seeds", "1", "--name", "mine"]
    said += bench("sweep", *sweep, *[w for w in words("t0kenvalue") if not w.startswith("model")])
    said += bench("table", *sweep, *[w for w in words("t0kenvalue") if not w.startswith("model")])
    assert (folder / "results" / "mine" / "manifest.json").is_file()
    assert found_in(folder) == []
    assert not any(secret in str(text) for text in said for secret in SECRETS)
    assert "an0therone" not in str(said)
    # A stream reads its files later: where they are is for its owner's eyes.
    kept = found_in(cache)
    assert bool(kept) == (storage == "stream")
    assert all(path.endswith("files.json") and not Path(path).stat().st_mode & 0o077 for path in kept)


def test_errors_say_where_without_the_credentials(folder: Path, server: str, bench) -> None:
    wrong = f"http://user:wrong-geheim@{server}"
    (folder / "rows.csv").write_text(
        f"path,label\n{wrong}/0.png?token=t0kenvalue,a\n{wrong}/1.png?token=t0kenvalue,b\n"
    )
    cases = {
        f"dataset.file='{wrong}/list.csv?token=t0kenvalue'": f"dataset.file=http://{server}/list.csv does not exist",
        f"dataset.file='http://user:geheim@{server}/none.csv?token=t0kenvalue'": "does not exist or cannot be reached",
        f"dataset.file='http://user:geheim@{server}/0.png?token=t0kenvalue'": f"http://{server}/0.png is an image",
        "dataset.file='nosuch://user:geheim@host/a?token=t0kenvalue'": "nosuch://host/a",
        f"dataset.file={folder / 'rows.csv'}": f"line 2: http://{server}/0.png does not exist",
        "dataset.file=[https://user:geheim@host/a?token=t0kenvalue": "dataset.file=[https://host/a",
    }
    for word, message in cases.items():
        status, out, err = bench("run", "dataset=csv", word, "model=ncm", "--json")
        assert status == 2
        assert message in err
        assert not any(secret in out + err for secret in SECRETS), err
    assert found_in(folder) == [str(folder / "rows.csv"), str(folder / "rows.csv")]


def test_an_axis_of_addresses_needs_labels(folder: Path, bench) -> None:
    axis = "dataset.file='https://user:geheim@host/a.csv','https://user:geheim@host/b.csv'"
    status, out, err = bench("sweep", "--axes", axis, "dataset=csv")
    assert status == 2
    assert "Give it a label" in err
    assert "geheim" not in out + err
