"""Settings of the C library for memory that is freed."""

from __future__ import annotations

import ctypes
import os

KEPT_BLOCK = 64 * 2**20  # bytes: larger blocks go back to the system as soon as they are freed
KEPT = 512 * 2**20  # bytes: freed memory beyond it goes back too
# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> bool:
    """Have glibc keep freed blocks for the next tensor, for this whole process.

    By default it hands the larger ones back to the system, and the next layer's tensor of the same
    size is had page by page again: a few hundredths of a forward pass on a CPU, and more of one
    whose states are kept. Whoever set glibc's own variables knows better and is left alone.

    Returns:
        Whether anything was changed; other C libraries are left as they are.
    """
    own = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
    if any(name in os.environ for name in own) or "malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    if not _is_glibc():
        return False
    libc = ctypes.CDLL(None)
    wanted = ((_MMAP_THRESHOLD, KEPT_BLOCK), (_TRIM_THRESHOLD, KEPT))
    return all(libc.mallopt(parameter, value) == 1 for parameter, value in wanted)


def give_back() -> None:
    """Returns the freed memory that is kept, and what lies in holes between blocks in use.

    For work that promises a peak: tensors of other sizes do not fit into the holes of the last
    layer's, and what is kept would grow with the layers. Other C libraries are left as they are.
    """
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _is_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError, OSError):  # Windows, macOS, musl
        return False
