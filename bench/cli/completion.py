"""Shell completion for bash, zsh and fish: verbs, flags, sweeps, results, data sets, settings and their values.

    eval "$(bench -sc install=bash)"      # likewise install=zsh
    bench -sc install=fish | source

Whatever goes wrong while a shell asks is silent: nothing is ever printed into somebody's prompt.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from bench.schema.errors import RequestError, unknown_name

# The shell gives the line up to the cursor; lines of standard output are whole words, already those that fit.
SCRIPTS = {
    "bash": """\
_bench_complete() {
    local line="${COMP_LINE:0:$COMP_POINT}" one
    local word="${line##* }" before=""
    case "$word" in *[=:]*) before="${word%"${word##*[=:]}"}" ;; esac  # readline replaces what follows = and : only
    COMPREPLY=()
    while IFS= read -r one; do
        [ -n "$one" ] || continue
        case "$one" in *=) compopt -o nospace 2>/dev/null ;; esac
        COMPREPLY+=("${one#"$before"}")
    done < <(COMP_LINE="$line" "${COMP_WORDS[0]}" -sc query=bash 2>/dev/null)
}
complete -o default -F _bench_complete bench
""",
    "zsh": """\
_bench_complete() {
    local -a found open
    found=("${(@f)$(COMP_LINE="${(j: :)words[1,CURRENT]}" "${words[1]}" -sc query=zsh 2>/dev/null)}")
    open=("${(@M)found:#*=}")
    found=("${(@)found:#*=}")
    (( ${#open[1]} )) && compadd -S '' -- "${open[@]}"
    (( ${#found[1]} )) && compadd -- "${found[@]}"
    (( ${#open[1]} + ${#found[1]} )) || _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
compdef _bench_complete bench
""",
    "fish": """\
function __bench_complete
    set -lx COMP_LINE (commandline -cp)
    set -l found (bench -sc query=fish 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c bench -f -a '(__bench_complete)'
""",
}
GONE = {
    "bash": "complete -r bench; unset -f _bench_complete\n",
    "zsh": "compdef -d bench; unfunction _bench_complete\n",
    "fish": "complete -e -c bench; functions -e __bench_complete\n",
}

# What the words of a verb name, beside overrides.
SWEEPS = ("sweep", "check", "table", "ui", "wandb")
RESULTS = ("table", "reproduce", "compare", "cite", "ui", "wandb")
RUNS = ("explain", "predict", "export", "serve")
# Flags whose value is not whatever one likes.
VALUES = {"--scale": ("smoke", "small", "full"), "--cfg": ("job", "hydra", "all"), "--cells": ("all",)}


def answer(argv: list[str]) -> int:
    """Install, uninstall or answer a query for completion (`-sc install=bash`, `query=bash`).

    Raises:
        RequestError: for another shell, or another word than these three.
    """
    word = next((a for a in argv if "=" in a), "")
    what, _, shell = word.partition("=")
    if what == "query":
        with contextlib.suppress(Exception), contextlib.redirect_stderr(io.StringIO()):
            line = os.environ.get("COMP_LINE", "").lstrip()
            print("\n".join(candidates(line.split(" ")[1:] or [""])))
        return 0
    if what not in ("install", "uninstall"):
        raise RequestError(f"-sc {word}: expected install=SHELL or uninstall=SHELL; SHELL is {', '.join(SCRIPTS)}.")
    if shell not in SCRIPTS:
        raise unknown_name("shell", shell, SCRIPTS)
    sys.stdout.write((SCRIPTS if what == "install" else GONE)[shell])
    return 0


def candidates(words: list[str]) -> list[str]:
    """What may stand in place of the last word, sorted; [] where the shell should offer files.

    Args:
        words: after `bench`, the last one as far as it is typed.
    """
    from bench.cli.verbs import VERBS, parser_of

    *before, last = words
    before = [w for w in before if w]
    verb = before[0] if before else ""
    if not before:
        return fitting([*VERBS, "help"], last)
    if verb == "help":
        return fitting(VERBS, last)
    if verb not in VERBS:
        return []
    actions = parser_of(verb)[0]._actions
    flags = {o: action for action in actions for o in action.option_strings if o.startswith("--")}
    if last.startswith("-"):
        return fitting(flags, last)
    asked = flags.get(before[-1])
    if asked is not None and asked.nargs is None:
        return fitting(VALUES.get(before[-1], asked.choices or ()), last)
    settings = verb == "run" or any("OVERRIDE" in str(a.metavar) for a in actions)
    if "=" in last:
        return values(last)
    found = set(names(verb, before[1:]))
    if settings and (verb == "run" or not (found and not last)):
        found |= {f"{name}=" for name in (*_settings(), *_own_settings(before))}
    return fitting(found, last)


def names(verb: str, before: list[str]) -> Iterable[str]:
    """What a verb's plain words name: sweeps, results, data sets, models, runs, groups."""
    if any("=" not in w and not w.startswith("-") for w in before) and verb not in ("compare", "explain", "sync"):
        return
    if verb in SWEEPS:
        from bench.sweep.file import names as sweeps

        yield from sweeps()
    if verb in RESULTS:
        yield from (p.parent.name for p in Path("results").glob("*/manifest.json"))
    if verb in RUNS:
        yield "last"
    if verb in ("data", "models"):
        from bench.compose import groups

        yield from groups()["dataset" if verb == "data" else "model"]
    if verb == "new":
        from bench.cli.new import USES

        yield from USES
    if verb == "options":
        from bench.cli.reference import sections

        for section in sections():
            yield from (section.name, *(kind for kind, _ in section.examples))


def values(word: str) -> list[str]:
    """The same for the value of a setting: `optim=ad`, `model=linear,d`, `trainer.select=val/`."""
    from bench.compose import groups
    from bench.schema.experiment import Experiment
    from bench.schema.where import fixed_values, settings

    name, _, value = word.partition("=")
    first, comma, last = value.rpartition(",")
    offered = list(groups().get(name, ()))
    for setting in settings(Experiment):
        if setting.name == name:
            offered += fixed_values(setting.hint)
    taken = first.split(",")
    left = [v for v in offered if v not in taken]
    return [f"{name}={first}{comma}{v}" for v in fitting(left, last)]


def _own_settings(before: list[str]) -> Iterable[str]:
    """The settings of own parts that were chosen, as far as their files' syntax tells."""
    from bench.parts.listing import find
    from bench.schema.offered import GROUPS

    for group, _, choice in (word.partition("=") for word in before):
        if group in GROUPS and (part := find(GROUPS[group].name, choice)) is not None:
            yield from (f"{group}.{name}" for name in part.defaults)


def fitting(words: Iterable[object], start: str) -> list[str]:
    """Those that begin so, sorted, each once."""
    return sorted({str(w) for w in words if str(w).startswith(start)})


def _settings() -> Iterable[str]:
    from bench.compose import groups
    from bench.schema.experiment import Experiment
    from bench.schema.where import settings

    yield from (g for g in groups() if not g.startswith("hydra"))
    yield from ("hydra/launcher", "hydra/sweeper")
    yield from (s.name for s in settings(Experiment) if ".own." not in s.name and not s.name.endswith(".own"))
