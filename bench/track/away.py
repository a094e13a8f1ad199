"""A tracking store that does not answer: told apart from a request that it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.schema.errors import RequestError
from bench.track.address import redacted, without_secrets

# MLflow's codes for "try again later". INTERNAL_ERROR is what its REST client says when nobody listens.
TEMPORARY = frozenset({"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"})


class Away(RequestError):
    """The tracking store does not answer for now; results stay in the spool until it does."""


@contextmanager
def asking(uri: str) -> Iterator[None]:
    """Turn the many errors of a store that is away into `Away`, without the URI's credentials.

    Raises:
        RequestError: where the store's disk is full.
    """
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        text = without_secrets(str(error) or type(error).__name__, uri).splitlines()[0][:300]
        if "disk is full" in text or "No space left" in text or "could not extend file" in text:
            raise RequestError(
                f"The disk of the tracking store {redacted(uri)} is full: {text}\n"
                "Earlier results are whole, later ones wait in the spool; free space and go on."
            ) from None
        if not isinstance(error, MlflowException) or error.error_code in TEMPORARY:
            raise Away(text) from None
        error.message = without_secrets(str(error.message), uri)
        error.args = (error.message,)
        raise
