"""Words with dashes that no verb takes: what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.schema.errors import suggestion

# Hydra's own, which `bench run` passes on.
HYDRAS = frozenset(
    [
        "--help",
        "-h",
        "--hydra-help",
        "--version",
        "--cfg",
        "-c",
        "--resolve",
        "--package",
        "-p",
        "--run",
        "-r",
        "--multirun",
        "-m",
        "--shell-completion",
        "-sc",
        "--config-path",
        "-cp",
        "--config-name",
        "-cn",
        "--config-dir",
        "-cd",
        "--experimental-rerun",
        "--info",
        "-i",
    ]
)
# What other programs call it, where no spelling is near.
OTHERS = {"--force": "--fresh", "--resume": "", "--gpus": "trainer.devices", "--output": "--out", "-n": "--dry-run"}


def hint(words: Sequence[str], known: Iterable[str], takes_overrides: bool) -> str:
    """` --seed: did you mean '--seeds'?`, or the setting that is written without dashes; "" for nothing near.

    Args:
        words: those that were not understood, values after their flags.
        known: the verb's own flags.
    """
    flag, equals, value = words[0].partition("=")
    value = value if equals else (words[1] if len(words) > 1 and not words[1].startswith("-") else "VALUE")
    name = flag.lstrip("-").replace("-", "_")
    options, other = list(known), OTHERS.get(flag, "")
    if other in options:
        return f" Did you mean '{other}'?"
    close = suggestion(flag, options)
    if close and close.endswith(f"'{flag}s'?"):  # --seed for --seeds
        return close
    if takes_overrides and (setting := _setting(other or name)):
        return f" Settings are written without dashes: {setting}={value}."
    if flag == "--resume":
        return " Nothing is needed to resume: the same command goes on where it stopped."
    return close


def _setting(name: str) -> str:
    """The full name of the setting that ends in `name`; "" for none."""
    from bench.schema.experiment import Experiment
    from bench.schema.where import settings

    groups = {s.name.split(".")[0] for s in settings(Experiment)}
    if name in groups:
        return name
    names = [s.name for s in settings(Experiment) if ".own." not in s.name]
    found = [n for n in names if n == name] or [n for n in names if n.rpartition(".")[2] == name]
    return min(found, key=lambda n: not n.startswith(("trainer.", "optim.")), default="")
