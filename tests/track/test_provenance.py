"""The address of the repository, for links to a commit: without credentials, and only where it is an address."""

from __future__ import annotations

import pytest

from bench.track.provenance import web_address


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://example.org/owner/name.git", "https://example.org/owner/name"),
        ("https://user:secret@example.org/owner/name", "https://example.org/owner/name"),
        ("git@example.org:owner/name.git", "https://example.org/owner/name"),
        ("ssh://git@example.org:2222/owner/name.git/", "https://example.org/owner/name"),
        ("/home/somebody/name", ""),
        ("../name", ""),
        ("file:///home/somebody/name.git", ""),
        ("https://example.org/a b", ""),
        ("javascript:alert(1)", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_repository(remote: str, expected: str) -> None:
    assert web_address(remote) == expected
