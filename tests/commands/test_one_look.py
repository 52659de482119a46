"""How often a whole run reads names and manifests: once each."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import registry.reads
from registry import Registry
from registry.bases import Base

_counting: list[tuple[str, Counter[str]]] = []


def _count_reads(event: str, args: tuple[Any, ...]) -> None:
    if not _counting or event != "open" or not isinstance(args[0], str | os.PathLike):
        return
    root, opened = _counting[-1]
    path = Path(args[0])
    if path.name == "manifest.json" and str(path).startswith(root):
        reading = not args[2] & (os.O_WRONLY | os.O_RDWR)
        opened[str(path.relative_to(root))] += reading


sys.addaudithook(_count_reads)


@pytest.fixture
def looks(trained_abi, monkeypatch):
    """What is parsed, scanned and opened for reading in the registry, from here on."""
    found = {kind: Counter() for kind in ("names", "scans", "opened")}
    split, places = Registry.split_name, Base.places

    def counted_split(self: Registry, name: str) -> Any:
        found["names"][name] += 1
        return split(self, name)

    def counted_places(base: Base, key: str) -> set[Path]:
        found["scans"][f"{base.root}/{key}"] += 1
        return places(base, key)

    monkeypatch.setattr(Registry, "split_name", counted_split)
    monkeypatch.setattr(Base, "places", counted_places)
    monkeypatch.setattr(registry.reads, "_SETTLED_NS", 0)  # the fixture may be a moment old
    _counting.append((str(trained_abi.root), found["opened"]))
    yield found
    _counting.pop()


def test_calibrate_reads_each_name_and_each_manifest_once(trained_abi, looks):
    words = (
        "calibrate", "--module", "tales@tiny-gpt2/d16", "--to", "tiny-llama", "--data",
        trained_abi.corpus, "--name", "once", "--excerpts", "20", "--json",
    )  # fmt: skip
    ran = trained_abi(*words)
    assert ran.code == 0, ran.err
    # The target is looked for before anything is loaded, and found as it is loaded.
    assert looks["names"] == {"tales@tiny-gpt2/d16": 1, "tiny-llama": 2}
    assert max(looks["scans"].values(), default=0) <= 1
    read = {name: count for name, count in looks["opened"].items() if count}
    assert {"tiny-gpt2/d16/module/tales/manifest.json", "tiny-llama/manifest.json"} <= read.keys()
    assert set(read.values()) == {1}
    shown = trained_abi.rows()  # control: the counters count
    assert {"once", "tales"} <= {entry["name"].partition("@")[0] for entry in shown}
    assert looks["scans"]
    assert sum(looks["opened"].values()) > len(read)
