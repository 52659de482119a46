"""Properties that take a second process: light imports, concurrent writers, sudden death."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from registry import Manifest, Registry
from transplant.errors import NotFoundError

REPO = Path(__file__).parents[2]
WRITER = """
import sys, os
from pathlib import Path
import torch
from registry import Manifest, Registry, staging
root, text, value, times, die_at = sys.argv[1:]
store = Registry(Path(root), Path(root) / "none")
manifest = Manifest.from_json(Path(text).read_text(), Path(text))
calls, rename = [], os.rename
def dying(source, target):
    calls.append(target)
    if len(calls) == int(die_at):
        os._exit(9)
    rename(source, target)
staging.os.rename = dying
for _ in range(int(times)):
    weights = {name: torch.full((50_000,), float(value)) for name in "abc"}
    store.write(manifest, weights, replace=True)
"""


def start(code: str, *args: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.fixture
def manifest_file(tmp_path: Path, make: Callable[..., Manifest]) -> Path:
    file = tmp_path / "made.json"
    file.write_text(make().to_json())
    return file


def test_import_and_list_load_no_numerics(store: Registry, make: Callable[..., Manifest]) -> None:
    store.write(make(), {"w": torch.ones(2)})
    code = (
        "import sys, registry; from pathlib import Path\n"
        "store = registry.Registry.open(Path(sys.argv[1]))\n"
        "entries = store.entries('module'); store.verify(entries[0]); store.problems()\n"
        "heavy = {'torch', 'numpy', 'transformers', 'safetensors'} & sys.modules.keys()\n"
        "print(len(entries) > 0, sorted(heavy))"
    )
    out, error = start(code, store.root).communicate(timeout=120)
    assert out.strip() == "True []", error


def test_concurrent_writers_and_a_reader_see_whole_artifacts(
    store: Registry, manifest_file: Path
) -> None:
    writers = [start(WRITER, store.root, manifest_file, value, 15, 0) for value in (1, 2)]
    seen: set[float] = set()
    try:
        while any(writer.poll() is None for writer in writers):
            seen |= read_values(store, first=not seen)
    finally:
        errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], errors
    assert seen <= {1.0, 2.0}
    entry = store.find("module", "python", "ref-gpt2")
    assert read_values(store, first=False) <= {1.0, 2.0}
    assert os.listdir(entry.path.parent) == ["python"]


def read_values(store: Registry, *, first: bool) -> set[float]:
    """The one value of all three tensors; none before the first write or while replaced."""
    try:
        weights = store.read(store.find("module", "python", "ref-gpt2"))
    except NotFoundError as lost:
        if first or "while it was read" in str(lost):
            return set()
        raise
    values = {float(value) for tensor in weights.values() for value in tensor.unique()}
    assert sorted(weights) == ["a", "b", "c"]
    assert len(values) == 1
    return values


@pytest.mark.parametrize("die_at", [1, 2])
def test_a_death_at_either_move_leaves_the_old_one(
    store: Registry, manifest_file: Path, die_at: int
) -> None:
    manifest = Manifest.from_json(manifest_file.read_text(), manifest_file)
    old = store.write(manifest, {"a": torch.zeros(3)})
    writer = start(WRITER, store.root, manifest_file, 5, 1, die_at)
    _, error = writer.communicate(timeout=120)
    assert writer.returncode == 9, error
    leftovers = os.listdir(old.path.parent)
    assert ".python.tmp" in leftovers  # the control: it did die half-way
    assert (".python.old" in leftovers) == (die_at == 2)
    [entry] = store.entries()
    assert entry.manifest == old.manifest == store.find("module", "python", "ref-gpt2").manifest
    assert store.read(entry)["a"].tolist() == [0, 0, 0]
    other = store.write(Manifest.from_json(
        manifest_file.read_text().replace('"python"', '"other"'), manifest_file
    ), {"a": torch.ones(1)})  # fmt: skip
    assert sorted(os.listdir(other.path.parent)) == ["other", "python"]
    assert store.read(store.find("module", "python", "ref-gpt2"))["a"].tolist() == [0, 0, 0]
    store.remove(entry)
    assert store.entries() == [other]
