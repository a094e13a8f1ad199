"""Many points of a sweep, composed by Hydra once for each combination of group options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import MISSING

from bench.compose.config import compose, refers
from bench.compose.overrides import override_value, parse, refuse_conflicts
from bench.compose.session import groups, no_default_error
from bench.parts.resolve import resolve_parts
from bench.schema.errors import RequestError


class Composer:
    """Composes many points that share most of their overrides.

    Hydra composes each combination of group options once (some 20 ms); settings of single values are then
    laid on top of a copy, as Hydra would have done.
    """

    def __init__(self, base: Sequence[str]) -> None:
        self.base = tuple(base)
        self.groups = groups()
        self._made: dict[tuple[str, ...], dict[str, Any]] = {}
        self._refers: dict[tuple[str, ...], bool] = {}
        self._parsed: dict[str, Override] = {}

    def compose(self, overrides: Sequence[str]) -> dict[str, Any]:
        """The configuration of `base` and `overrides`, as plain nested data.

        Raises:
            RequestError: as `compose` does.
        """
        texts = [*self.base, *overrides]
        structural: list[str] = []
        values: list[str] = []
        for text in texts:
            if text not in self._parsed:
                (self._parsed[text],) = parse([text])
            override = self._parsed[text]
            simple = not (override.is_delete() or override.is_sweep_override() or "${" in text)
            (values if simple and override.key_or_group not in self.groups else structural).append(text)
        refuse_conflicts([self._parsed[text] for text in texts])
        key = tuple(structural)
        if key not in self._refers:
            self._refers[key] = refers(structural)
        if self._refers[key]:
            # What is laid on top would come too late for a setting that refers to it: split.seed=${seed}.
            return compose(texts)
        if key not in self._made:
            self._made[key] = compose(structural, complete=False)  # dataset.root=DIR is laid on top below
        config = _copy(self._made[key])
        for text in values:
            override = self._parsed[text]
            _put(config, override.key_or_group.split("."), override_value(override), text)
        if (name := _first_missing(config, "")) is not None:
            raise no_default_error(name)
        return resolve_parts(config)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    return list(value) if isinstance(value, list) else value


def _first_missing(value: Any, name: str) -> str | None:
    """The full name of the first setting without a value."""
    if isinstance(value, dict):
        inner = (_first_missing(v, f"{name}.{k}" if name else str(k)) for k, v in value.items())
        return next((found for found in inner if found is not None), None)
    return name if value == MISSING else None


def _put(config: dict[str, Any], path: list[str], value: Any, text: str) -> None:
    here = config
    for i, step in enumerate(path[:-1]):
        inner = here.setdefault(step, {})
        if not isinstance(inner, dict):
            raise RequestError(f"'{text}': '{'.'.join(path[: i + 1])}' is a single value, {inner!r}, not a group.")
        here = inner
    if isinstance(here.get(path[-1]), dict) and not isinstance(value, dict):
        known = ", ".join(sorted(here[path[-1]]))
        raise RequestError(f"'{text}': '{'.'.join(path)}' is a group of settings ({known}), not a single value.")
    here[path[-1]] = value
