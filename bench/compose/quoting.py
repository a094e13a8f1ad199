"""Values that are paths and names, in Hydra's grammar: `dataset.root=/data/été (2024), [a]=b` simply works.

Hydra gives a meaning to , = { } [ ] ( ) # and to words such as null, and knows ASCII only. For settings that take any
text, a value that it would read otherwise, or not at all, is put in quotes before it sees it.
"""

from __future__ import annotations

import functools
import os
import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from bench.schema.errors import RequestError

WORD = re.compile(r"(?P<name>\+{0,2}[A-Za-z_][\w.]*)=(?P<value>.+)", re.DOTALL)
CALL = re.compile(r"(choice|range|interval|glob|sort|shuffle|tag|int|float|str|bool|json_str|extend_list)\(.*\)")


@functools.cache
def text_settings() -> frozenset[str]:
    """The settings that take any text."""
    from bench.schema.experiment import Experiment
    from bench.schema.where import is_text, settings

    return frozenset(s.name for s in settings(Experiment) if is_text(s.hint))


def quote_override(word: str) -> str:
    """An override in Hydra's grammar; the same where nothing has to be done.

    A value with commas stays several values (`--axes dataset.root=a,b`), unless it is what a file or folder is called.

    Raises:
        RequestError: for `None`, which Hydra takes as a word.
    """
    found = WORD.fullmatch(word)
    if found is None:
        return word
    name, value = found["name"], found["value"]
    if value == "None":
        raise RequestError(f"'{word}': nothing is written null here: {name}=null. The word itself: \"{name}='None'\".")
    if name.lstrip("+") not in text_settings() or value == "null" or CALL.fullmatch(value):
        return word
    if "${" in value:  # a reference to another setting, unless it is what a file or folder is called
        plain = _in_quotes(value.replace("${", r"\${"))
        return f"{name}={plain}" if os.path.lexists(os.path.expanduser(value)) else word
    in_quotes = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        if in_quotes:
            return word  # whose quotes are wrong inside: parsing says so
    else:
        several = override.is_sweep_override() and not os.path.lexists(os.path.expanduser(value))
        if several or (not override.is_sweep_override() and (in_quotes or override.value() == value)):
            return word
    return f"{name}={_in_quotes(value)}"


def _in_quotes(value: str) -> str:
    return str(QuotedString(text=value, quote=Quote.single).with_quotes())
