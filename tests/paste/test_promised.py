"""A core that its manifest does not describe is not pasted from or into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.paste.pasted import MakeCore, load_core, tree
from transplant.errors import CorruptError
from transplant.files.safetensors import TensorRecord
from transplant.paste.core import module_prefix, open_core
from transplant.paste.paste import paste, plan_paste
from transplant.paste.stream import hash_from_disk


def promises(folder: Path) -> dict[str, TensorRecord]:
    """As a registry writes them down."""
    return {
        name: TensorRecord(shape=span.shape, dtype=span.dtype, sha256=hash_from_disk(span))
        for name, span in open_core(folder).tensors.items()
    }


def flip(folder: Path, tensor: str, place: int) -> None:
    """Another lowest bit in one byte of a tensor."""
    span = open_core(folder).tensors[tensor]
    data = bytearray(span.file.read_bytes())
    data[span.begin + place % span.size] ^= 1
    span.file.write_bytes(data)


@pytest.mark.parametrize("shards", [1, 2])
def test_every_tensor_of_the_target_is_held_against_its_manifest(
    shards: int, make_core: MakeCore, tmp_path: Path
) -> None:
    source = make_core("source", ["python"])
    target = make_core("target", ["chess"], shards=shards)
    promised = promises(target)
    for place, tensor in enumerate(promised):
        flip(target, tensor, place)
        before = tree(tmp_path)
        plan = plan_paste(source, target, target_promised=promised)
        with pytest.raises(CorruptError, match="not as it was written: tensor") as caught:
            paste(plan, tmp_path / "new" / "out")
        assert tensor in str(caught.value)
        assert tree(tmp_path) == before
        assert not (tmp_path / "new").exists()
        flip(target, tensor, place)
    plan = plan_paste(source, target, target_promised=promised)
    paste(plan, tmp_path / "out")  # the control: it is whole again
    pasted, kept = load_core(tmp_path / "out"), load_core(target)
    assert all(pasted[name].equal(tensor) for name, tensor in kept.items())


def test_every_tensor_of_the_sources_module_is_held_against_its_manifest(
    make_core: MakeCore,
) -> None:
    source, target = make_core("source", ["python", "chess"]), make_core("target")
    promised = promises(source)
    for place, tensor in enumerate(promised):
        flip(source, tensor, place)
        if tensor.startswith(module_prefix("python")):
            with pytest.raises(CorruptError, match="not as it was written: tensor"):
                plan_paste(source, target, ["python"], source_promised=promised)
        else:  # what is not pasted is not read
            plan_paste(source, target, ["python"], source_promised=promised)
        flip(source, tensor, place)


def test_what_a_replaced_module_was_is_not_asked(make_core: MakeCore, tmp_path: Path) -> None:
    source, target = make_core("source", ["python"], seed=1), make_core("target", ["python"])
    promised = promises(target)
    flip(target, module_prefix("python") + "up.weight", 0)
    plan = plan_paste(source, target, replace=True, target_promised=promised)
    assert paste(plan, tmp_path / "out").identical


@pytest.mark.parametrize("change", ["lost", "added", "shape", "dtype"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_another_set_of_tensors_is_refused_before_anything_is_read(
    side: str, change: str, make_core: MakeCore
) -> None:
    cores = {"source": make_core("source", ["python"]), "target": make_core("target")}
    promised = promises(cores[side])
    record = promised["model.core.3"]
    promised["model.core.3"] = TensorRecord(
        shape=record.shape[::-1] if change == "shape" else record.shape,
        dtype="BF16" if change == "dtype" else record.dtype,
        sha256=record.sha256,
    )
    if change == "added":
        promised["more"] = record
    if change == "lost":
        del promised["model.core.3"]
    options = {f"{side}_promised": promised}
    with pytest.raises(CorruptError, match="not as it was written"):
        plan_paste(cores["source"], cores["target"], **options)
