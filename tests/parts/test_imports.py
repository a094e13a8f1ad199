"""How files of users are imported: one module a file, anew for each run, and nothing that the key does not know."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from bench import models
from bench.compose import compose
from bench.parts import loaders
from bench.parts.code import code
from bench.parts.listing import find
from bench.parts.load import forget_modules, function
from bench.parts.named import named_files
from bench.parts.reads import watch_reads
from bench.rehearsal import rehearse
from bench.schema.errors import RequestError
from bench.schema.experiment import Experiment, experiment
from bench.schema.run_key import run_key
from bench.schema.science import flat_settings

Write = Callable[[str, str], Path]

NET = """
import sys
from pathlib import Path
from torch import nn
from bench.parts import model
HERE = Path(__file__).parent
{}

@model
def net(shape, classes, *, weights: str = "") -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], WIDTH), nn.Linear(WIDTH, classes))
"""


def asked(*words: str) -> Experiment:
    return experiment(compose(["model=net", *words]))


def width(exp: Experiment) -> int:
    return models.build(exp, (1, 2, 2), 3).get_parameter("1.weight").shape[0]


@pytest.mark.parametrize(("lines", "file", "content"), [
    ("import json\nWIDTH = json.loads((HERE / 'width.json').read_text())", "parts/width.json", "{}"),
    ("from mine.deep import WIDTH", "mine/deep.py", "WIDTH = {}"),
    ("from helper import WIDTH", "parts/helper.py", "WIDTH = {}"),
    ("from . import helper\nWIDTH = helper.WIDTH", "parts/helper.py", "WIDTH = {}"),
    ("from parts import helper\nWIDTH = helper.WIDTH", "parts/helper.py", "WIDTH = {}"),
    ("from far.off import helper\nWIDTH = helper.WIDTH", "far/off/helper.py", "WIDTH = {}"),
    ("from . import far\nfrom .far import helper\nWIDTH = far.helper.WIDTH", "parts/far/helper.py", "WIDTH = {}"),
    ("WIDTH = len((HERE / f'{\"wid\" + \"th\"}.txt').read_text())", "parts/width.txt", "x" * 4),
])  # fmt: skip
def test_what_was_imported_before_a_change_is_imported_anew(write: Write, lines: str, file: str, content: str) -> None:
    """In one process, as in a notebook: a new key with the old module would be a wrong number."""
    write("parts/net.py", NET.format(lines))
    write(file, content.format(4))
    before = asked()
    assert width(before) == 4
    write(file, content.replace("xxxx", "x" * 16).format(16))
    assert width(asked()) == 16
    assert run_key(asked(), "") != run_key(before, "")
    with pytest.raises(RequestError, match="has changed since this was planned"):
        width(before)


TRAINED = """
from bench.parts import training
from {} import Block

@training
class mine:
    def start(self, net):
        self.blocks = sum(isinstance(m, Block) for m in net.modules())
