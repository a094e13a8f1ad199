"""Hydra's session: where conf/ and parts/ are found, which groups there are, errors that teach."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf.errors import (
    InterpolationKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    UnsupportedInterpolationType,
)
from yaml import YAMLError

from bench.compose.bounded import check_folder
from bench.parts import listing
from bench.parts.options import SCHEME, OwnParts
from bench.schema.errors import RequestError
from bench.schema.offered import GROUPS


def shipped_folder(folder: str) -> Path:
    """The `conf` or `sweeps` that came with the code: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
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


@functools.lru_cache(maxsize=8)
def _groups_at(cwd: str, parts: tuple[Any, ...]) -> dict[str, tuple[str, ...]]:
    loader = GlobalHydra.instance().config_loader()
    names = [g for g in loader.list_groups("") if g not in ("hydra",)]
    return {g: tuple(sorted(loader.get_group_options(g))) for g in names} | {
        f"hydra/{g}": tuple(sorted(loader.get_group_options(f"hydra/{g}"))) for g in loader.list_groups("hydra")
    }


def group_options(session: GlobalHydra) -> dict[str, tuple[str, ...]]:
    """Every configuration group and its options, the user's own included, in a session that is open."""
    return _groups_at(os.getcwd(), listing.stamp())


def groups() -> dict[str, tuple[str, ...]]:
    """Every configuration group and its options, the user's own included."""
    with hydra_session() as session:
        return group_options(session)


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
