"""The hash of code: what counts, what does not, and which runs run again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from bench.compose import compose
from bench.parts.code import code
from bench.parts.listing import find
from bench.schema.errors import RequestError
from bench.schema.experiment import experiment

Write = Callable[[str, str], Path]

LAYERS = """
    import torch
    SLOPE = 0.1
    UNUSED = 3

    def act(x):
        return torch.relu(x) * SLOPE

    def other(x):
        return x
    """
NET = """
    from torch import nn
    from bench.parts import model
    from layers import act
    WIDTH = 4

    class Net(nn.Module):
        def __init__(self, inputs, classes):
            super().__init__()
            self.first, self.last = nn.Linear(inputs, WIDTH), nn.Linear(WIDTH, classes)

        def forward(self, x):
            return self.last(act(self.first(x.flatten(1))))

    @model
    def net(shape, classes, *, bias: bool = True):
        return Net(shape[0] * shape[1] * shape[2], classes)

    @model
    def second(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))
    """


def hashes() -> tuple[str, str]:
    net, second = find("model", "net"), find("model", "second")
    assert net is not None
    assert second is not None
    return code(net).hash, code(second).hash


@pytest.fixture
def net(write: Write) -> Path:
    write("parts/layers.py", LAYERS)
    return write("parts/net.py", NET)


def changed(file: Path, old: str, new: str) -> tuple[bool, bool]:
    """Whether the hashes of net and second change when `old` becomes `new` in a file."""
    before, text = hashes(), file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    after = hashes()
    file.write_text(text)
    assert hashes() == before
    return before[0] != after[0], before[1] != after[1]


def test_what_a_part_uses_counts_from_file_to_file(net: Path) -> None:
    layers = net.with_name("layers.py")
    assert changed(net, "WIDTH = 4", "WIDTH = 5") == (True, False)
    assert changed(net, "bias: bool = True", "bias: bool = False") == (True, False)
    assert changed(net, "x.flatten(1)", "x.flatten(start_dim=1)") == (True, False)
    assert changed(layers, "SLOPE = 0.1", "SLOPE = 0.2") == (True, False)
    assert changed(layers, "torch.relu", "torch.tanh") == (True, False)
    assert changed(layers, "import torch", "import numpy as torch") == (True, False)
    net.write_text(net.read_text().replace("bias: bool", 'bias: "Kind"').replace("WIDTH = 4", "WIDTH = 4\nKind = bool"))
    assert changed(net, "Kind = bool", "Kind = bool | None") == (True, False)
    assert changed(net, "nn.Sequential(nn.Flatten(), ", "nn.Sequential(nn.Flatten(), nn.Identity(), ") == (False, True)


def test_what_it_does_not_use_does_not_count(net: Path) -> None:
    layers = net.with_name("layers.py")
    assert changed(layers, "UNUSED = 3", "UNUSED = 4") == (False, False)
    assert changed(layers, "return x\n", "return -x\n") == (False, False)
    assert changed(net, "WIDTH = 4", "WIDTH = (  # wide\n    4\n)") == (False, False)
    assert changed(net, "class Net(nn.Module):", 'class Net(nn.Module):\n    """Mine."""\n') == (False, False)
    assert changed(net, "super().__init__()", 'super().__init__()\n        "a word"') == (False, False)
    assert changed(net, "from torch import nn", '"""New words."""\nfrom torch import nn') == (False, False)


HINTED = """
    from typing import Annotated
    from pydantic import Field
    from torch import nn
    from bench.parts import model
    {}
    Size = Annotated[int, Field(gt=0)]
    SCALE: int = 2

    class Kind:
        width: int = 3

    def block(x: int, *more: int) -> int:
        y: int = x
        return SCALE * y

    @model
    def net(shape: tuple, classes: int, *, dim: Size = 8) -> nn.Module:
        return block(dim), Kind.width

    @model
    def second(shape, classes):
        return 1
    """
FREE = {"SCALE: int = 2": "SCALE = 2", "x: int, *more: int) -> int": "x, *more)", "y: int = x": "y: float = x",
        "shape: tuple, classes: int": "shape, classes", "-> nn.Module": "-> nn.Sequential"}  # fmt: skip


def test_type_hints_count_where_somebody_reads_them(write: Write) -> None:
    file = write("parts/net.py", HINTED.format(""))
    for old, new in FREE.items():
        assert changed(file, old, new) == (False, False), old
    for old, new in {"gt=0": "ge=0", "dim: Size": "dim: int", "width: int": "width: float", "= 2\n": "= 3\n",
                     "*more: int)": "*more: print(1))"}.items():  # fmt: skip
        assert changed(file, old, new)[0], old
    for reader in ("import inspect\nlook = inspect.signature", "from beartype import beartype as look",
                   "import functools\nlook = functools.singledispatch", "from torch.jit import script as look",
                   "look = getattr(nn, '__annotations__', 0)", "look = eval"):  # fmt: skip
        file = write("parts/net.py", HINTED.format("").replace("block(dim)", "block(dim), look"))
        file.write_text(file.read_text().replace("from torch import nn", f"from torch import nn\n{reader}"))
        for old, new in FREE.items():
            assert changed(file, old, new)[0], (reader, old)


def test_what_a_hint_does_by_being_run_counts(write: Write) -> None:
    for lines, old, new in (
        ("def q(x: (Z := 3)): return x\ndef f(): return Z", "3", "4"),
        ("def q(x=(Z := 3)): return x\ndef f(): return Z", "3", "4"),
        ("L = []\nK: L.append(1) = 3\ndef f(): return L", "1", "2"),
        ("L = []\ndef q() -> L.append(1): return 3\ndef f(): return L", "1", "2"),
        ("K: int = 3\ndef f(): return __annotations__", "int", "float"),
    ):
        file = write("parts/net.py", PART.format(lines, "f()") + OTHER)
        assert changed(file, old, new)[0], lines
    file = write("parts/net.py", PART.format("class A:\n    'Mine.'\ndef f(): return A", "f()") + OTHER)
    assert changed(file, "'Mine.'", "pass") == (False, False)
    text = HINTED.format("").replace(
        "second(shape, classes)", "second(shape, classes, *, n: Annotated[int, Field(gt=0)] = 1)"
    )
    assert changed(write("parts/net.py", text), "Field(gt=0)] = 1", "Field(gt=1)] = 1") == (False, True)


@pytest.mark.parametrize(("how", "counts"), [
    ("1", False), ("Path(__file__).resolve().parent / 'one.bin'", False), ("dirname(abspath(__file__))", False),
    ("type(shape).__name__", False), ("Path(__file__).stem", True), ("__name__", True), ("shape.__module__", True),
    ("[globals()]", True), ("len(__file__)", True),
])  # fmt: skip
def test_the_name_of_a_parts_file_counts_where_it_is_asked_for(write: Write, how: str, counts: bool) -> None:
    file = write("parts/net.py", PART.format("from pathlib import Path\nfrom os.path import *", how) + OTHER)
    before = hashes()
    file.rename(file.with_name("another.py"))
    assert (hashes()[0] != before[0], hashes()[1] != before[1]) == (counts, False)


@pytest.mark.parametrize(("lines", "found"), [
    ("A = {'a', 'b'}\ndef f(x): return x in A and len(A | {'c'}) and sorted(A) and {1, 2}", 0),
    ("def f(x: set[str]): return [*{1, 2}, *range(3)], list(dict.fromkeys(x)), max({'a'}), set(x) == x", 0),
    ("A = {'a', 'b'}\nB = A\ndef f(x):\n    for one in B: x(one)", 5),
    ("def f(x): return hash(x)", 2),
    ("def f(x):\n    names = set(x)\n    return [n for n in names]", 4),
    ("def f(x): return ','.join(set(x) - {'a'})", 2),
    ("def f(x): return list(x.keys() - {'a'})", 2),
    ("def f(x): return list(f'm{i}' for i in frozenset(x).union(x))", 2),
])  # fmt: skip
def test_code_that_goes_through_a_set_is_known(
    write: Write, lines: str, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its order differs between processes: one whose command has fixed it may run it, no other."""
    from bench.parts import load

    write("parts/net.py", "from bench.parts import model\n" + lines + "\n@model\ndef net(shape, classes): return f\n")
    part = find("model", "net")
    assert part is not None
    assert code(part).unordered == (f"net.py, line {found}" if found else "")
    own = experiment(compose(["model=net"])).model.own
    assert own is not None
    for drawn in (False, True):
        monkeypatch.setattr(load, "is_drawn", lambda drawn=drawn: drawn)
        with pytest.raises(RequestError, match=r"through a set .*sorted") if found and drawn else nullcontext():
            load.function("model", own)