"""


@pytest.mark.parametrize("how", ["net", ".net", "parts.net"])
def test_a_class_is_the_same_for_all_parts_of_a_run(write: Write, how: str) -> None:
    """A training that looks for layers of its own would otherwise find none, and say nothing."""
    text = NET.format("WIDTH = 4\nclass Block(nn.Linear):\n    pass")
    write("parts/net.py", text.replace("nn.Linear(WIDTH", "Block(WIDTH"))
    write("parts/mine.py", TRAINED.format(how))
    exp = asked("training=mine")
    assert exp.training is not None
    net, mine = models.build(exp, (1, 2, 2), 3), function("training", exp.training.own)()
    mine.start(net)
    assert mine.blocks == 1


@pytest.mark.parametrize("how", ["import shared", "from . import shared", "from parts import shared"])
def test_a_run_begins_with_modules_as_their_code_makes_them(write: Write, how: str) -> None:
    """A warm worker has run others before."""
    write("parts/shared.py", "WIDTHS = [4]")
    write("parts/net.py", NET.format(f"{how}\nWIDTH = shared.WIDTHS[0]"))
    write("parts/other.py", f"{how}\nshared.WIDTHS[0] = 8\nfrom bench.parts import metric\n"
          "@metric(range=(0, 1))\ndef other(scores, labels, classes):\n    return 0.5")  # fmt: skip
    compose(["metrics.names=[other]"])
    exp = asked("metrics.names=[other]")
    function("metric", exp.metrics.own[0])
    forget_modules()  # what `bench.run.execute` does
    assert width(exp) == 4


def test_what_compilers_keep_for_themselves_is_none_of_the_parts(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="torchinductor_") as kept:
        refused = pytest.raises(RequestError, match="x reads")
        cases: list[tuple[Path, AbstractContextManager[Any]]] = [(Path(kept), nullcontext()), (tmp_path, refused)]
        for folder, told in cases:
            (folder / "made.py").write_text("1")
            with told, watch_reads("x", ()):
                (folder / "made.py").read_text()


def test_what_a_file_puts_into_torch_is_gone_in_the_next_run(write: Write) -> None:
    import torch
    from torch import nn

    kept = nn.ReLU.forward, nn.Linear.extra_repr, torch.relu, torch.get_default_dtype()
    write("parts/net.py", NET.format(
        "WIDTH = 4\nimport torch\nnn.ReLU.forward = lambda self, x: -x\nnn.Linear.extra_repr = nn.ReLU.extra_repr\n"
        "torch.relu = lambda x: x\nnn.Linear.__call__ = lambda self, x: x\n"
        "torch.set_default_dtype(torch.float64)"))  # fmt: skip
    forget_modules()
    compose(["model=net"])
    assert nn.ReLU()(torch.ones(1)) == -1
    assert torch.get_default_dtype() == torch.float64
    forget_modules()
    assert kept == (nn.ReLU.forward, nn.Linear.extra_repr, torch.relu, torch.get_default_dtype())
    assert "__call__" not in vars(nn.Linear)


def test_what_libraries_read_of_code_for_their_messages_is_none_of_the_parts(write: Write) -> None:
    write("lib/far.py", "1")
    write("parts/net.py", NET.format("import linecache\nlinecache.getlines(str(HERE.parent / ('li' + 'b') / 'far.py'))"
                                     "\nWIDTH = 4"))  # fmt: skip
    assert width(asked()) == 4


UNSEEN = {
    "a folder on sys.path": "sys.path.insert(0, str(HERE.parent / 'lib'))\nfrom far import WIDTH",
    "a computed name": "WIDTH = int((HERE.parent / ('li' + 'b') / ('fa' + 'r')).read_text())",
}


@pytest.mark.parametrize("how", UNSEEN)
def test_what_the_key_does_not_know_is_not_read(write: Write, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "path", [*sys.path])
    write("parts/net.py", NET.format(UNSEEN[how]))
    write("lib/far.py" if "sys" in how else "lib/far", "WIDTH = 4" if "sys" in how else "4")
    with pytest.raises(
        RequestError, match=r"model 'net' reads .*lib/far(.py)? \(net.py, line \d+\), and the hash of its"
    ):
        compose(["model=net"])
    with pytest.raises(RequestError, match="lib/far"):  # and again
        compose(["model=net"])


def test_a_file_that_a_setting_names_is_in_the_key(write: Write) -> None:
    write("parts/net.py", NET.format("WIDTH = 4").replace(
        "    return nn", "    WIDTH = int((HERE / weights).read_text()) if weights else 4\n    return nn"))  # fmt: skip
    for name, text in (("a.txt", "8"), ("b.txt", "8")):
        write(f"parts/{name}", text)
    one = asked("model.weights=a.txt")
    assert width(one) == 8
    assert run_key(one, "") != run_key(asked("model.weights=b.txt"), "") != run_key(asked(), "")
    rehearse([experiment(compose(["model=net", "model.weights=a.txt", "dataset=digits"]))])
    write("parts/a.txt", "16")
    assert run_key(one, "") != run_key(asked("model.weights=a.txt"), "")
    with pytest.raises(RequestError, match="the file that weights names has changed since this was planned"):
        width(one)
    assert {k for k in flat_settings(one) if k.startswith("model.weights")} == {"model.weights", "model.weights/sha256"}


def test_a_folder_that_a_setting_names_is_in_the_key(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a text with a slash, as a word may be anything; a huge one is told, what is no file in it is left out."""
    write("parts/net.py", NET.format("WIDTH = 4").replace(
        "    return nn", "    WIDTH = int(next(Path(weights).glob('*.txt')).read_text())\n    return nn"))  # fmt: skip
    write("few/a.txt", "8")
    Path("few/gone").symlink_to("nowhere")
    os.mkfifo("few/pipe")
    one = asked("model.weights=./few")
    assert width(one) == 8
    assert not {k for k in flat_settings(asked("model.weights=few")) if k.endswith("/sha256")}
    write("few/a.txt", "16")
    assert run_key(asked("model.weights=few/"), "") != run_key(one, "")
    write("few/b.txt", "16")
    monkeypatch.setattr("bench.parts.walk.BELOW", 1)
    with pytest.raises(RequestError, match=r"model.weights names the folder .*/few, which holds more than"):
        asked("model.weights=./few")


