"""Addresses in the form that may be shown: without user name, password and query, where credentials stand."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

# A password may hold what should have been written as %2F, %40 or %20: what lies between a colon and the last @ of
# its line goes, but for a port. Rather too much of an address is hidden than a character of a password shown.
# Digits are a port, and no password, where they end an address, and where behind a slash or a blank no @ comes that a
# host follows; one that ends in a blank, as that of an e-mail does, only so many words later.
HOST = r"@[\w.\[\]-]+"
# https://host:8080/a@b.csv has no password. One look back for each length, as the expressions want it.
ENDINGS = (
    "gz xz h5 pt csv tsv zip png jpg gif bmp tif npy npz tar tgz txt bin jpeg webp tiff json heic avif yaml jsonl onnx"
)
ENDINGS += " parquet safetensors"
NO_FILE = "".join(rf"(?<!\.{ending})" for ending in ENDINGS.split())
BLANK = rf"\s(?!(?:(?!://)[^'\"<>\n])*{HOST}(?:[/:'\",;)]|$)|(?:[^\s'\"<>]+ )?[^\s'\"<>]*{HOST}(?:\s|$))"
PORT = rf"\d+(?:['\"<>]|$|[/?#](?!\S*{HOST}(?:[/:]|{NO_FILE}(?:[\s'\",;)]|$)))|{BLANK})"
LOGIN = rf"[^\s@/:'\"<>\[]*:(?!{PORT})(?:[^'\"<>\n]*@|\S*@)"
ADDRESS = re.compile(rf"[a-zA-Z][a-zA-Z0-9+.-]{{0,40}}://(?:{LOGIN})?[^\s'\"<>]+")
# The same of what is an address and nothing else, where quotation marks and blanks end nothing.
USER = re.compile(rf"://(?:[^@/:\[]*:(?!\d+(?:$|[/?#](?!.*{HOST}(?:[/:]|{NO_FILE}$)))).*@|[^\s/]*@)", re.DOTALL)
DATABASE = re.compile(r"^((?!sqlite)[a-z0-9]*sql[a-z0-9+]*://).*@", re.DOTALL)  # no @ stands in the path of one


CHAIN = re.compile(r"::(?=[a-zA-Z][a-zA-Z0-9+.-]*(?:://|::))")  # two colons in a password are none

# What this process was given as an address with a password, behind its ://, and what is shown of it. In free text only
# guesses tell where a password ends; where it is known none are needed.
_KNOWN: dict[str, str] = {}


def remember(text: str) -> None:
    """From now on `redact_text` shows nothing secret of the address that `text` is, or ends with (`uri=ADDRESS`)."""
    found = re.search(r"[a-zA-Z][a-zA-Z0-9+.-]{0,40}://", text)
    address = text[found.start() :].strip("'\"]}) ") if found else ""
    shown = redact(address)
    if shown != address:
        behind, left = address.partition("://")[2], shown.partition("://")[2]
        for spelled in (str, unquote, repr, json.dumps, shlex.quote):
            _KNOWN[spelled(behind).strip("'\"")] = left


def redact(address: str) -> str:
    """The address without user name, password, query and fragment.

    Addresses of fsspec may be chained (`zip://a.csv::https://user:password@host/b.zip`): each part is treated.
    What is no address (`list.csv`, `C:\\data`) stays as it is.
    """
    return "::".join(_one(part) for part in CHAIN.split(address))


def _one(address: str) -> str:
    if "://" not in address:
        return address
    address = USER.sub("://", DATABASE.sub(r"\1", address))
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that are no IPv6 address
        return re.split("[?#]", address)[0]
    if not (parts.query or parts.fragment):  # a query may come before a fragment, and both may hold tokens
        return address
    return (
        urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")) if parts.netloc else re.split("[?#]", address)[0]
    )


def redact_all(value: Any) -> Any:
    """Plain data with every address in its strings redacted."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {k: redact_all(v) for k, v in value.items()}
    return [redact_all(v) for v in value] if isinstance(value, list) else value


def redact_text(text: str) -> str:
    """`text` with every address in it redacted: for messages of libraries, commands and overrides."""
    for secret in sorted(_KNOWN, key=len, reverse=True):
        text = text.replace(secret, _KNOWN[secret])
    return ADDRESS.sub(lambda found: redact(found.group()), text)
