"""A tracking store that does not answer: told apart from a request that it refuses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.schema.errors import RequestError
from bench.track.address import redact, sqlite_file, without_secrets

# MLflow's codes for "try again later". INTERNAL_ERROR is what its REST client says when nobody listens.
TEMPORARY = frozenset({"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"})


@dataclass(frozen=True)
class Cause:
    """Why a store cannot be used.

    Attributes:
        says: in a few words.
        remedy: one sentence.
        signs: what libraries say then; any of them.
        away: whether it may come back by itself.
    """

    says: str
    remedy: str
    signs: tuple[str, ...]
    away: bool = False


START = "Start the server, check tracking.uri, or leave it away for SQLite in this folder."
LOG = "Look into the server's own log."
USER = (
    "Give a user and a password that it knows: for PostgreSQL in the address, which MLFLOW_TRACKING_URI keeps out of "
    "sight; for an MLflow server in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
)
FOLDER = "Work in a folder that you may write, or name a database in one: tracking.uri=sqlite:////FOLDER/mlflow.db."
LOCAL = "Keep the database on a local disk, as network file systems may lack locks: tracking.uri=sqlite:////FOLDER/mlflow.db."
MOVED = "Put it back, or go on where it is now: 'bench sync FOLDER/mlflow.db' there brings what was recorded here."
LOCKED = (
    "One that was suspended (Ctrl-Z, SIGSTOP) may: 'jobs' and 'fuser -v FILE' show it. Let it go on, or end it; "
    "nothing that it had finished is lost."
)
DAMAGED = (
    "Put a copy back, or save what can be saved with 'sqlite3 FILE .recover'; another tracking.uri begins anew, and "
    "'bench sync FILE' brings runs of a copy."
)
MADE = "Check the name, or have it made: CREATE DATABASE name."
DRIVER = "Install that package, or name another driver in the address: mysql+pymysql://..."
UPGRADE = "Back the database up, then run: mlflow db upgrade {uri}"
NEWER = "Its MLflow is newer than the one here: pip install --upgrade mlflow, or use another tracking.uri."
FULL = ("disk is full", "No space left", "could not extend file")
# The first that fits counts.
CAUSES = (
    Cause("its disk is full", "Earlier results are whole, later ones wait in the spool; free space and go on.", FULL),
    Cause("connection refused, nothing listens there", START, ("Connection refused",), away=True),
    Cause(
        "no such host", "Check the host's name in tracking.uri.",
        ("NameResolutionError", "Name or service not known", "could not translate host name"), away=True,
    ),
    Cause(
        "no answer in time", "See whether the server is overloaded, or a firewall lies between.",
        ("timed out", "timeout expired", "Timeout"), away=True,
    ),
    Cause("no way there from this machine", START, ("No route to host", "Network is unreachable"), away=True),
    Cause(
        "another process keeps it locked", LOCKED,
        ("database is locked", "database table is locked", "lock timeout", "Lock wait timeout"), away=True,
    ),
    Cause(
        "its certificate is not trusted here", "MLFLOW_TRACKING_SERVER_CERT_PATH=FILE names one that is.",
        ("CERTIFICATE_VERIFY_FAILED",),
    ),
    Cause(
        "it does not serve this host name", "Start it with: mlflow server --allowed-hosts HOST:PORT",
        ("Invalid Host header",),
    ),
    Cause(
        "it refuses this user or password", USER,
        ("password authentication failed", "error code 401", "no password supplied", "not authenticated"),
    ),
    Cause(
        "this user may not do that there", "Ask whoever runs it for the right to write; or be somebody else: " + USER,
        ("error code 403", "PERMISSION_DENIED", "permission denied for", "Permission denied for"),
    ),
    Cause("there is no such database", MADE, ("does not exist", "Unknown database")),
    Cause("it is no SQLite database", "Check the file's name in tracking.uri.", ("file is not a database",)),
    Cause("the database is damaged", DAMAGED, ("disk image is malformed", "malformed database schema")),
    Cause(
        "this user may not write the database or its folder", FOLDER,
        ("Permission denied: ", "readonly database", "unable to open database file", "Read-only file system"),
    ),
    Cause(
        "its disk gives no locks, or errors", LOCAL, ("locking protocol", "disk I/O error", "No locks available"),
    ),
    Cause("its tables are of another MLflow than the one here", UPGRADE, ("out-of-date database schema",)),
    Cause("a Python package is missing for it", DRIVER, ("No module named", "Can't load plugin")),
    Cause(
        "what answers there is no MLflow server", "Check tracking.uri: its port, and its path where it has one. A "
        "gateway in front of it may want a user: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
        ("error code 404", "not a valid JSON", "not in a valid JSON", "error code 30", "Response: {"),
    ),
    Cause(
        "it broke the connection off", START,
        (
            *("Connection aborted", "Connection broken", "RemoteDisconnected", "reset by peer", "Broken pipe"),
            *("closed the connection", "terminating connection", "connection already closed"),
        ),
        away=True,
    ),
    Cause("it is asked too often", "Wait a little, or use fewer jobs.", ("error code 429", "too many 429")),
    Cause("it answers with errors", LOG, ("error responses", "error code 500", "error code 502", "error code 503")),
)  # fmt: skip
KEPT = (
    "Results are kept here and delivered as soon as it does; if it stays away, the same command, or 'bench sync' "
    "with the same tracking.uri, delivers them later."
)


class StoreUnavailable(RequestError):
    """The tracking store does not answer for now; results stay in the spool until it does."""

    @classmethod
    def of(cls, uri: str, error: BaseException) -> StoreUnavailable:
        """For a store whose client has raised `error`."""
        return cls(f"The tracking store {redact(uri)} does not answer: {cause_of(error, uri)}. {KEPT}")


def cause_of(error: BaseException, uri: str) -> str:
    """Why a store does not answer, in a few words instead of a library's many; without the URI's credentials."""
    return _known_cause(error, uri)[0]


def refusal(uri: str, error: BaseException) -> RequestError:
    """What to say of a store that cannot be opened, with the remedy for this cause on a line of its own."""
    cause, remedy, away = _known_cause(error, uri)
    word = "does not answer" if away else "cannot be used"
    return RequestError(f"The tracking store {redact(uri)} {word}: {cause}.\n{remedy}")


def _known_cause(error: BaseException, uri: str) -> tuple[str, str, bool]:
    """Cause, remedy, and whether the store may come back by itself."""
    text = without_secrets(str(error) or type(error).__name__, uri)
    known = next((cause for cause in CAUSES if any(sign in text for sign in cause.signs)), None)
    file = sqlite_file(uri)
    gone = file is not None and not file.exists() and os.access(file.parent, os.W_OK) == file.parent.is_dir()
    if gone and known is not None and known.remedy == FOLDER:
        return "its file is there no more, was the folder moved or deleted?", MOVED, True
    if known is None:
        return text.splitlines()[0][:200].rstrip(". "), START, False
    if known.remedy == UPGRADE:
        version = re.search(r"found version (\w+)", text)
        remedy = UPGRADE.format(uri=redact(uri)) if version is None or _older(version[1]) else NEWER
        return known.says, remedy, False
    named = re.search(r"No module named '?(\w+)", text)
    cause = f"{known.says} ({named[1]})" if named and known.remedy == DRIVER else known.says
    return cause, known.remedy, known.away


def _older(version: str) -> bool:
    """Whether the MLflow that is installed knows this revision of its tables, and could migrate it."""
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError
    from mlflow.store.db.utils import _get_alembic_config

    try:
        return ScriptDirectory.from_config(_get_alembic_config("sqlite://")).get_revision(version) is not None
    except CommandError:
        return False


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn the many errors of a store that is away into `StoreUnavailable`, without the URI's credentials.

    Raises:
        RequestError: where the store's disk is full.
    """
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import InterfaceError, OperationalError

    try:
        yield
    # A database that ends between two statements of a transaction reaches us past MLflow.
    except (MlflowException, requests.RequestException, OperationalError, InterfaceError) as error:
        if any(sign in str(error) for sign in FULL):
            raise refusal(uri, error) from None
        if not isinstance(error, MlflowException) or error.error_code in TEMPORARY:
            raise StoreUnavailable.of(uri, error) from None
        error.message = without_secrets(str(error.message), uri)
        error.args = (error.message,)
        raise
