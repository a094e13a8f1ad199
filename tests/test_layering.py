"""Data goes one way: a room imports only rooms to its left."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.conftest import REPO

ROOMS = [
    "schema", "hashing", "parts", "disk", "npz", "process", "imports", "data", "features", "models", "train", "shipped",
    "track", "analysis", "report",
]  # fmt: skip
# They read records alone: no data, no networks, no store.
READERS = ["analysis", "report"]
# Beside the flow: a room and what it may import. `protocol` looks at data, networks and the store before compute is
# spent; only glue imports it.
BESIDE = {"protocol": {"schema", "hashing", "parts", "disk", "data", "models", "track", "protocol"}}
# Glue and entry points may import every room.
GLUE = {
    "run",
    "seal",
    "pretrained",
    "restore",
    "compose",
    "trained",
    "reopen",
    "rehearsal",
    "refusals",
    "api",
    "cli",
    "sweep",
    "explain",
    "serve",
    "auto",
}
# Examples are files of a user's own, which may import everything.
FILES = sorted(f for f in (REPO / "bench").rglob("*.py") if f.parent.name != "examples")


def room(module: str) -> str:
    """`bench.data.sources.csv` -> `data`."""
    return module.split(".")[1] if "." in module else ""


def module_of(path: Path) -> str:
    words = path.relative_to(REPO).with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_the_rooms_are_those_that_exist() -> None:
    assert {*ROOMS, *BESIDE, *GLUE} == {room(module_of(f)) for f in FILES} - {""}


def taken(path: Path, modules: Collection[str]) -> set[str]:
    """Which of `modules` a file takes something from: `from bench.data import near` takes near, and not the room."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else str(node.module) for name in names}
    return found & set(modules)


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules, each of which reaches all of its group by imports."""
    reached = {module: set(targets) for module, targets in arrows.items()}
    for between in arrows:
        for targets in reached.values():
            if between in targets:
                targets |= reached[between]
    groups = {frozenset(n for n in reached[m] if m in reached[n]) for m in arrows if m in reached[m]}
    return [set(group) for group in groups]


def test_no_files_import_each_other_in_a_circle() -> None:
    """Not inside a room either, not for types only, and not inside a function: what is tied so moves together only."""
    files = {module_of(f): f for f in FILES}
    arrows = {module: taken(file, files.keys()) - {module} for module, file in files.items()}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert circles(arrows) == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(REPO)))
def test_a_room_imports_only_rooms_to_its_left(path: Path) -> None:
    here = room(module_of(path))
    if here in GLUE or here == "":
        return
    assert here in ROOMS or here in BESIDE, f"{path} is in no room of the design"
    allowed = BESIDE[here] if here in BESIDE else set(ROOMS[: ROOMS.index(here) + 1])
    if here in READERS:
        allowed = {"schema", "disk", "npz", "track", *READERS[: READERS.index(here) + 1]}
    for name in imports(path):
        if name.startswith("bench.") and room(name) not in ("", "__version__"):
            assert room(name) in allowed, f"{path.relative_to(REPO)} imports {name}"
            if here in READERS and room(name) == "track":
                assert name.split(".")[2:3] in (["record"], []), f"{path.relative_to(REPO)} imports {name}"


def test_every_room_says_what_its_files_are() -> None:
    """A map that leaves a file out sends a newcomer searching."""
    unsaid = []
    for init in (f for f in FILES if f.name == "__init__.py" and f.parent.name != "shipped"):  # which needs no list
        said = set(re.findall(r"\w+", ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""))
        for path in init.parent.iterdir():
            inside = (path.suffix == ".py" and path != init) or (path / "__init__.py").is_file()
            verb = init.parent.name == "cli" and inside and "\nSUMMARY = " in path.read_text(encoding="utf-8")
            if inside and not verb and path.stem not in said:  # `bench --help` lists the verbs
                unsaid.append(str(path.relative_to(REPO)))
    assert unsaid == []


def test_only_the_store_imports_mlflow() -> None:
    """It is five files: connection, runs and records, delivery, and the sense for a store that does not answer."""
    users = [f for f in FILES if any(n.split(".")[0] == "mlflow" for n in imports(f))]
    files = ("connection", "runs", "store", "delivery", "unavailable")
    # MLflow's own form of a model is made where models are exported.
    assert {module_of(f) for f in users} == {f"bench.track.{name}" for name in files} | {"bench.serve.logged"}


def loaded_by(code: str, *names: str) -> set[str]:
    """Which of `names` a fresh interpreter has imported after `code`."""
    script = f"{code}\nimport sys\nprint(' '.join(n for n in {names!r} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "pytorch_lightning", "mlflow", "hydra", "numpy", "pydantic", "rich")
    assert loaded_by("from bench.cli import main\nmain(['--help'])", *heavy) == set()


def test_records_are_read_without_torch_and_mlflow() -> None:
    code = "\n".join(f"import {module_of(f)}" for f in FILES if room(module_of(f)) in READERS)
    assert loaded_by(code, "torch", "pytorch_lightning", "mlflow") == set()


def test_a_launch_does_not_wait_for_scipy() -> None:
    """Half a second, before the first worker starts and before the table is printed."""
    code = "import bench.cli.sweep\nimport bench.analysis.claims, bench.report.writing"
    assert loaded_by(code, "scipy.stats", "scipy.optimize") == set()
    assert loaded_by("import bench.analysis.settings, bench.protocol.register", "scipy") == set()


def test_planning_runs_without_torch() -> None:
    code = (
        "from bench.sweep.file import read\nfrom bench.sweep.plan import at_scale, points\n"
        "assert len(points(at_scale(read('batchnorm'), 'smoke'))) == 18"
    )
    assert loaded_by(code, "torch", "pytorch_lightning", "mlflow") == set()


def test_runs_of_dense_nets_import_no_more_than_torch_and_fabric(tmp_path: Path) -> None:
    """What is imported is paid for by every worker of a sweep: these were most of its start-up."""
    code = (
        "from pathlib import Path\nfrom bench.compose import compose\nfrom bench.run import execute\n"
        "from bench.schema.experiment import experiment\nfrom bench.track.spool import Spool\n"
        "words = ['dataset=shapes', 'split.train_per_class=10', 'model=dnn', 'trainer.epochs=1', 'trainer.stack=2']\n"
        "names = 'sgd', 'adamw', 'nadam', 'nadam'\n"
        "exps = [experiment(compose([*words, f'optim.name={o}', f'seed={s}'])) for s, o in enumerate(names)]\n"
        f"for some in ([exps[0]], [exps[1]], exps[2:]):\n"
        f"    for place in execute(some, spool=Spool(Path({str(tmp_path)!r}))):\n"
        "        assert Spool.read(place)[0].status == 'finished'"
    )
    others = ("timm", "torchvision", "torchmetrics", "pytorch_lightning", "scipy", "sklearn", "matplotlib", "faiss")
    compiler = ("torch._dynamo", "torch._inductor", "sympy", "triton", "torch.distributed.fsdp")
    assert loaded_by(code, *others, *compiler, "mlflow", "pandas") == set()


def test_checking_and_a_run_that_is_there_already_import_nothing_heavy(folder: Path, bench) -> None:  # type: ignore[no-untyped-def]
    words = ["dataset=shapes", "split.train_per_class=10", "model=ncm"]
    assert bench("run", *words)[0] == 0
    verbs = [["check", "batchnorm", "--scale", "smoke"], ["check", *words], ["run", *words]]
    heavy = ("torch", "lightning_fabric", "mlflow", "timm", "torchvision", "sklearn", "matplotlib", "pandas")
    code = f"from bench.cli import main\nfor words in {verbs!r}:\n    assert main(words) == 0"
    assert loaded_by(code, *heavy) == set()
