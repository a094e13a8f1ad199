"""Keeping freed memory for the next step, on a CPU with glibc.

glibc hands large blocks back to the system as soon as they are freed, and at the top of its heap whatever exceeds
128 KB. A training step frees its activations and asks for the same memory again: each page is then mapped and cleared
anew, in every step. Whether that happens depends on the heap's layout, so two equal processes can differ in speed.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
KEPT = 2**30  # bytes; blocks up to this size, and so much of free memory at the top of the heap


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Inside, freed memory stays with the process; at the end it goes back to the system.

    Another C library has other rules and is left alone. What a run computes does not change.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt") or not hasattr(libc, "malloc_trim"):
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, KEPT)
    libc.mallopt(M_TRIM_THRESHOLD, KEPT)
    try:
        yield
    finally:
        libc.malloc_trim(0)