def test_the_command_fixes_the_order_of_sets() -> None:
    script = "import sys; from bench.cli import shell; sys.flags.hash_randomization or print(hash('a')); shell()"
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    made = {subprocess.run([sys.executable, "-c", script, "--help"], env=env, text=True, capture_output=True,
                           check=True).stdout for _ in range(2)}  # fmt: skip
    assert len(made) == 1
    assert made.pop().split("\n")[0].lstrip("-").isdigit()


def test_the_order_of_imports_is_layout(net: Path, write: Write) -> None:
    """One of several names that is not used does not count either; of timm's registrations the same holds."""
    write("parts/more.py", "ONE, TWO, LEFT = 1, 2, 3\n")
    imports = ["from torch import nn", "import math, os", "from layers import act", "from more import ONE, TWO, LEFT"]
    made = set()
    for lines in (
        imports, imports[::-1], ["import os", *imports[2:], "import math", imports[0]],
        [*imports[:3], "from more import TWO, ONE"], [*imports[:3], "from more import TWO", "from more import ONE"],
    ):  # fmt: skip
        net.write_text("\n".join([*lines, "from bench.parts import *", "from timm.models import register_model",
                                  "@model\ndef net(shape, classes): return act, ONE, TWO, math.pi, os.sep",
                                  "@register_model\ndef second(**_): return act, ONE"]))  # fmt: skip
        one, two = find("model", "net"), find("timm", "second")
        assert one is not None
        assert two is not None
        made.add((code(one).hash, code(two).hash))
    assert len(made) == 1
    assert len({one for one, _ in list(made)}) <= 2


