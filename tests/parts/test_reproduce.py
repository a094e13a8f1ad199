"""Own code whose file is not here: what is missing is said, and the recorded source is run when asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.parts import source
from bench.schema.errors import RequestError

Write = Callable[[str, str], Path]
WORDS = ("--axes", "model=net,linear", "--seeds", "1", "dataset=digits", "trainer.epochs=1", "split.train_fraction=0.2")


def test_the_recorded_source_is_shown_and_run_when_asked(bench: Any, write: Write) -> None:
    write("parts/net.py", "import json\nfrom torch import nn\nfrom bench.parts import model\n"
          "from near.layers import act\nWIDTH = json.load(open('parts/width.json'))\n"
          "@model\ndef net(shape, classes): return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), act(), "
          "nn.Linear(4, classes))\n")  # fmt: skip
    write("near/layers.py", "from torch import nn\nact = nn.ReLU\n")
    write("parts/width.json", "4")
    assert bench("sweep", *WORDS, "--workers", "1")[0] == 0
    assert bench("table", *WORDS)[0] == 0
    kept = json.loads(Path("results/adhoc/artifacts.json").read_text())
    ((part,),) = [json.loads(files["parts.json"]) for files in kept.values() if "parts.json" in files]
    assert set(part["files"]) == {"net.py", "../near/layers.py", "width.json"}
    parts = json.loads(Path("results/adhoc/manifest.json").read_text())["parts"]
    assert parts == {"model net": {part["code"]: 1}}
    shutil.rmtree("near")
    net = Path("parts/net.py")
    net.write_text(net.read_text().replace("act(), ", ""))
    status, _, err = bench("reproduce", "adhoc")
    assert (status, "model 'net' has other code here" in err) == (2, True)
    shutil.rmtree("parts")
    status, _, err = bench("reproduce", "adhoc")
    assert (status, "is somebody's own code and not here." in err, "--with-parts' shows" in err) == (2, True, True)
    write("parts/net.py", "raise RuntimeError('not this one')")
    write("parts/width.json", "4")  # read by the name that it has from the working directory
    status, out, err = bench("reproduce", "adhoc", "--with-parts", "--workers", "1")
    assert (status, "IDENTICAL" in out) == (0, True), err
    assert err.index("---- near/layers.py, as recorded ----\nfrom torch import nn\nact = nn.ReLU") < err.index("again")
    assert bench("reproduce", "adhoc", "--cell", "model=linear", "--with-parts")[2].count("no source of own parts") == 1


def test_rows_of_two_versions_of_one_part_are_stamped() -> None:
    from bench.report.notes import mixed_stamps
    from bench.track.record import Record

    def record(seed: int, code: str) -> Record:
        config = {"model.name": "net", "model.code": code, "corrupt.code": {"fog": "5" * 64}}
        return Record(key=str(seed), sweep="s", axes={}, seed=seed, status="finished", config=config)

    told = mixed_stamps([record(0, "a" * 64), record(1, "b" * 64), record(2, "b" * 64)])
    assert told == ["Mixed versions of model net: 2 (aaaaaaaa in 1 run, bbbbbbbb in 2 runs)."]
    assert not mixed_stamps([record(0, "a" * 64), record(1, "a" * 64)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"name": "x", "files": {"../../x.py": ""}}]', "'../../x.py' is no place"),
        ('[{"name": "x", "files": {"/tmp/x.py": ""}}]', "'/tmp/x.py' is no place"),
        ('[{"name": "x", "files": {"a/../../x.py": ""}}]', "is no place"),
        ('[{"name": "x", "files": {"x.py": 1}}]', "is no place"),
        ('[{"name": "x"}]', "not the source of own parts"),
        ("{", "not the source of own parts"),
    ],
)
def test_a_hostile_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        source.files([text], "artifacts.json")


def test_two_versions_are_not_mixed() -> None:
    one, two = (json.dumps([{"name": "x", "files": {"x.py": text}}]) for text in "ab")
    with pytest.raises(RequestError, match=r"two versions of x\.py"):
        source.files([one, two], "artifacts.json")
