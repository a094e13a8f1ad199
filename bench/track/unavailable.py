"""A tracking store that does not answer: told apart from a request that it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.schema.errors import RequestError
from bench.track.address import redacted, without_secrets

# MLflow's codes for "try again later". INTERNAL_ERROR is what its REST client says when nobody listens.
TEMPORARY = frozenset({"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"})


# What libraries say about a store that cannot be reached, and what that means; the first that fits.
CAUSES = {
    "connection refused, nothing listens there": ("Connection refused",),
    "no such host": ("NameResolutionError", "Name or service not known", "could not translate host name"),
    "no answer in time": ("timed out", "timeout expired", "Timeout"),
    "no way there from this machine": ("No route to host", "Network is unreachable"),
    "its certificate is not trusted here": ("CERTIFICATE_VERIFY_FAILED",),
    "it refuses this user or password": ("password authentication failed", "error code 401", "error code 403"),
    "what answers there is no MLflow server": ("error code 404", "not a valid JSON"),
    "it broke the connection off": (
        *("Connection aborted", "RemoteDisconnected", "reset by peer", "closed the connection", "Broken pipe"),
        *("terminating connection", "connection already closed"),
    ),
    "it answers with errors; its own log says why": ("error responses", "error code 500", "error code 503"),
}
KEPT = (
    "Results are kept here and delivered as soon as it does; if it stays away, the same command or 'bench sync' "
    "delivers them later."
)


class StoreUnavailable(RequestError):
    """The tracking store does not answer for now; results stay in the spool until it does."""

    @classmethod
    def of(cls, uri: str, error: BaseException) -> StoreUnavailable:
        """For a store whose client has raised `error`."""
        return cls(f"The tracking store {redacted(uri)} does not answer: {cause_of(error, uri)}. {KEPT}")


def cause_of(error: BaseException, uri: str) -> str:
    """Why a store does not answer, in a few words instead of a library's many; without the URI's credentials."""
    text = without_secrets(str(error) or type(error).__name__, uri)
    known = next((cause for cause, signs in CAUSES.items() if any(sign in text for sign in signs)), None)
    return known or text.splitlines()[0][:200].rstrip(". ")


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
        text = without_secrets(str(error) or type(error).__name__, uri).splitlines()[0][:300]
        if "disk is full" in text or "No space left" in text or "could not extend file" in text:
            raise RequestError(
                f"The disk of the tracking store {redacted(uri)} is full: {text}\n"
                "Earlier results are whole, later ones wait in the spool; free space and go on."
            ) from None
        if not isinstance(error, MlflowException) or error.error_code in TEMPORARY:
            raise StoreUnavailable.of(uri, error) from None
        error.message = without_secrets(str(error.message), uri)
        error.args = (error.message,)
        raise
