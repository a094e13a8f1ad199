"""From Hydra's grammar to plain data: where conf/ is found, composing, and errors that teach."""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString, RangeSweep
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    UnsupportedInterpolationType,
)
from yaml import YAMLError

from bench.bounded import check_folder
from bench.parts import listing
from bench.parts.options import SCHEME, OwnParts
from bench.parts.resolve import resolve_parts
from bench.quoting import quote_override
from bench.schema.errors import RequestError, unknown_name
from bench.schema.offered import GROUPS

LONGEST = 50_000  # characters of an override
MANY = 10_000  # values of a range


def shipped_folder(folder: str) -> Path:
    """The `conf` or `sweeps` that came with the code: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    for candidate in (package / folder, package.parent / folder):
        if candidate.is_dir():
            return candidate
    raise RequestError(f"The installation is damaged: no '{folder}' folder beside {package}. Install imagebench again.")


class OwnConfFirst(SearchPathPlugin):
    """A user's conf/ in the working directory is found before the shipped one; parts/ adds options of its own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra for every search path it makes."""
        own = Path.cwd() / "conf"
        if own.is_dir() and own.resolve() != shipped_folder("conf").resolve():
            check_folder(own, GROUPS)
            search_path.prepend(provider="user", path=f"file://{own}")
        search_path.append(provider="own parts", path=f"{SCHEME}://")


def plugins() -> None:
    """Tell Hydra where conf/ and parts/ of the working directory are found."""
    known = Plugins.instance()
    if OwnConfFirst not in known.discover(SearchPathPlugin):
        known.register(OwnParts)
        known.register(OwnConfFirst)


@contextmanager
def hydra_session() -> Iterator[GlobalHydra]:
    """Hydra initialised on the conf folders; the previous global state is put back afterwards."""
    plugins()
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(shipped_folder("conf")), version_base="1.3", job_name="bench"):
            yield GlobalHydra.instance()
    finally:
        GlobalHydra.instance().hydra = before


def parse(overrides: Sequence[str]) -> list[Override]:
    """Overrides by Hydra's grammar.

    Raises:
        RequestError: for one that is not in the grammar, or too large for what anybody means.
    """
    loaded = GlobalHydra.instance().hydra  # glob() looks for files with it
    parser = OverridesParser.create(loaded.config_loader if loaded is not None else None)
    out = []
    for text in overrides:
        if len(text) > LONGEST:
            raise RequestError(f"The override '{text[:60]}...' has {len(text):,} characters; {LONGEST:,} are the most.")
        try:
            out.append(parser.parse_override(quote_override(text)))
            out[-1].config_loader = parser.config_loader
            _refuse_endless(out[-1])
        except (RecursionError, ValueError) as error:  # brackets in brackets, numbers of thousands of digits
            raise RequestError(f"Cannot read the override '{text[:60]}...': {str(error)[:80]}.") from None
        except HydraException as error:
            reason = str(error).splitlines()[0]
            name, _, value = text.partition("=")
            form = QuotedString(text=value, quote=Quote.single).with_quotes()
            remedy = f' A value with signs goes in quotes: "{name}={form}".' if value else ""
            raise RequestError(f"Cannot read the override '{text}': {reason}. Expected name=value.{remedy}") from None
    return out


def _refuse_endless(override: Override) -> None:
    """Refuse a range() that would fill the memory with its values, as shuffle() and sort() of it do.

    Raises:
        RequestError: for one of more than `MANY`.
    """
    of = override.value()
    if isinstance(of, RangeSweep):
        start, stop, step = (float(number if number is not None else 0) for number in (of.start, of.stop, of.step))
        if not step or not abs((stop - start) / step) <= MANY:
            raise RequestError(f"'{override.input_line}' has more than {MANY:,} values. Fewer, or several sweeps.")


def refuse_many(overrides: Iterable[Override], most: int = MANY) -> None:
    """Refuse a multirun of more runs than anybody means: Hydra would list them all before the first.

    Raises:
        RequestError: for more than `most`.
    """
    count = math.prod(sum(1 for _ in o.sweep_iterator()) for o in overrides if o.is_sweep_override())
    if count > most:
        raise RequestError(f"These are {count:,} runs; {most:,} are the most of --multirun. 'bench sweep' takes more.")


def override_value(override: Override) -> Any:
    """The value of an override as plain data, by Hydra's grammar: `off` is a word, `false` is not."""
    return _plain_value(override.value())


def compose(overrides: Sequence[str], complete: bool = True) -> dict[str, Any]:
    """The composed configuration as plain nested data, interpolations resolved.

    Args:
        complete: whether every setting must have a value; else those without one are MISSING.

    Raises:
        RequestError: for a group option, an override or a file that is wrong.
    """
    with hydra_session() as session:
        parsed = parse(overrides)
        refuse_conflicts(parsed)
        groups = {g: tuple(options) for g, options in _groups(session).items()}
        texts = [check_override(o, groups) for o in parsed]
        with translate_errors():
            config = hydra_compose("config", overrides=texts)
            return to_plain(config, complete)


BUDGETS = ("trainer.epochs", "trainer.steps", "trainer.seconds")


