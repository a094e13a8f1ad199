"""Own parts as options of Hydra's groups: a config source that makes each option's node from the file's syntax."""

from __future__ import annotations

import builtins

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from bench.parts import listing
from bench.parts.resolve import CODE
from bench.schema.offered import GROUPS, Listed

SCHEME = "imagebenchparts"
# What else the node of an option says, where the group's choices are told apart by another setting than `name`.
MARKS = {"model": {"family": "own"}, "dataset": {"source": "own"}}


class OwnParts(ConfigSource):
    """`model/convmixer` and so on, for each part that `bench.parts.listing` finds."""

    @staticmethod
    def scheme() -> str:
        """Of the search path's entry."""
        return SCHEME

    def available(self) -> bool:
        """Always; there may just be no parts."""
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        """The node of an option: name, code (which `bench.parts.resolve` fills in) and the settings' defaults."""
        part = self._part(config_path)
        if part is None:
            raise ConfigLoadError(f"There is no own part '{config_path}'.")
        group = config_path.rpartition("/")[0]
        given = (*GROUPS[group].takes, *(("norm",) if group == "model" else ()))  # a default there is no setting's
        node = {
            **{k: v for k, v in part.defaults.items() if k not in given},
            **MARKS.get(group, {}),
            "name": part.name,
            CODE: None,
        }
        made = OmegaConf.create(node)
        return ConfigResult(provider=self.provider, path=f"{SCHEME}://", config=made, header={"package": None})

    def is_group(self, config_path: str) -> bool:
        """Whether it is a group that has own parts."""
        return config_path.rstrip("/") in {"", *self._groups()}

    def is_config(self, config_path: str) -> bool:
        """Whether it is an own part."""
        return self._part(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> builtins.list[str]:
        """Groups below the root, parts below a group."""
        path = config_path.rstrip("/")
        if path == "":
            return [] if results_filter == ObjectType.CONFIG else self._groups()
        kind = GROUPS.get(path)
        if kind is None or kind.listed or results_filter == ObjectType.GROUP:
            return []
        return list(listing.names(kind.name))

    def _groups(self) -> builtins.list[str]:
        kinds = {part.kind for part in listing.all_parts()}
        return sorted(group for group, kind in GROUPS.items() if kind.name in kinds and not kind.listed)

    def _part(self, config_path: str) -> Listed | None:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        kind = GROUPS.get(group)
        return None if kind is None or kind.listed else listing.find(kind.name, name)
