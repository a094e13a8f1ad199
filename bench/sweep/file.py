"""Sweep files: finding and reading them, and making a sweep from the command line."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException

from bench.compose import shipped_folder
from bench.compose.bounded import read_yaml
from bench.compose.overrides import MANY, parse
from bench.compose.session import hydra_session
from bench.disk import write_atomically
from bench.schema.errors import RequestError, suggestion
from bench.schema.names import checked_name
from bench.schema.secrets import redact_text
from bench.schema.sweep import Sweep
from bench.schema.sweep_file import sweep
from bench.track.spool import state_folder

VALUES = "values such as 1,2 or range(1,5) or glob(*)"


def folders() -> list[Path]:
    """Where sweep files are looked for: the working directory's sweeps/ first, then the shipped ones."""
    return [Path.cwd() / "sweeps", stated_folder(), shipped_folder("sweeps")]


def stated_folder() -> Path:
    """Where sweeps that were stated on the command line are kept, for `bench table NAME`."""
    return state_folder() / "sweeps"


def names() -> list[str]:
    """Every sweep that can be named."""
    return sorted({p.stem for folder in folders() if folder.is_dir() for p in folder.glob("*.yaml")})


def read(name: str) -> Sweep:
    """The sweep `name`, or the one in a file when `name` ends in .yaml.

    Raises:
        RequestError: when there is none, or the file says something that a sweep cannot be.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise RequestError(f"There is no sweep file {name}.")
    else:
        found = [folder / f"{name}.yaml" for folder in folders() if (folder / f"{name}.yaml").is_file()]
        if not found:
            raise RequestError(
                f"Unknown sweep '{name}'.{suggestion(name, names())} Known: {', '.join(names()) or 'none'}; "
                "your own go to sweeps/NAME.yaml."
            )
        path = found[0]
    return sweep({"name": path.stem, **content(path)}, path.name)


def content(path: Path) -> dict[str, Any]:
    """What a sweep file says, before it is held to what a sweep is.

    Raises:
        RequestError: for what is no mapping.
    """
    data = read_yaml(path, _Loader)
    if not isinstance(data, dict):
        raise RequestError(f"{path.name}: expected keys such as 'question' and 'axes', got {type(data).__name__}.")
    return data


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: `on`, `off`, `yes` and `no` are words, as in labels; a key given twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        counts = Counter(key for key in keys if isinstance(key, Hashable))
        twice = next((key for key, n in counts.items() if n > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"key '{twice}' is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def from_axes(name: str, axes: Sequence[str], base: Sequence[str], seeds: int | list[int]) -> Sweep:
    """A sweep stated on the command line: `--axes model=linear,dnn optim.lr=0.1,0.01`.

    The first axis becomes the table's rows, the second its columns.

    Raises:
        RequestError: for an axis without values or with a value given twice.
    """
    return sweep(axes_data(name, axes, base, seeds), "--axes")


def keep(data: dict[str, Any]) -> None:
    """Keep a sweep that was stated on the command line; credentials in its overrides stay out of the file."""
    base = [word for word in data["base"] if word == redact_text(word)]
    text = yaml.safe_dump({**data, "base": base}, sort_keys=False)
    write_atomically(stated_folder() / f"{checked_name(data['name'], '--name')}.yaml", text)


def axes_data(name: str, axes: Sequence[str], base: Sequence[str], seeds: int | list[int]) -> dict[str, Any]:
    """What a file would say."""
    made = dict(axis_of(text) for text in axes)
    over = list(made)
    return {
        "name": name,
        "question": f"How {'do' if len(over) > 1 else 'does'} {' and '.join(over)} change test accuracy?",
        "base": list(base),
        "axes": made,
        "seeds": seeds,
        "table": {"rows": over[0], "columns": over[1:2]},
        "figure": {"x": over[-1], "lines": over[0] if len(over) > 1 else None},
    }


def axis_of(text: str) -> tuple[str, list[Any]]:
    """`optim.lr=0.1,0.01` as ("optim.lr", [0.1, 0.01]), by Hydra's grammar (choice() and range() too)."""
    if text.endswith("="):
        raise RequestError(f"--axes {text}: the axis is empty. Give it values: {text}VALUE,VALUE.")
    with hydra_session():
        (override,) = parse([text])
        several = override.is_sweep_override()
        try:
            values = [*itertools.islice(override.sweep_string_iterator(), MANY + 1)] if several else []
        except HydraException as error:  # interval() is for searches
            raise RequestError(f"--axes {text}: {str(error).splitlines()[0]} Expected {VALUES}.") from None
    if len(values) > MANY:
        raise RequestError(f"--axes {text[:60]}: more than {MANY:,} values. Fewer, or several sweeps.")
    if several:
        values = [_scalar(value) for value in values]
    else:
        values = [_scalar(text.split("=", 1)[1])]
    if not values:
        raise RequestError(f"--axes {text}: the axis is empty. Give it values: {override.key_or_group}=VALUE,VALUE.")
    return str(override.key_or_group), values


def _scalar(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace(f"\\{text[0]}", text[0])
    if "\\" in text and text[:1] not in ("[", "{"):  # Hydra marks colons and blanks: run:ID comes as run\:ID
        return re.sub(r"\\(.)", r"\1", text)
    value = yaml.safe_load(text) if not text.startswith("${") else text
    if isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 reads 1e-3 as a word
        except ValueError:
            return value
    return value
