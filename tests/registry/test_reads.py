"""How often manifests are read, and that a change from outside is seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import registry.reads
from registry import Registry
from registry.seal import SEAL
from tests.registry.stored import WEIGHTS, Make
from transplant.errors import CorruptError, ExistsError, NotFoundError

# Rewrites a file in place, with as many bytes and the time of before.
REWRITE = """
import os, sys
from pathlib import Path
file, old, new = Path(sys.argv[1]), *sys.argv[2:]
before, text = os.stat(file), file.read_text()
assert old in text and len(old) == len(new)
with file.open("r+") as handle:
    handle.write(text.replace(old, new))
os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
assert os.stat(file).st_size == before.st_size
"""


@pytest.fixture
def counted(monkeypatch) -> list[Path]:
    """The files that were read, of a store whose every file counts as settled."""
    read: list[Path] = []
    plain = registry.reads.read_plain

    def noted(path: Path, limit: int, *, follow: bool = False) -> bytes:
        read.append(path)
        return plain(path, limit, follow=follow)

    monkeypatch.setattr(registry.reads, "read_plain", noted)
    monkeypatch.setattr(registry.reads, "_SETTLED_NS", -(10**18))
    return read


def test_a_manifest_is_read_once_a_registry(store: Registry, make: Make, counted) -> None:
    entry = store.write(make(), WEIGHTS)
    counted.clear()
    for _ in range(3):
        assert store.find("module", "python", "ref-gpt2") == entry
        store.read(entry)
    assert counted == []
    other = Registry(store.root, store.reference)
    assert other.find("module", "python", "ref-gpt2") == entry
    assert [path.name for path in counted] == ["manifest.json"]


def test_a_change_by_another_process_is_seen(store: Registry, make: Make, counted) -> None:
    entry = store.write(make(domain="tales"), WEIGHTS)
    file = entry.path / "manifest.json"
    lines = [line for line in file.read_text().splitlines() if SEAL not in line]
    file.write_text("\n".join(lines))
    assert store.find("module", "python", "ref-gpt2").manifest.domain == "tales"
    subprocess.run([sys.executable, "-c", REWRITE, str(file), "tales", "tolls"], check=True)
    assert store.find("module", "python", "ref-gpt2").manifest.domain == "tolls"
    counted.clear()
    assert store.find("module", "python", "ref-gpt2").manifest.domain == "tolls"
    assert counted == []  # control: it is remembered again
    with pytest.raises(NotFoundError, match="replaced"):
        store.read(entry)


def test_a_file_that_was_just_written_is_read_each_time(
    store: Registry, make: Make, counted, monkeypatch
) -> None:
    entry = store.write(make(), WEIGHTS)
    for settled, reads in ((10**18, 2), (-(10**18), 0)):
        monkeypatch.setattr(registry.reads, "_SETTLED_NS", settled)
        store.find("module", "python", "ref-gpt2")
        counted.clear()
        assert store.find("module", "python", "ref-gpt2") == entry
        assert store.find("module", "python", "ref-gpt2") == entry
        assert len(counted) == reads


@pytest.mark.usefixtures("counted")
def test_a_link_in_place_of_a_file_that_was_read_is_refused(store: Registry, make: Make) -> None:
    entry = store.write(make(), WEIGHTS)
    file = entry.path / "manifest.json"
    store.find("module", "python", "ref-gpt2")
    file.rename(file.with_name("elsewhere.json"))
    file.symlink_to("elsewhere.json")
    with pytest.raises(CorruptError, match="link"):
        store.find("module", "python", "ref-gpt2")


def test_no_more_manifests_are_kept_than_the_bound(
    store: Registry, make: Make, counted, monkeypatch
) -> None:
    monkeypatch.setattr(registry.reads, "_KEPT", 2)
    for name in ("a", "b", "c"):
        store.write(make(name=name), WEIGHTS)
    counted.clear()
    for name in ("c", "b", "a"):
        store.find("module", name, "ref-gpt2")
    assert len(counted) == 1


def test_looking_for_what_may_be_absent_reads_nothing_else(
    store: Registry, make: Make, counted
) -> None:
    store.write(make(), WEIGHTS)
    fresh = Registry(store.root, store.reference)
    counted.clear()
    assert fresh.get("gate", "python", "ref-gpt2") is None
    assert counted == []
    with pytest.raises(NotFoundError, match="no gate at all"):
        fresh.find("gate", "python", "ref-gpt2")
    assert len(counted) == 1  # control: the error lists what there is


def test_a_free_name_is_free_of_any_width(store: Registry, make: Make) -> None:
    store.write(make(), WEIGHTS)
    with pytest.raises(ExistsError, match="python@ref-gpt2/d4"):
        store.check_free(("injection", "module"), "python", "ref-gpt2", None)
    with pytest.raises(ExistsError, match="python@ref-gpt2/d4"):
        store.check_free(("module",), "python", "ref-gpt2", 4)
    store.check_free(("module",), "python", "ref-gpt2", 8)
    store.check_free(("module",), "python", "ref-gpt2", 0)
    store.check_free(("injection",), "python", "ref-gpt2", None)
