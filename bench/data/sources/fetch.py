"""The bytes of a file, local or at an address, and a word that changes when they do."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from bench.data.sources.decode import BadImage
from bench.schema.errors import RequestError
from bench.schema.secrets import redact, redact_text

# What file systems call a word that the content decides. Times are not among them: `touch -r` and servers set them.
CONTENT_WORDS = ("etag", "content-md5", "digest", "md5", "md5hash", "crc32c", "checksum", "sha256", "generation")


def is_remote(place: str) -> bool:
    """Whether a path is a URL (`s3://...`, `zip://a.png::memory://b.zip`), to be read through fsspec."""
    return "://" in place


def fetch(place: str) -> bytes:
    """The bytes of a file. Raises BadImage where there is none or it may not be read."""
    if is_remote(place):
        return _fetch_remote(place)
    try:
        # A pipe or a device would be read for ever.
        if not stat.S_ISREG(os.stat(place).st_mode):
            raise BadImage("is no regular file")
        return Path(place).read_bytes()
    except FileNotFoundError as error:
        raise BadImage("does not exist") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise BadImage(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _fetch_remote(place: str) -> bytes:
    import fsspec

    try:
        with fsspec.open(place, "rb") as file:
            return bytes(file.read())
    except ImportError as error:
        raise RequestError(f"{redact(place)}: fsspec needs another package for this address: {error}") from error
    # `from None`: what the libraries say holds the address as it is, credentials included.
    except FileNotFoundError:  # fsspec's word for a server that does not answer, too
        raise BadImage("does not exist or cannot be reached") from None
    except Exception as error:  # each file system has errors of its own: no credentials, no bucket, HTTP status
        text = redact_text(f"{type(error).__name__}: {error}")
        raise BadImage(f"cannot be read ({text})") from None


def remote_state(place: str) -> str:
    """The server's ETag or checksum of an address; empty where it gives none, so that the bytes have to tell.

    A weak ETag (`W/"..."`) is none: it may stay when bytes change.

    Raises:
        RequestError: where fsspec needs another package for the address.
    """
    import fsspec

    try:
        system, path = fsspec.url_to_fs(place)
        system.invalidate_cache()
        info: dict[str, Any] = system.info(path)
    except ImportError as error:
        raise RequestError(f"{redact(place)}: fsspec needs another package for this address: {error}") from error
    except Exception:  # the file system's own; reading tells it, naming the line
        return ""
    words = {str(k).lower(): str(v) for k, v in info.items() if v}
    return next((f"{w} {words[w]}" for w in CONTENT_WORDS if w in words and not words[w].startswith("W/")), "")
