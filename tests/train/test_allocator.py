"""Freed memory stays with the process during a run and goes back to the system after it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
import torch

from bench.train.allocator import keep_freed_memory

MIB = 64  # glibc maps blocks of more than 32 MiB anew each time, whatever it has learnt
PAGES = MIB * 2**20 // resource.getpagesize()
glibc = pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")


def blocks(count: int) -> float:
    """Page faults a block, for blocks that are filled and freed one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        torch.ones(MIB * 2**18)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / count


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


@glibc
def test_a_step_finds_the_memory_of_the_step_before() -> None:
    with keep_freed_memory():
        blocks(16)  # the heap grows by several blocks first: alignment leaves gaps
        assert blocks(8) < PAGES / 8


@glibc
def test_the_system_has_it_back_at_the_end() -> None:
    with keep_freed_memory():
        blocks(1)
        inside = resident()
    assert inside - resident() > PAGES / 2
