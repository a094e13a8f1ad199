"""Every setting, kind of claim and kind of figure, from the schema itself.

bench options                 the groups, and what there is beside them
bench options optim           a group: its choices, and its settings with type, range, default and meaning
bench options optim.lr        one setting; also by its last part, lr
bench options knn             a choice: what it sets, and the settings that only it has
bench options sweep           the keys of a sweep file; claims, figures: every kind with an example
bench options --all           everything
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import textwrap
from typing import TYPE_CHECKING

from bench.schema.errors import unknown_name

if TYPE_CHECKING:
    from bench.cli.reference import Section
    from bench.schema.reference import Entry

SUMMARY = "every setting, claim and figure kind, from the schema itself"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("name", nargs="?", help="a group, a setting, a choice, a kind of claim or figure")
    parser.add_argument("--all", action="store_true", help="everything")


def main(args: argparse.Namespace) -> int:
    """Print what is asked for."""
    from bench.cli.reference import sections

    everything = sections()
    chosen = everything if args.all or args.name is None else find(everything, args.name)
    if args.json:
        print(json.dumps([dataclasses.asdict(section) for section in chosen]))
    elif args.name is None and not args.all:
        print(overview(everything))
    else:
        width = min(shutil.get_terminal_size((100, 24)).columns, 120)
        print("\n\n".join(text(section, width) for section in chosen))
    return 0


def overview(everything: list[Section]) -> str:
    """One line a section."""
    rows = []
    for section in everything:
        names = [choice for choice, _, _ in section.choices] or [kind for kind, _ in section.examples]
        short = textwrap.shorten(", ".join(names), 70, placeholder=" ...")
        rows.append(f"{section.name:<14} {len(section.settings):>3} settings   {short}".rstrip())
    return "\n".join(
        [*rows, "", "bench options NAME says more of a group, a setting or a choice; --all of everything."]
    )


def find(everything: list[Section], name: str) -> list[Section]:
    """The section of this name, else what in the sections has it: a setting, its last part, a choice, a kind.

    Raises:
        RequestError: where nothing has.
    """
    name = name.partition("=")[2] or name  # model=knn
    if found := [s for s in everything if s.name == name]:
        return found
    out = []
    for section in everything:
        settings = [e for e in section.settings if name == e.name]
        choices = [c for c in section.choices if c[0] == name]
        told = [(kind, words) for kind, words in section.about if name in kind.split(", ")]
        examples = [e for e in section.examples if e[0] == name]
        if choices or told:
            sets = dict(word.split("=", 1) for c in choices for word in c[1].split() if "=" in word)
            only = {sets.get(key, "") for key in ("family", "source", "kind")} | {name}
            settings = [e for e in section.settings if only & set(e.only)]
            told = told or [(kind, words) for kind, words in section.about if only & set(kind.split(", "))]
        elif not settings:
            settings = [e for e in section.settings if name == e.name.rpartition(".")[2]]
        if examples and not settings:
            settings = section.settings
        if settings or choices or examples:
            out.append(dataclasses.replace(section, about=told, choices=choices, settings=settings, examples=examples))
    if not out:
        names = {s.name for s in everything} | {e.name for s in everything for e in s.settings}
        names |= {e.name.rpartition(".")[2] for s in everything for e in s.settings}
        names |= {c[0] for s in everything for c in s.choices} | {k for s in everything for k, _ in s.examples}
        raise unknown_name("option", name, names, "'bench options' lists the groups.")
    return out


def text(section: Section, width: int) -> str:
    """A section for a terminal."""
    lines = [section.name, "─" * len(section.name)]
    for kind, words in section.about:
        lines += [*_wrap(f"{kind}: {words}" if kind else words, width, ""), ""]
    for name, sets, said in section.choices:
        lines.append(f"  {name:<20} {sets or said}".rstrip())
        lines += _wrap(said if sets else "", width, " " * 23)
    lines += [""] if section.choices else []
    for entry in section.settings:
        lines += setting(entry, width)
    for kind, example in section.examples:
        lines += ["", f"Example of {kind}:", textwrap.indent(example.rstrip(), "  ")]
    return "\n".join(lines).rstrip()


def setting(entry: Entry, width: int) -> list[str]:
    """A setting for a terminal."""
    only = f"  [{', '.join(entry.only)}]" if entry.only else ""
    given = "no default: must be given" if entry.default is None else f"default {entry.default}"
    said = f"{entry.meaning}  ({entry.source})" if entry.meaning else f"({entry.source})"
    return [
        f"  {entry.name}{only}",
        *_wrap(f"{entry.type}; {given}", width, "      "),
        *_wrap(said, width, "      "),
    ]


def _wrap(words: str, width: int, indent: str) -> list[str]:
    lines = []
    for paragraph in words.split("\n\n") if words else []:
        kept = paragraph if "\n " in paragraph else " ".join(paragraph.split())
        for line in kept.splitlines():
            room = indent + " " * (len(line) - len(line.lstrip()))
            lines += textwrap.wrap(line.strip(), width, initial_indent=room, subsequent_indent=room)
    return lines