@pytest.mark.parametrize("how", ["float(net.__doc__)", "vars(Net)['__doc__']", "len(inspect.getsource(act))",
                                 "net.__code__.co_firstlineno",
                                 "open(__file__).read()", "open('parts/net.py'), open('parts/layers.py')"])  # fmt: skip
def test_of_code_that_works_with_its_text_comments_count(net: Path, how: str) -> None:
    layers = net.with_name("layers.py")
    net.write_text(net.read_text().replace("WIDTH = 4", "import inspect\nWIDTH = 4").replace(
        "    return Net(", f'    "7"\n    {how}\n    return Net('))  # fmt: skip
    assert changed(net, '"7"', '"8"') == (True, False)
    assert changed(layers, "SLOPE = 0.1", "SLOPE = 0.1  # steep") == (True, False)


def test_what_may_change_anything_counts_for_all(net: Path, write: Write) -> None:
    assert changed(net, "WIDTH = 4", "WIDTH = 4\nnn.Linear.forward = lambda self, x: x") == (True, True)
    assert changed(net, "WIDTH = 4", "import sys\nWIDTH = 4\nif len(sys.argv) > 5:\n    WIDTH = 2") == (True, True)
    write("parts/table.json", "[1]")
    net.write_text(net.read_text().replace("WIDTH = 4", "import json\nWIDTH = json.load(open('parts/table.json'))[0]"))
    before = hashes()[0]
    write("parts/table.json", "[2]")
    assert hashes()[0] != before