def refuse_conflicts(overrides: Iterable[Override]) -> None:
    """Refuse overrides of which one would undo another without a word.

    Raises:
        RequestError: for two budgets, and for an optimizer beside a recipe.
    """
    said = {o.key_or_group: o for o in overrides if o.value() is not None}
    budgets = [name for name in BUDGETS if name in said]
    if len(budgets) > 1:
        raise RequestError(f"{' and '.join(budgets)} are two budgets, of which one counts: leave one of them out.")
    if "recipe" in said and "optim" in said:
        recipe, optim = said["recipe"].value(), said["optim"].value()
        raise RequestError(
            f"recipe={recipe} brings its own optimizer, with the lr and weight decay that go with it: optim={optim} "
            f"would meet those. Leave one of the two out, or say optim.name={optim} optim.lr=... for what is to differ."
        )


def refers(overrides: Sequence[str]) -> bool:
    """Whether a setting of the composed configuration refers to another one: `split.seed: ${seed}`."""
    with hydra_session() as session:
        options = {g: tuple(o) for g, o in _groups(session).items()}
        texts = [check_override(o, options) for o in parse(overrides)]
        with translate_errors():
            config = hydra_compose("config", overrides=texts)
            raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    return "${" in str({k: v for k, v in raw.items() if k != "hydra"})


def to_plain(config: DictConfig, complete: bool = True) -> dict[str, Any]:
    """Nested dicts and lists, interpolations resolved, without Hydra's own node and the scale group's empty one."""
    with translate_errors():
        data = OmegaConf.to_container(config, resolve=True, throw_on_missing=complete)
    assert isinstance(data, dict)
    made = {str(k): v for k, v in data.items() if k != "hydra"}
    return resolve_parts(made) if complete else made


def check_override(override: Override, groups: dict[str, tuple[str, ...]], several: bool = False) -> str:
    """The override as text for Hydra, its group option checked and its setting allowed to be new to the YAML.

    Args:
        groups: every group and its options.
        several: whether it may have several values, as under --multirun.

    A setting that no file mentions is passed on as `++name=value`: which settings exist is the schema's
    business, and its message about an unknown one is better than Hydra's.
    """
    text = str(override.input_line)
    key = override.key_or_group
    if override.is_sweep_override() and not several:
        raise RequestError(f"'{text}' has several values. 'bench sweep --axes {text}' runs them all.")
    if key in groups:
        values = override.sweep_string_iterator() if override.is_sweep_override() else [override.value()]
        for value in values:
            if not isinstance(value, list | dict) and value not in groups[key]:
                raise _unknown_option(key, str(value), groups[key])
            _refuse_ambiguous(key, str(value))
        return text
    if key.startswith("hydra.") or override.is_delete() or override.is_add() or override.is_force_add():
        return text
    return "++" + text


def _unknown_option(key: str, value: str, options: Sequence[str]) -> RequestError:
    """The error for a group's option that there is none of; it may be in a file that is no Python."""
    broken = "".join(f"\n{file} is no Python ({why})." for file, why in listing.broken_files().items())
    broken += "".join(f"\n{file}, {why}." for file, why in listing.misplaced_files().items())
    return RequestError(f"{unknown_name(key.replace('/', ' '), value, options)}{broken}")


def _refuse_ambiguous(key: str, value: str) -> None:
    """Refuse an own part of a name that a YAML file has.

    Raises:
        RequestError: naming both.
    """
    kind = GROUPS.get(key)
    part = listing.find(kind.name, value) if kind is not None and not kind.listed else None
    if part is None:
        return
    for folder in (Path.cwd() / "conf", shipped_folder("conf")):
        if (folder / key / f"{value}.yaml").is_file():
            raise RequestError(
                f"{key} '{value}' exists already: {folder.name}/{key}/{value}.yaml, and {part.where}. "
                f"Rename the function in {part.file.name}."
            )


@functools.lru_cache(maxsize=8)
def _groups_at(cwd: str, parts: tuple[Any, ...]) -> dict[str, list[str]]:
    loader = GlobalHydra.instance().config_loader()
    names = [g for g in loader.list_groups("") if g not in ("hydra",)]
    return {g: sorted(loader.get_group_options(g)) for g in names} | {
        f"hydra/{g}": sorted(loader.get_group_options(f"hydra/{g}")) for g in loader.list_groups("hydra")
    }


def _groups(session: GlobalHydra) -> dict[str, list[str]]:
    return _groups_at(os.getcwd(), listing.stamp())


def groups() -> dict[str, tuple[str, ...]]:
    """Every configuration group and its options, the user's own included."""
    with hydra_session() as session:
        return {g: tuple(options) for g, options in _groups(session).items()}


@contextmanager
def translate_errors() -> Iterator[None]:
    """Hydra's and OmegaConf's errors as RequestErrors of one or two lines."""
    try:
        yield
    except MissingMandatoryValue as error:
        name = error.full_key or "a setting"
        raise no_default_error(name) from None
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        text = str(error).strip()
        text = re.split(r"\n\s*(?:full_key|object_type|Config search path)", text)[0]
        if isinstance(error, InterpolationKeyError | UnsupportedInterpolationType):
            text += ". Where the sign itself is meant, as in a path: NAME='a\\${b}'"
        raise RequestError(f"The configuration does not compose: {text}") from None


def no_default_error(name: str) -> RequestError:
    """The error for a setting that has to be given."""
    return RequestError(f"Setting '{name}' has no default. Say {name}=VALUE.")


def _plain_value(value: Any) -> Any:
    """Hydra's quoted strings and nested structures as plain data."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_plain_value(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain_value(v) for k, v in value.items()}
    return value