def test_what_is_read_while_it_runs_is_told_before_training(write: Write) -> None:
    write("lib/far", "4")
    write(
        "parts/net.py",
        NET.format("WIDTH = 4").replace(
            "    return nn", "    WIDTH = int((HERE.parent / ('li' + 'b') / ('fa' + 'r')).read_text())\n    return nn"
        ),
    )
    with pytest.raises(RequestError, match=r"model 'net' reads .*lib/far \(net.py, line \d+\)"):
        rehearse([experiment(compose(["model=net", "dataset=digits"]))])


def test_a_file_that_changes_while_a_run_goes_on_is_not_read_as_if_it_were_the_old_one(write: Write) -> None:
    write("parts/helper.py", "WIDTH = 4")
    write("parts/net.py", NET.format("").replace("    return nn", "    from helper import WIDTH\n    return nn"))
    own = asked().model.own
    assert own is not None
    make, part = function("model", own), find("model", "net")
    assert part is not None
    known = code(part)
    new = write("new.py", "WIDTH = 8")

    def change() -> None:
        with watch_reads("model 'net'", known.paths, names=known.names):
            new.replace("parts/helper.py")
            make((1, 2, 2), 3)

    with pytest.raises(RequestError, match=r"reads .*helper.py \(net.py, line \d+\), which was changed after this was"):
        change()


