"""What the system says of its memory, and refusals by it."""

from __future__ import annotations

import pytest

from transplant import memory
from transplant.errors import MemoryLimitError, TransplantError
from transplant.memory import GIB, available_bytes, check_memory


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A system that has 8 GiB to give, of which a group may have 3."""
    info, limit, used = (tmp_path / name for name in ("meminfo", "limit", "used"))
    monkeypatch.setattr(memory, "MEMINFO", info)
    monkeypatch.setattr(memory, "GROUPS", ((limit, used),))
    info.write_text(f"MemTotal: 9 kB\nMemAvailable: {8 * GIB // 1024} kB\n")
    return limit, used


def test_the_least_of_what_is_said_counts(system):
    limit, used = system
    assert available_bytes() == 8 * GIB
    limit.write_text("max\n")
    used.write_text(f"{GIB}\n")
    assert available_bytes() == 8 * GIB
    limit.write_text(f"{4 * GIB}\n")
    assert available_bytes() == 3 * GIB
    limit.with_name("memory.stat").write_text(f"anon 7\ninactive_file {GIB // 2}\n")
    assert available_bytes() == 3.5 * GIB  # files that can be dropped are not taken


@pytest.mark.usefixtures("system")
def test_work_that_does_not_fit_is_refused_by_its_parts():
    check_memory("the work", {"moments": 5 * GIB, "rows": 2 * GIB}, "less")
    with pytest.raises(MemoryLimitError, match=r"5.0 GiB for moments, 4.0 GiB for rows.*9.0.*8.0"):
        check_memory("the work", {"moments": 5 * GIB, "rows": 4 * GIB, "none": 0}, "less")
    assert issubclass(MemoryLimitError, TransplantError)


def test_a_system_that_says_nothing_refuses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "GROUPS", ())
    assert available_bytes() is None
    check_memory("the work", {"moments": 10**18}, "less")
