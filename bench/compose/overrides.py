"""Overrides by Hydra's grammar: read, checked, and what nobody can mean refused."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException

from bench.compose.quoting import quote_override
from bench.compose.session import shipped_folder
from bench.parts import listing
from bench.schema.errors import RequestError, unknown_name
from bench.schema.offered import GROUPS

LONGEST = 50_000  # characters of an override
MANY = 10_000  # values of a range
BUDGETS = ("trainer.epochs", "trainer.steps", "trainer.seconds")


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
    if key == "hydra/sweeper" and value.startswith("optuna"):
        return RequestError(
            f"{key}={value}: Hydra's sweeper for Optuna is not installed, and works with Optuna below 3 only. A search "
            "with any Optuna calls bench.run from Python; a grid is chosen from by `select:` in a sweep file. README's "
            "'How do I ...' has both."
        )
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


def _plain_value(value: Any) -> Any:
    """Hydra's quoted strings and nested structures as plain data."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_plain_value(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain_value(v) for k, v in value.items()}
    return value