def test_a_folder_of_elsewhere_is_not_walked(
    write: Write, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Computed names mean what stands in it; of its folders nothing, as it may be a whole disk."""
    far = tmp_path_factory.mktemp("far")
    for name in ("a", "b"):
        (far / name / "deep").mkdir(parents=True)
        for place in (far, far / name, far / name / "deep"):
            (place / f"{name}.pt").write_text("1")
    write("parts/net.py", NET.format(f"import os\nROOT = '{far}'\nWIDTH = 4\ndef there(kind):\n"
          "    return os.path.join(ROOT, f'{kind}.pt'), list(Path(ROOT).iterdir()), Path(ROOT).glob('**/*.pt')\n"
          "USED = there").replace("    return nn", "    there\n    return nn"))  # fmt: skip
    part = find("model", "net")
    assert part is not None
    before = code(part)
    assert {path.relative_to(far).as_posix() for path in before.paths if far in path.parents} == {"a.pt", "b.pt"}
    (far / "a" / "a.pt").write_text("2")
    assert code(part).hash == before.hash
    (far / "a.pt").write_text("2")
    assert code(part).hash != before.hash
    monkeypatch.setattr("bench.parts.data_files.ENTRIES", 1)
    (far / "c.pt").write_text("1")
    with pytest.raises(RequestError, match=f"'net' names the folder {far}, and .*in full"):
        code(part)


@pytest.mark.parametrize(("lines", "file"), [
    ("WIDTH = int((HERE / '../data/w.txt').read_text())", "data/w.txt"),
    ("WIDTH = int(Path('./parts/../data/w.txt').read_text())", "data/w.txt"),
    ("from sub.helper import WIDTH", "parts/sub/w.txt"),
    ("from mine.helper import WIDTH", "mine/w.txt"),
    ("from mine.helper import WIDTH", "mine/w.log"),
])  # fmt: skip
def test_one_file_is_known_by_all_of_its_names(write: Write, lines: str, file: str) -> None:
    """Read without a word, and in the key: a change of it gives another."""
    package = file.rpartition("/")[0]
    if "helper" in lines:
        reads = "f'w.{1 and \"log\"}'" if "log" in file else "'w.txt'"
        write(f"{package}/helper.py", "from pathlib import Path\n"
              f"WIDTH = int((Path(__file__).parent / {reads}).read_text())")  # fmt: skip
        write(f"{package}/__init__.py", "")
    write("parts/net.py", NET.format(lines))
    write(file, "4")
    before = asked()
    assert width(before) == 4
    write(file, "8")
    assert run_key(asked(), "") != run_key(before, "")


def test_parts_and_settings_may_lead_through_links_and_up(write: Write, tmp_path_factory: Any) -> None:
    real = tmp_path_factory.mktemp("real") / "own"
    real.mkdir()
    (real / "net.py").write_text(NET.format("WIDTH = int((HERE.resolve() / 'w.txt').read_text())").replace(
        "    return nn", "    WIDTH = int(open(weights).read()) if weights else 4\n    return nn"))  # fmt: skip
    (real / "w.txt").write_text("4")
    Path("parts").symlink_to(real)
    Path("../up.txt").write_text("8")
    exp = experiment(compose(["model=net", "model.weights=../up.txt", "dataset=digits"]))
    rehearse([exp])
    assert width(exp) == 8


def test_what_libraries_keep_for_themselves_is_none_of_the_parts(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("MPLCONFIGDIR", str(settings))
    metadata = tmp_path / "my.egg-info"
    metadata.mkdir()
    for folder in (settings, metadata):
        (folder / "PKG-INFO").write_text("1")
        with watch_reads("x", ()):
            (folder / "PKG-INFO").read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))  # with the user's own files in it
    Path("mine").write_text("1")
    with pytest.raises(RequestError, match="x reads"), watch_reads("x", ()):
        Path("mine").read_text()


@pytest.mark.parametrize(("lines", "counts"), [
    ("import logging\nlogging.basicConfig(filename='net.log')", False),
    ("import logging\nlogging.getLogger('x').addHandler(logging.FileHandler(HERE / 'net.log'))", False),
    ("with open('net.log', 'a') as f: f.write('1')", False),
    ("LOG = Path('net.log')\nwith LOG.open(mode='w') as f: f.write('1')", False),
    ("(HERE / 'net.log').write_text('1')", False),
    ("import numpy as np\nnp.savetxt('net.log', [1])", False),
    ("open('net.log', 'r+')", True),
    ("LOG = Path('net.log')\nLOG.write_text(LOG.read_text())", True),
    ("open(Path(open('net.log').read()), 'w')", True),
    ("open('net.log')", True),
])  # fmt: skip
def test_a_file_that_is_only_written_is_not_in_the_key(write: Write, lines: str, counts: bool) -> None:
    write("parts/net.py", NET.format(f"{lines}\nWIDTH = 4"))
    part = find("model", "net")
    assert part is not None
    before = code(part).hash
    write("net.log", "1")
    write("parts/net.log", "1")
    assert (code(part).hash != before) == counts


def test_all_that_files_put_into_torch_and_set_is_gone_in_the_next_run(write: Write) -> None:
    """Under one key there would be two numbers, by what a warm worker has run before."""
    import numpy as np
    import torch
    from torch import nn

    def state() -> dict[str, Any]:
        return {
            "partial": nn.BatchNorm2d, "function": nn.functional.relu, "class": nn.ReLU, "builtin": torch.tanh,
            "dispatched": nn.functional.adaptive_max_pool2d, "wrapped": nn.SiLU.forward, "property": nn.RNN.all_weights,
            "method": vars(nn.GELU)["__init__"], "inherited": nn.BatchNorm3d.forward, "defaults": nn.BatchNorm1d(3).eps,
            "by name": nn.functional.softmax.__defaults__, "hook": nn.Identity()(torch.ones(1)),
            "grad": torch.is_grad_enabled(), "device": torch.get_default_device(), "threads": torch.get_num_threads(),
            "mkldnn": torch.backends.mkldnn.enabled, "errors": np.geterr()["over"],
        }  # fmt: skip

    write("parts/net.py", NET.format("""
WIDTH = 4
import functools
import numpy as np
import torch
nn.BatchNorm2d = functools.partial(nn.BatchNorm2d, eps=1)
nn.functional.relu = nn.functional.leaky_relu
nn.ReLU = nn.ELU
torch.tanh = torch.sigmoid
nn.functional.adaptive_max_pool2d = nn.functional.max_pool2d
nn.BatchNorm3d.forward = nn.Identity.forward
nn.SiLU.forward = functools.wraps(nn.SiLU.forward)(lambda self, x: x)
nn.RNN.all_weights = property(lambda self: [])
nn.GELU.__init__ = functools.partialmethod(nn.GELU.__init__, approximate="tanh")
nn.BatchNorm1d.__init__.__defaults__ = (0.5, *nn.BatchNorm1d.__init__.__defaults__[1:])
nn.functional.softmax.__defaults__ = (1, 3, None)
nn.modules.module.register_module_forward_hook(lambda module, x, y: y * 0)
torch.set_grad_enabled(False)
torch.set_default_device("meta")
torch.set_num_threads(torch.get_num_threads() + 1)
torch.backends.mkldnn.enabled = False
np.seterr(over="raise")
""").replace("{}", ""))  # fmt: skip
    forget_modules()
    kept = state()
    compose(["model=net"])
    changed = state()
    assert [name for name in kept if name != "hook" and changed[name] == kept[name]] == []
    assert changed["hook"].device.type == "meta"
    forget_modules()
    assert [name for name, value in state().items() if value != kept[name]] == []


def test_what_a_run_and_libraries_set_stays(write: Write) -> None:
    import torch
    import torch._dynamo
    from torch import nn

    write("parts/net.py", NET.format("WIDTH = 4\nimport torch\ntorch.set_num_threads(torch.get_num_threads() + 1)"))
    threads, made = torch.get_num_threads(), nn.Module.__init__
    compose(["model=net"])
    torch.set_num_threads(threads + 2)  # as a run does by trainer.threads
    wrapped, step = torch.rand_like, torch.optim.SGD.step

    torch.rand_like = torch.no_grad()(wrapped)
    try:
        mine = torch.rand_like
        forget_modules()
        assert torch.get_num_threads() == threads + 2
        assert (nn.Module.__init__, torch.optim.SGD.step, torch.rand_like) == (made, step, mine)
    finally:
        torch.rand_like = wrapped
        torch.set_num_threads(threads)


def test_a_database_is_a_file_that_is_read(write: Write, tmp_path_factory: pytest.TempPathFactory) -> None:
    import sqlite3

    far = tmp_path_factory.mktemp("far")
    with sqlite3.connect(far / "a.db") as base:
        base.execute("create table t(x)")
    for name in ("str(FAR)", "f'file:{FAR}?mode=ro', uri=True"):
        write("parts/net.py", NET.format(f"FAR = Path('{far}') / ('a' + '.d' + 'b')\nimport sqlite3\n"
              f"sqlite3.connect({name}).execute('select * from t')\nWIDTH = 4"))  # fmt: skip
        with pytest.raises(RequestError, match=r"model 'net' reads .*a.db \(net.py, line \d+\)"):
            compose(["model=net"])
    write("parts/net.py", NET.format("import sqlite3\nsqlite3.connect(':memory:')\n"
          "sqlite3.connect('ma' + 'de.db').execute('create table t(x)')\nWIDTH = 4"))  # fmt: skip
    compose(["model=net"])


VARIABLES = (
    "os.environ.get('MY_WIDTH', 4)",
    "os.environ['MY_WIDTH']",
    "os.getenv('MY_WIDTH')",
    "'MY_WIDTH' in os.environ",
    "os.environb[b'MY_WIDTH']",
    "dict(os.environ)['MY_WIDTH']",
    "os.environ.copy().get('MY_WIDTH')",
    "[value for name, value in os.environ.items() if name == 'MY_WIDTH'][0]",
    "os.path.expandvars('$MY_WIDTH')",
    "__import__('subprocess').check_output('echo $MY_WIDTH', shell=True)",
)


@pytest.mark.parametrize("how", VARIABLES)
def test_a_variable_of_the_environment_is_refused(write: Write, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_WIDTH", "4")
    write("parts/net.py", NET.format(f"import os\nWIDTH = int({how})"))
    with pytest.raises(RequestError, match=r"model 'net' reads the environment variable MY_WIDTH \(net.py, line \d+\)"):
        compose(["model=net"])


def test_variables_of_the_machine_and_those_that_it_sets_are_free(write: Write) -> None:
    write("parts/net.py", NET.format("import os\nos.environ.setdefault('MY_WORD', '1')\nos.environ['HOME']"
                                     "\nos.environ.copy()\nos.path.expanduser('~')\nWIDTH = 4"))  # fmt: skip
    assert width(asked()) == 4


@pytest.mark.parametrize(
    "word", ["x" * 330, "~nobody-of-that-name", "~nobody/" + "x" * 330, "./" + "x/" * 200, "a/\ud800"]
)
def test_words_that_can_name_no_file_are_words(write: Write, word: str) -> None:
    write("parts/net.py", NET.format("WIDTH = 4"))
    assert named_files(find("model", "net"), {"weights": word}) == {}


@pytest.mark.parametrize("line", [
    "ENV = {**os.environ, 'X': '1'}",
    "ENV = dict(os.environ)",
    "ENV = os.environ | {'X': '1'}",
    "ENV = {'X': '1'} | os.environ",
    "ENV = dict(os.environ.items(), X='1')\nassert '4' in os.environ.values()",
    "subprocess.run(['true'], env={**os.environ, 'X': '1'}, check=True)",
    "subprocess.run(['true'], env=os.environ, check=True)",
    "os.environ.pop('MY_WIDTH', None)",
    "os.environ.setdefault('MY_WIDTH', '5')",
    "for name in os.environ.keys():\n    KEPT = os.environ[name]",
    "KEPT = os.environ.pop('MY_WIDTH', '4')",
    "KEPT = os.environ.setdefault('MY_WIDTH', '4')",
    "os.environ.keys()\nKEPT = os.environ['MY_WIDTH']",
])  # fmt: skip
def test_variables_that_are_passed_on_or_taken_out_are_not_read(
    write: Write, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_WIDTH", "4")
    write("parts/net.py", NET.format("import os, subprocess\nWIDTH = 4\n{}").replace("{}", line))
    if "KEPT" not in line:
        assert width(asked()) == 4
        return
    with pytest.raises(RequestError, match=r"model 'net' reads the environment variable \w+ \(net.py, line \d+\)"):
        compose(["model=net"])


def test_classes_that_a_pickle_asks_for_are_known(write: Write) -> None:
    """Whole networks are often kept so: of what their class does the file says nothing."""
    write("parts/helper.py", "def made(): return 4")
    lines = "import pickle\n{}\nmade = pickle.loads(b'chelper\\nmade\\n.')\n{}WIDTH = made()"
    for imported, used, message in (
        ("", "", "reads .*helper.py"),
        (
            "import helper",
            "",
            r"unpickles made of helper.py \(net.py, line \d+\), .* assert isinstance\(loaded, made\)",
        ),
        ("import helper", "helper.made\n", ""),
        ("from helper import made as one", "one\n", ""),
    ):
        write("parts/net.py", NET.format(lines.format(imported, used)))
        if message:
            with pytest.raises(RequestError, match=message):
                compose(["model=net"])
        else:
            assert width(asked()) == 4


@pytest.mark.parametrize("lines", [
    "from safetensors.torch import load_file\nWIDTH = int(load_file(FAR)['a'])",
    "from safetensors import safe_open\nwith safe_open(FAR, framework='pt') as f: WIDTH = int(f.get_tensor('a'))",
    "import torch\ntry: torch.jit.load(str(FAR))\nexcept Exception: WIDTH = 4",
    "import torchvision.io as tio\nWIDTH = 4 + 0 * len(tio.read_file(str(FAR)))",
    "import ctypes\ntry: ctypes.CDLL(FAR)\nexcept OSError: WIDTH = 4",
])  # fmt: skip
def test_what_libraries_open_in_c_is_heard(write: Write, lines: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    import safetensors.torch
    import torch

    far = tmp_path_factory.mktemp("far")
    safetensors.torch.save_file({"a": torch.tensor(4)}, far / "w.bin")
    before = torch.jit.load, safetensors.torch.safe_open
    for name, message in (("'w' + '.b' + 'in'", r"model 'net' reads .*w.bin \(net.py, line \d+\)"), ("'w.bin'", "")):
        write("parts/net.py", NET.format(f"FAR = Path('{far}') / ({name})\n{lines}"))
        if message:
            with pytest.raises(RequestError, match=message):
                compose(["model=net"])
        else:
            assert width(asked()) == 4
    assert (torch.jit.load, safetensors.torch.safe_open) == before


def test_classes_of_libraries_are_those_that_they_are(write: Write, tmp_path_factory: pytest.TempPathFactory) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import safetensors
    import torch

    far = tmp_path_factory.mktemp("far")
    pq.write_table(pa.table({"a": [4]}), far / "a.parquet")
    safetensors.torch.save_file({"a": torch.tensor(4)}, far / "w.bin")
    lines = """
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open
from torch.jit import load
class Rows(pq.ParquetFile):
    def __init__(self, file: pq.ParquetFile | str | None) -> None:
        super().__init__(file)
KEPT: "safe_open | None" = None
assert isinstance(pq.ParquetFile, type) and isinstance(safe_open, type) and isinstance(pa.OSFile, type)
WIDTH = 4
"""
    init = vars(pq.ParquetFile)["__init__"]
    write("parts/net.py", NET.format(lines))
    assert width(asked()) == 4
    for line in (
        f"assert isinstance(Rows(Path('{far}') / ('a.par' + 'quet')), pq.ParquetFile)",
        f"safe_open(filename='{far}/w' + '.b' + 'in', framework='pt')",
    ):
        write("parts/net.py", NET.format(lines + line))
        with pytest.raises(RequestError, match=r"model 'net' reads .*(a.parquet|w.bin) \(net.py, line \d+\)"):
            compose(["model=net"])
    assert vars(pq.ParquetFile)["__init__"] is init
    assert safetensors.safe_open.__init__ is object.__init__
    with safetensors.safe_open(far / "w.bin", framework="pt") as file:
        assert int(file.get_tensor("a")) == 4


def test_what_from_import_kept_only_calls_the_function_after_it(tmp_path: Path) -> None:
    from torch import jit

    heard: list[str] = []
    (tmp_path / "a.pt").write_text("none")
    with loaders.listen(heard.append):
        kept = jit.load
    for listening in (nullcontext(), loaders.listen(heard.append)):
        with listening, pytest.raises(RuntimeError):
            kept(str(tmp_path / "a.pt"))
        assert len(heard) == (not isinstance(listening, nullcontext))


def test_another_program_is_named(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("parts/net.py", NET.format("import subprocess\nWIDTH = len(subprocess.check_output(['echo', '123']))"))
    rehearse([experiment(compose(["model=net", "dataset=digits"]))])
    told = capsys.readouterr().err
    assert told.count("starts another program") == 1
    assert "model 'net' starts another program, 'echo 123' (net.py, line 8)" in told


def test_a_password_of_another_program_is_not_shown(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["true", "https://bob:s3cret" + "t" * 60 + "@host/w.pt"]
    write("parts/net.py", NET.format(f"import subprocess\nWIDTH = 4\nsubprocess.run({words})"))
    rehearse([experiment(compose(["model=net", "dataset=digits"]))])
    told = capsys.readouterr().err
    assert "starts another program, 'true https://host/w.pt' (net.py" in told
    assert "s3cret" not in told


def test_what_registers_only_once_is_told_as_that(write: Write) -> None:
    line = "OmegaConf.register_new_resolver('imagebench_once', lambda: 1)"
    write("parts/net.py", NET.format(f"from omegaconf import OmegaConf\n{line}\nWIDTH = 4"))
    assert width(asked()) == 4
    forget_modules()  # what a run begins with
    with pytest.raises(RequestError, match=r"a second time in one process: parts/net.py, line 8: .*registered") as told:
        width(asked())
    assert "try: ... except " in str(told.value)
    assert "python parts" not in str(told.value)
    kind = str(told.value).rpartition("except ")[2].partition(":")[0]
    write("parts/net.py", NET.format(
        f"from omegaconf import OmegaConf\ntry:\n    {line}\nexcept {kind}:\n    pass\nWIDTH = 4"))  # fmt: skip
    assert width(asked()) == 4
    write("parts/net.py", NET.format("1 / 0"))
    with pytest.raises(
        RequestError, match=r"'net' cannot be imported: .*ZeroDivisionError.*\n'python parts/net.py' shows"
    ):
        compose(["model=net"])


@pytest.mark.parametrize("how", [
    "torch.from_file(str(NAME), size=1, dtype=torch.uint8)[0]",
    "np.memmap(NAME, dtype='u1')[0]",
    "open(NAME, 'r+').read()",
    "(open(NAME).read(), open(NAME, 'w').write('4'))[0]",
])  # fmt: skip
def test_a_file_that_is_opened_for_both_is_read(write: Write, how: str) -> None:
    write("parts/net.py", NET.format(f"import numpy as np\nimport torch\nNAME = HERE / ('w.' + 'b' + 'in')\n"
                                     f"WIDTH = int({how})"))  # fmt: skip
    write("parts/w.bin", "4")
    with pytest.raises(RequestError, match=r"model 'net' reads .*w.bin \(net.py, line \d+\)"):
        compose(["model=net"])


def test_code_is_made_of_the_text_that_was_hashed(write: Write) -> None:
    """What Python has kept of a file counts for it as long as time and size are the same."""
    import py_compile

    write("parts/net.py", NET.format("from helper import WIDTH"))
    file = write("parts/helper.py", "WIDTH = 4")
    py_compile.compile(str(file))
    was = file.stat()
    write("parts/helper.py", "WIDTH = 8")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert width(asked()) == 8
    write(
        "parts/other.py", "import importlib.resources as r\nWORD = (r.files(__package__) / 'helper.py').read_text()\n"
    )
    write("parts/net.py", NET.format("from other import WORD\nWIDTH = len(WORD)"))
    assert width(asked()) == 9


@pytest.mark.parametrize(("lines", "place", "name"), [
    ("import timm.models.vision_transformer as v\nv.Attention.forward = 3",
     "timm.models.vision_transformer:Attention", "forward"),
    ("from torchvision import ops\nsetattr(ops, 'nms', 3)", "torchvision.ops", "nms"),
    ("import json\njson.WIDTHS = getattr(json, 'WIDTHS', 0) + 1", "json", "WIDTHS"),
    ("import torch\ntorch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark", "torch.backends.cudnn",
     "benchmark"),
])  # fmt: skip
def test_what_a_file_assigns_to_in_any_library_is_gone_in_the_next_run(
    write: Write, lines: str, place: str, name: str
) -> None:
    import importlib

    forget_modules()
    module, _, inside = place.partition(":")
    here = importlib.import_module(module)
    here = getattr(here, inside) if inside else here
    before = getattr(here, name, None)
    write("parts/net.py", NET.format(f"{lines}\nWIDTH = 4").replace("{}", ""))
    compose(["model=net"])
    assert getattr(here, name) != before
    forget_modules()
    assert getattr(here, name, None) == before


def test_switches_of_torch_and_places_of_modules_are_put_back(write: Write) -> None:
    import sys

    import torch

    forget_modules()
    write("parts/net.py", NET.format("import torch\nWIDTH = 4\nsys.path.insert(0, '/far')\n"
          "torch.set_float32_matmul_precision('medium')\ntorch.set_flush_denormal(True)\n"
          "torch.autograd.set_detect_anomaly(True)\ntorch.backends.cuda.enable_flash_sdp(False)"))  # fmt: skip
    compose(["model=net"])
    assert sys.path[0] == "/far"
    forget_modules()
    assert "/far" not in sys.path
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.backends.cuda.flash_sdp_enabled()
    assert not torch.is_anomaly_enabled()
    assert (torch.tensor(1e-310, dtype=torch.float64) * 1).item() > 0
