"""Addresses of tracking stores: the default one, and the form that may be shown."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bench.schema.errors import RequestError
from bench.schema.secrets import redact, redact_text, remember

KINDS = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks")
HERE = ("::1", "0.0.0.0", "::")
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
__all__ = ["address", "checked_uri", "default_uri", "redact", "sqlite_file", "without_secrets"]


def default_uri() -> str:
    """$MLFLOW_TRACKING_URI, where a password is in no list of processes; else SQLite in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').absolute()}"


def checked_uri(uri: str | None) -> str:
    """The URI, or the default for None; PostgreSQL's with the driver that the extra [postgres] brings.

    SQLAlchemy 2.1 takes another driver than before for an address that names none.

    Raises:
        RequestError: for a kind of store that MLflow refuses, or a SQLite file in a folder that is not there.
    """
    uri = uri or default_uri()
    remember(uri)
    for short in ("postgresql://", "postgres://"):
        if uri.startswith(short):
            uri = "postgresql+psycopg2://" + uri.removeprefix(short)
    if uri.startswith("file:") or "://" not in uri:
        raise RequestError(
            f"tracking.uri={redact(uri)}: MLflow no longer keeps runs in plain folders. "
            "Use sqlite:///FILE.db, postgresql://..., or the http address of an MLflow server."
        )
    if uri.partition("://")[0].partition("+")[0] not in KINDS:
        raise RequestError(
            f"tracking.uri={redact(uri)}: MLflow keeps runs in no such place. "
            "Use sqlite:///FILE.db, postgresql://..., or the http address of an MLflow server."
        )
    try:
        _ = urlsplit(uri).port
    except ValueError:
        raise RequestError(
            f"tracking.uri={redact(uri)}: the port is no number from 0 to 65535. In a password, write / as %2F, "
            "@ as %40, : as %3A."
        ) from None
    database = sqlite_file(uri)
    if database is not None and not database.parent.is_dir():
        raise RequestError(f"tracking.uri={redact(uri)}: there is no folder {database.parent}. Make it first.")
    return uri


def address(uri: str) -> str:
    """The store in one spelling, without credentials: what an outcome is sealed for.

    This machine has several names, a kind of store has several drivers, and its usual port may be left away.
    """
    file = sqlite_file(uri)
    if file is not None:
        return f"sqlite:///{file}"
    shown = redact(uri)
    try:
        parts = urlsplit(shown)
        kind = parts.scheme.partition("+")[0]
        kind = "postgresql" if kind == "postgres" else kind
        port = parts.port or PORTS.get(kind)
    except ValueError:  # no address at all, which opening it says
        return shown
    host = parts.hostname or ""
    if host in HERE or host.startswith("127."):
        host = "localhost"
    return f"{kind}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def sqlite_file(uri: str) -> Path | None:
    """The database file of a SQLite URI; None for any other store.

    What a link points to: locks and the files of runs lie beside the database, by whichever name it is opened.
    """
    if not uri.startswith("sqlite:///"):
        return None
    path = Path(uri.removeprefix("sqlite:///").split("?")[0])
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a link to itself
        return path.absolute()


def without_secrets(text: str, uri: str) -> str:
    """`text` without the URI's user name, password and query, however a library has spelled them."""
    remember(uri)
    text = redact_text(text)
    try:
        parts = urlsplit(uri)
    except ValueError:  # brackets in a password
        parts = urlsplit(redact(uri))
    # What should have been written as %2F or %40 splits a password: a library may tell any part of it.
    user = uri.partition("://")[2].rpartition("@")[0]
    text = _without_parts(text, user.partition(":")[2])
    secrets = {parts.password, parts.query, parts.netloc.rsplit("@", 1)[0] if "@" in parts.netloc else None}
    if parts.password:
        secrets |= {unquote(parts.password), f"{parts.username}:{parts.password}"}
    for secret in sorted((s for s in secrets if s), key=len, reverse=True):
        text = text.replace(secret, "***")
    # Drivers rewrite addresses (postgresql+psycopg2://...): whatever looks like user:password@ goes too.
    return re.sub(r"://[^/@\s]+:[^/@\s]+@", "://***@", text)


def _without_parts(text: str, password: str) -> str:
    """`text` without a password or the parts that slashes and such cut it into; short ones could be any word."""
    parts = {password, *re.split(r"[/@:?#]", password)}
    for part in sorted((p for p in parts if len(p) > 3), key=len, reverse=True):
        text = text.replace(part, "***")
    return text