def test_files_beside_the_folder_and_packages_of_files_count(net: Path, write: Write) -> None:
    write("mine/__init__.py", "")
    write("mine/deep.py", "def act(x):\n    return x * 2\n")
    net.write_text(net.read_text().replace("from layers import act", "from mine.deep import act"))
    before = hashes()
    write("mine/deep.py", "def act(x):\n    return x * 3\n")
    assert (hashes()[0] != before[0], hashes()[1] == before[1]) == (True, True)
    net.write_text(net.read_text().replace("from mine.deep import act", "from .layers import act"))
    assert changed(net.with_name("layers.py"), "SLOPE = 0.1", "SLOPE = 0.2") == (True, False)


def test_the_same_code_in_another_folder_has_the_same_hash(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hashes()
    (net.parent.parent / "clone").mkdir()
    moved = net.parent.rename(net.parent.parent / "clone" / "parts")
    monkeypatch.chdir(moved.parent)
    assert hashes() == before


PART = "from bench.parts import model\n{}\n@model\ndef net(shape, classes): return {}\n"
OTHER = "@model\ndef second(shape, classes): return 1\n"
WAYS = {  # files beside what net is; the one that changes; whether second, in the same file, changes too
    "one name bound twice by imports": (
        PART.format("try:\n    from fast import act\nexcept ImportError:\n    from slow import act", "act"),
        {"parts/fast.py": "act = 1", "parts/slow.py": "act = 2"}, True,
    ),
    "two plain imports of one name": (
        PART.format("from fast import act\nfrom slow import act", "act"),
        {"parts/fast.py": "act = 1", "parts/slow.py": "act = 2"}, False,
    ),
    "by if and else": (
        PART.format("if shape := True:\n    from fast import act\nelse:\n    from slow import act", "act"),
        {"parts/fast.py": "act = 1", "parts/slow.py": "act = 2"}, True,
    ),
    "a definition that shadows an import": (
        PART.format("from fast import act\nfrom slow import act as base\ndef act(x): return base(x)", "act"),
        {"parts/fast.py": "act = 1", "parts/slow.py": "act = 2"}, False,
    ),
    "constants of packages": (
        PART.format("import deep.er.most\nfrom deep import TWO", "deep.ONE, deep.er.THREE, deep.er.most.FOUR, TWO"),
        {"deep/__init__.py": "ONE, TWO = 1, 2", "deep/er/__init__.py": "THREE = 3", "deep/er/most.py": "FOUR = 4"},
        False,
    ),
    "relative imports of a package beside": (
        PART.format("from deep.er import act", "act"),
        {"deep/__init__.py": "ONE = 1", "deep/er.py": "from . import ONE\nfrom .most import act\nact = act, ONE, 1",
         "deep/most.py": "act = 1"}, False,
    ),
    "files of one name": (
        PART.format("from one import layers\nfrom two import layers as others", "layers.act, others.act"),
        {"one/__init__.py": "", "one/layers.py": "act = 1", "two/layers.py": "act = 2"}, False,
    ),
    "packages without __init__.py": (
        PART.format("import deep.er.most as m\nfrom deep.low import TWO\nfrom far.off import THREE",
                    "m.ONE, TWO, THREE"),
        {"deep/er/most.py": "ONE = 1", "deep/low.py": "TWO = 2", "parts/far/off.py": "THREE = 3"}, False,
    ),
    "what is imported for what it does": (
        PART.format("import patches", "1"), {"parts/patches.py": "from torch import nn\nnn.act = 1"}, True,
    ),
    "names that come by a star": (
        PART.format("from fast import *", "act"), {"parts/fast.py": "from slow import *\nuse = 1",
                                                  "parts/slow.py": "act = 1"}, False,
    ),
    "a name that __all__ gives to a star": (
        PART.format("act1 = 0\nfrom fast import *", "act1"), {"parts/fast.py": "__all__ = ['act1']\nact1 = 9"}, False,
    ),
    "import_module under another name": (
        PART.format("from importlib import import_module as load", "load('fa' + 'st').act"),
        {"parts/fast.py": "act = 1", "slow.py": "act = 1", "deep/__init__.py": "act = 2"}, False,
    ),
    "globals of a frame": (
        PART.format("import sys as s\nfrom helper import act", "s.modules[__name__], act()"),
        {"parts/helper.py": "import sys\ndef hidden(): return 1\n"
                            "def act(): return sys._getframe().f_globals['hid' + 'den']()"}, False,
    ),
    "an archive": (
        PART.format("import sys\nsys.path.append('parts/lib.zip')\nimport packed", "packed"),
        {"parts/lib.zip": "1"}, True,
    ),
    "classes that register themselves": (
        PART.format("from base import Base", "Base.all['fast']"),
        {"parts/base.py": "class Base:\n    def __init_subclass__(cls): return 1", "parts/fast.py": "act = 1"}, False,
    ),
    "a decorator of one's own": (
        PART.format("from registry import model as register\n@register\ndef act(x): return x", "1"),
        {"parts/registry.py": "def model(f, n=1): return f"}, True,
    ),
    "an operator of somebody's object": (
        PART.format("import other\nfrom base import act", "act"),
        {"parts/other.py": "from base import act\nUSED = act + 1", "parts/base.py": "act = print(1)"}, True,
    ),
    "what is gone through": (
        PART.format("import other\nfrom base import act", "act"),
        {"parts/other.py": "from base import act\nUSED = [*act, 1]", "parts/base.py": "act = iter([1])"}, True,
    ),
    "a module of a package that another one imports": (
        PART.format("import deep\nfrom deep.low import TWO", "deep.er.act, TWO"),
        {"deep/__init__.py": "", "deep/low.py": "from . import er\nTWO = 2", "deep/er.py": "act = 1"}, False,
    ),
    "TYPE_CHECKING of one's own": (
        PART.format("TYPE_CHECKING = True\nif TYPE_CHECKING:\n    from fast import act", "act"),
        {"parts/fast.py": "act = 1"}, True,
    ),
    "data files": (
        PART.format("from pathlib import Path\nHERE = Path(__file__).parent",
                    "HERE / 'tables' / 'one.bin', open('lists/two.txt'), Path('far', 'off') / 'three', HERE / 'all'"),
        {"parts/tables/one.bin": "1", "lists/two.txt": "2", "far/off/three": "3", "parts/all/of/it.json": "4"}, False,
    ),
}  # fmt: skip


ORDERS = {  # lines before the part, of which the last two may be swapped; what it returns; whether the order counts
    "a value read before or after a change": (("RATE = 0.1", "DROP = RATE", "RATE = 0.5"), "DROP", True),
    "an item": (("C = {'d': 0.1}", "DROP = C['d']", "C['d'] = 0.5"), "DROP", True),
    "an annotated value": (("RATE = [0.1]", "DROP: float = RATE[0]", "RATE += [0.5]"), "DROP", True),
    "a default": (("RATE = 0.1", "def f(x=RATE): return x", "RATE = 0.5"), "f()", True),
    "a decorator": (("def w(f): return f", "@w\ndef f(): return 1", "def w(f): return 2"), "f", True),
    "a class's attribute": (("RATE = 0.1", "class A:\n    r = RATE", "RATE = 0.5"), "A.r", True),
    "a base": (("class B: r = 1", "class A(B): pass", "class B: r = 2"), "A.r", True),
    "a name of Python": (("", "top = max", "def max(x): return x"), "top, max", True),
    "a name by a star": (("from fast import *", "DROP = RATE", "RATE = 0.5"), "DROP, RATE", True),
    "names gone through": (("", "ONE = 1", "TWO = 2"), "[*globals()]", True),
    "read when it is called": (("RATE = 0.1", "def f(): return RATE", "RATE = 0.5"), "f()", False),
    "nothing changed": (("RATE = 0.1", "ONE = RATE", "TWO = RATE"), "ONE, TWO", False),
}  # fmt: skip


@pytest.mark.parametrize("way", ORDERS)
def test_the_order_of_what_reads_and_what_changes_a_value_counts(write: Write, way: str) -> None:
    (first, second, third), returned, counts = ORDERS[way]
    write("parts/fast.py", "RATE = 0.1")
    made = set()
    for lines in ((first, second, third), (first, third, second)):
        write("parts/net.py", PART.format("\n".join(lines), returned) + OTHER)
        made.add(hashes()[0])
    assert len(made) == 1 + counts


RUN = {"reg.py": "L = []", "fast.py": "from reg import L\nL.append(1)", "slow.py": "from reg import L\nL.append(2)"}


@pytest.mark.parametrize(("one", "two", "counts"), [
    ("import fast\nimport slow", "import slow\nimport fast", True),
    ("from fast import L as a\nfrom slow import L as b", "from slow import L as b\nfrom fast import L as a", True),
    ("import both", "import both  # other", False),
    ("import fast\nL.append(3)", "L.append(3)\nimport fast", True),
    ("import slow\nimport fast\nimport both", "import both\nimport slow\nimport fast", True),
    ("import fast\nimport math", "import math\nimport fast", False),
    ("import slow\nimport still", "import still\nimport slow", False),
])  # fmt: skip
def test_the_order_of_imports_that_do_something_counts(write: Write, one: str, two: str, counts: bool) -> None:
    """As of a list that grows, or of numbers that are drawn: `PROJECTION = torch.randn(64, 64)` in two files."""
    for name, content in {**RUN, "both.py": "import fast\nimport slow", "still.py": "A = 1\ndef f(): return A"}.items():
        write(f"parts/{name}", content + "\n")
    made = set()
    for lines in (one, two):
        write("parts/net.py", PART.format(f"from reg import L\n{lines}", "L") + OTHER)
        made.add(hashes()[0])
    assert len(made) == 1 + counts


HOWS = ("import helper", "from . import helper", "from helper import act", "from deep import helper",
        "from importlib import import_module as helper")  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
def test_compiled_modules_count_with_their_content(write: Write, how: str) -> None:
    from importlib.machinery import EXTENSION_SUFFIXES

    write("parts/net.py", PART.format(how, "helper, act" if "act" in how else "helper") + OTHER)
    write("deep/__init__.py", "")
    beside = hashes()
    file = write(f"{'deep' if 'deep' in how else 'parts'}/helper{EXTENSION_SUFFIXES[0]}", "1")
    before = hashes()
    file.write_text("2")
    assert len({beside[0], before[0], hashes()[0]}) == 3
    file.write_text("1")
    assert hashes() == before


@pytest.mark.parametrize(("how", "file"), [
    ("HERE.glob('t/*.txt')", "parts/t/{}.txt"),
    ("HERE.glob('*.tx?')", "parts/{}.txt"),
    ("HERE.glob('*/[ab].txt')", "parts/t/{}.txt"),
    ("HERE.rglob('*.txt')", "parts/t/deep/{}.txt"),
    ("HERE.glob('**/*.txt')", "parts/t/deep/{}.txt"),
    ("Path('far').glob('*')", "far/{}.txt"),
    ("Path().glob('far/*.txt')", "far/{}.txt"),
    ("open(HERE / f'{classes}.txt')", "parts/{}.txt"),
    ("open('far/%s.txt' % shape)", "far/{}.txt"),
    ("open(HERE / 't' / (shape + '.txt'))", "parts/t/{}.txt"),
    ("list((HERE / 't').iterdir())", "parts/t/{}.txt"),
    ("glob(f'{HERE}/t/*.txt')", "parts/t/{}.txt"),
    ("glob(str(HERE) + '/*.txt')", "parts/{}.txt"),
    ("glob('%s/t/*.txt' % HERE)", "parts/t/{}.txt"),
])  # fmt: skip
def test_files_that_a_pattern_matches_count(write: Write, how: str, file: str) -> None:
    write("parts/net.py", PART.format("from pathlib import Path\nHERE = Path(__file__).parent", how) + OTHER)
    none = hashes()
    first = write(file.format("a"), "1")
    one = hashes()
    second = write(file.format("b"), "1")
    two = hashes()
    first.write_text("2")
    assert len({none[0], one[0], two[0], hashes()[0]}) == 4
    assert hashes()[1] == none[1]
    first.write_text("1")
    second.unlink()
    write("store/of/runs.txt" if "HERE" in how else "parts/unused.py", "1")
    if "+" in how:
        write("runs.txt", "1")
    assert hashes()[0] == one[0] or how == "Path('far').glob('*')"  # it is a pattern of the part's folder, too


@pytest.mark.parametrize(
    "how", ["f'{HERE}/t/w.bin'", "HERE + '/t/w.bin'", "'{}/t/w.bin'.format(HERE)", "f'{HERE}/t/{HERE}.bin'"]
)
def test_a_file_that_is_not_there_yet_counts_when_it_comes(write: Write, how: str) -> None:
    """`if os.path.exists(...)`: the run without it is finished, and would answer for the one with it."""
    write("parts/net.py", PART.format("import os\nHERE = os.path.dirname(__file__)", f"os.path.exists({how})") + OTHER)
    before = hashes()
    write("parts/t/w.bin", "1")
    assert [a != b for a, b in zip(hashes(), before, strict=True)] == [True, False]


@pytest.mark.parametrize("named", ['f"m{i}"', 'f"{i}.m{i}"', 'f"m{i}.{i}"', '"m" + str(i)', '"m%d" % i'])
def test_names_of_layers_are_no_files_of_runs(write: Write, named: str) -> None:
    """The store lies in the working directory, and is another after each run."""
    write(
        "parts/net.py",
        PART.format("from torch import nn", f"[nn.Identity().add_module({named}, 1) for i in shape]") + OTHER,
    )
    before = hashes()
    for file in ("mlflow.db", "mlflow.db-wal", "m1", "m.1.txt/notes", ".imagebench/m1.2"):
        write(file, "1")
    assert hashes() == before


@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_using_a_file_is_missed(write: Write, way: str) -> None:
    text, files, both = WAYS[way]
    write("parts/net.py", text + OTHER)
    for name, content in files.items():
        write(name, content)
    before = hashes()
    for name, content in files.items():
        file = write(name, content.translate({ord(digit): "7" for digit in "1234"}))
        after = hashes()
        assert (after[0] != before[0], after[1] != before[1]) == (bool(content), both and bool(content)), name
        file.write_text(content)
        assert hashes() == before
    write("parts/unused.py", "act = 1")
    assert (hashes() == before) == (
        "import_module" not in way and "register themselves" not in way and "frame" not in way
    )


def test_equally_named_files_of_elsewhere_are_two(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [
        Path.cwd() / write(f"far/{name}_of_far/layers.py", f"act = {name == 'one'}").parents[1]
        for name in ("one", "two")
    ]
    monkeypatch.chdir(write("near/parts/net.py", PART.format(
        "from one_of_far import layers\nfrom two_of_far import layers as others", "layers.act, others.act") + OTHER,
    ).parents[1])  # fmt: skip
    monkeypatch.syspath_prepend(str(places[0].absolute()))
    before = hashes()
    for name in ("one", "two"):
        file = places[0] / f"{name}_of_far" / "layers.py"
        text = file.read_text()
        file.write_text("act = 7")
        assert (hashes()[0] != before[0], hashes()[1] == before[1]) == (True, True), name
        file.write_text(text)
    assert hashes() == before


def test_data_beside_the_working_directory_and_large_files_count(
    net: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    net.write_text(net.read_text().replace("WIDTH = 4", "import numpy\nWIDTH = len(numpy.fromfile('large.bin'))"))
    there = net.parent.rename(net.parent.parent / "elsewhere")
    (there.parent / "work").mkdir()
    monkeypatch.chdir(there.parent / "work")
    monkeypatch.setenv("IMAGEBENCH_PARTS", str(there))
    before = hashes()[0]
    with Path("large.bin").open("wb") as file:
        file.truncate(65 * 2**20)
    large = hashes()[0]
    with Path("large.bin").open("r+b") as file:
        file.write(b"1")
    assert len({before, large, hashes()[0]}) == 3


def test_two_folders_with_a_module_of_one_name_are_refused_not_mixed(
    net: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench import models

    write("other/layers.py", "def act(x):\n    return x * 0\n")
    write("other/mine.py", NET.replace("def net(", "def mine(").replace("def second(", "def third("))
    first = experiment(compose(["model=net"]))
    models.build(first, (1, 2, 2), 3)
    other = str(net.parents[1] / "other")
    monkeypatch.setenv("IMAGEBENCH_PARTS", os.pathsep.join([str(net.parent), other]))
    with pytest.raises(RequestError, match=r"'layers' is .*other/layers.py here, and .*parts/layers.py of another"):
        compose(["model=mine"])
    monkeypatch.setenv("IMAGEBENCH_PARTS", other)  # the first folder is not in use any more
    mine = models.build(experiment(compose(["model=mine"])), (1, 2, 2), 3)
    import torch

    assert torch.equal(mine(torch.rand(1, 1, 2, 2)), mine.last.bias[None])


def test_a_changed_file_is_imported_anew_and_old_plans_are_refused(net: Path) -> None:
    from bench import models

    planned = experiment(compose(["model=net"]))
    assert models.build(planned, (1, 2, 2), 3).get_parameter("first.weight").shape == (4, 4)
    net.write_text(net.read_text().replace("WIDTH = 4", "WIDTH = 6"))
    again = experiment(compose(["model=net"]))
    assert models.build(again, (1, 2, 2), 3).get_parameter("first.weight").shape == (6, 4)
    with pytest.raises(RequestError, match="model 'net' has changed since this was planned"):
        models.build(planned, (1, 2, 2), 3)
    layers = net.with_name("layers.py")
    layers.write_text(layers.read_text().replace("* SLOPE", "* 0"))
    net3 = models.build(experiment(compose(["model=net"])), (1, 2, 2), 3)
    import torch

    assert torch.equal(net3(torch.rand(2, 1, 2, 2)), net3(torch.rand(2, 1, 2, 2)))


def test_a_sweep_says_what_runs_again_and_why(bench: Any, bench_json: Any, convmixer: Path) -> None:
    words = ("sweep", "--axes", "model=convmixer,flatnet", "--seeds", "1", "dataset=digits", "trainer.epochs=1",
             "--workers", "1")  # fmt: skip
    first = bench_json(*words)
    assert (first["ran"], first["failed"]) == (2, 0)
    text = convmixer.read_text()
    convmixer.write_text(text.replace("nn.GELU(), norm(dim)]\n    for", "nn.ReLU(), norm(dim)]\n    for"))
    status, _, err = bench(*words, "--dry-run")
    assert status == 0
    assert "model 'convmixer' has changed since (code " in err
    assert "): 1 run again, 1 of 2 stay." in err
    assert "flatnet" not in err.replace("model=convmixer,flatnet", "")
    convmixer.write_text(text + "# the same code\n")
    assert bench_json(*words)["ran"] == 0
