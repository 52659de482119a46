"""Whether work fits into the memory that is free, before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from transplant.errors import MemoryLimitError

MEMINFO = Path("/proc/meminfo")
GROUPS = (  # limit and use of the control group, in either version
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
GIB = 1024**3


def available_bytes() -> int | None:
    """The memory that can be taken without swapping; None where the system does not say."""
    found = [_free_of_group(*group) for group in GROUPS]
    try:
        for line in MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError, IndexError):
        pass
    return min((free for free in found if free is not None), default=None)


def check_memory(what: str, needed: Mapping[str, int], hint: str) -> None:
    """Refuses work that does not fit into the memory that is free.

    Args:
        what: the work.
        needed: bytes, by what they are for.
        hint: what would make it smaller.

    Raises:
        MemoryLimitError: names the parts.
    """
    free, total = available_bytes(), sum(needed.values())
    if free is None or total <= free:
        return
    parts = ", ".join(f"{size / GIB:.1f} GiB for {name}" for name, size in needed.items() if size)
    raise MemoryLimitError(
        f"{what} does not fit into memory: it needs {parts}",
        expected=f"{total / GIB:.1f} GiB free",
        found=f"{free / GIB:.1f} GiB",
        hint=hint,
    )


def _free_of_group(limit: Path, used: Path) -> int | None:
    try:
        taken = int(used.read_text()) - _droppable(limit.with_name("memory.stat"))
        return max(0, int(limit.read_text()) - taken)
    except (OSError, ValueError):  # no group, or one without a limit
        return None


def _droppable(parts: Path) -> int:
    """Bytes of files among what a group has taken: they go when memory is needed."""
    with suppress(OSError, ValueError, IndexError):
        lines = [line.split() for line in parts.read_text().splitlines()]
        files = [int(n) for name, n in lines if name in ("inactive_file", "total_inactive_file")]
        return max(files, default=0)
    return 0
