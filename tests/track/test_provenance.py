"""The address of the repository, for links to a commit: without credentials, and only where it is an address.

The processor, so that two generations of one name are told apart.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.track.provenance import processor, web_address


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


def test_two_generations_sold_under_one_name_are_two_processors(tmp_path: Path) -> None:
    """activation's committed numbers came again with other last digits, and the hardware was said to be the same."""
    names = []
    for family, model in ((25, 1), (26, 2)):
        info = tmp_path / f"cpuinfo-{family}"
        block = f"cpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: AMD EPYC\nflags\t\t: fma avx2\n"
        info.write_text(f"processor\t: 0\n{block}\nprocessor\t: 1\n{block}\n")
        names.append(processor(info))
    assert names[0].startswith("AMD EPYC (family 25 model 1")
    assert names[1].startswith("AMD EPYC (family 26 model 2")
