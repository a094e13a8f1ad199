"""From overrides to plain nested data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra import compose as hydra_compose
from omegaconf import DictConfig, OmegaConf

from bench.compose.overrides import check_override, parse, refuse_conflicts
from bench.compose.session import group_options, hydra_session, translate_errors
from bench.parts.resolve import resolve_parts


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
        groups = group_options(session)
        texts = [check_override(o, groups) for o in parsed]
        with translate_errors():
            config = hydra_compose("config", overrides=texts)
            return to_plain(config, complete)


def refers(overrides: Sequence[str]) -> bool:
    """Whether a setting of the composed configuration refers to another one: `split.seed: ${seed}`."""
    with hydra_session() as session:
        groups = group_options(session)
        texts = [check_override(o, groups) for o in parse(overrides)]
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
