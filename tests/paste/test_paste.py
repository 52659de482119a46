from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from registry.manifest import BackboneRecord, Manifest
from tests.paste.pasted import INDEX, PREFIX, MakeCore, config_of, load_core, raw_bytes, tree
from transplant.errors import CorruptError
from transplant.files.safetensors import hash_tensors
from transplant.paste import paste as pasting
from transplant.paste.paste import paste, plan_paste, read_back


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("target_shards", [1, 3])
@pytest.mark.parametrize("source_shards", [1, 2])
def test_module_and_all_else_are_byte_identical(
    source_shards: int, target_shards: int, dtype: torch.dtype, make_core: MakeCore, tmp_path: Path
) -> None:
    source = make_core("source", ["law", "python"], shards=source_shards, seed=5, dtype=dtype)
    target = make_core("target", ["law"], shards=target_shards, dtype=dtype)
    before = tree(target)
    report = paste(plan_paste(source, target, ["python"]), tmp_path / "out")
    assert report.identical
    donor, host, result = load_core(source), load_core(target), load_core(tmp_path / "out")
    pasted = {name for name in donor if name.startswith(PREFIX + "python.")}
    assert result.keys() == host.keys() | pasted
    for name, tensor in result.items():
        origin = donor[name] if name in pasted else host[name]
        assert (tensor.dtype, tensor.shape) == (origin.dtype, origin.shape)
        assert raw_bytes(tensor) == raw_bytes(origin)
    assert tree(target) == before
    if target_shards > 1:  # the same files, and one more
        kept = {name: data for name, data in before.items() if name.startswith("model-")}
        found = tree(tmp_path / "out")
        assert {name: found[name] for name in kept} == kept


def test_folder_is_complete(make_core: MakeCore, tmp_path: Path) -> None:
    source, target = make_core("source", ["python"]), make_core("target", ["law"])
    report = paste(plan_paste(source, target), tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json"}
    assert report.skipped == ("manifest.json", "training_args.bin")
    assert (tmp_path / "out/tokenizer.json").read_bytes() == b'{"of": "target"}'
    wanted = config_of(target)
    wanted["domain_modules"]["python"] = {"form": "lite", "active": True, "weight": 1.0}
    assert config_of(tmp_path / "out") == wanted
    assert not list(tmp_path.glob(".*"))


def test_index_counts_the_new_bytes(make_core: MakeCore, tmp_path: Path) -> None:
    source, target = make_core("source", ["python"]), make_core("target", shards=2)
    report = paste(plan_paste(source, target), tmp_path / "out")
    size = sum(t.numel() * t.element_size() for t in load_core(tmp_path / "out").values())
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    assert index["metadata"]["total_size"] == size == report.bytes_copied


def test_old_data_stay_where_they_were_up_to_narrower_dtypes(
    make_core: MakeCore, tmp_path: Path
) -> None:
    source, target = make_core("source", ["python"]), make_core("target", ["law"])
    out = paste(plan_paste(source, target), tmp_path / "out").out
    offsets = []
    for folder in (target, out):
        data = (folder / "model.safetensors").read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        offsets.append(json.loads(data[8:start]))
        assert start % 8 == 0
    for name, entry in offsets[0].items():
        assert offsets[1][name] == entry or name == "model.core.mask"


def test_identity_is_the_registrys(make_core: MakeCore, tmp_path: Path) -> None:
    source, target = make_core("source", ["python"]), make_core("target")
    plan = plan_paste(source, target)
    records = hash_tensors(source / "model.safetensors")
    short = {
        name.removeprefix(PREFIX + "python."): record
        for name, record in records.items()
        if name.startswith(PREFIX)
    }
    backbone = BackboneRecord(
        id="b", family="layercake", d_model=8, weights_sha256="w", tokenizer_sha256="t"
    )
    manifest = Manifest(name="python", kind="module", backbone=backbone, d_abi=8, tensors=short)
    report = paste(plan, tmp_path / "out")
    (module,) = report.modules
    assert plan.modules[0].sha256 == manifest.sha256
    assert module.sha256_source == module.sha256_target == manifest.sha256
    for tensor in module.tensors:
        assert tensor.sha256_target == short[tensor.name].sha256


def test_routers_stay_at_home(make_core: MakeCore, tmp_path: Path) -> None:
    source = make_core("source", ["python"], seed=3, config={"router": True})
    for router in (True, False):
        target = make_core(f"target-{router}", ["law"], config={"router": router})
        report = paste(plan_paste(source, target), tmp_path / f"out-{router}")
        result = load_core(report.out)
        rows = {n: t for n, t in result.items() if n.startswith("model.routers.python.")}
        assert sorted(rows) == sorted(report.router_tensors)
        shapes = {n.rpartition(".")[2]: tuple(t.shape) for n, t in rows.items()}
        assert shapes == ({"weight": (1, 8), "bias": (1,)} if router else {})
        assert not any(tensor.any() for tensor in rows.values())


@pytest.mark.parametrize("shards", [1, 3])
def test_replaced_module_is_gone_and_the_rest_stays(
    shards: int, make_core: MakeCore, tmp_path: Path
) -> None:
    source = make_core("source", ["python"], seed=7)
    config = {"router": True}
    target = make_core("target", ["python", "law"], shards=shards, config=config)
    first = paste(plan_paste(source, target, replace=True), tmp_path / "first").out
    second = paste(plan_paste(source, first, replace=True), tmp_path / "second").out
    donor, host, result = load_core(source), load_core(target), load_core(second)
    assert result.keys() == host.keys()
    for name, tensor in result.items():
        origin = donor if name.startswith(PREFIX + "python.") else host
        assert raw_bytes(tensor) == raw_bytes(origin[name])
    assert len(list(second.glob("*.safetensors"))) == len(list(first.glob("*.safetensors")))


def test_read_back_notices_one_flipped_bit(make_core: MakeCore, tmp_path: Path) -> None:
    plan = plan_paste(make_core("source", ["python"]), make_core("target"))
    out = paste(plan, tmp_path / "out").out
    span = plan.modules[0].tensors[-1].span
    file = out / "model.safetensors"
    data = bytearray(file.read_bytes())
    module = span.file.read_bytes()[span.begin : span.end]
    data[data.index(module) + 3] ^= 1
    file.write_bytes(data)
    differing = [
        tensor.name
        for module in read_back(plan, out)
        for tensor in module.tensors
        if tensor.sha256_source != tensor.sha256_target
    ]
    assert differing == [plan.modules[0].tensors[-1].name]


def test_disk_that_flips_a_bit_leaves_nothing(
    make_core: MakeCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_paste(make_core("source", ["python"]), make_core("target"))
    before = tree(tmp_path)
    write_all, copy_hashed = pasting.write_all, pasting.copy_hashed

    def flip(span: Any, out: Any, moved: Any) -> str:
        digest = copy_hashed(span, out, moved)
        if span.size:
            data = span.file.read_bytes()[span.begin : span.end]
            out.seek(-1, os.SEEK_CUR)
            write_all(out, bytes([data[-1] ^ 1]))
        return digest

    monkeypatch.setattr(pasting, "copy_hashed", flip)
    with pytest.raises(CorruptError, match="read back"):
        paste(plan, tmp_path / "out")
    assert tree(tmp_path) == before


def test_report_is_json(make_core: MakeCore, tmp_path: Path) -> None:
    plan = plan_paste(make_core("source", ["python"]), make_core("target"))
    seen: list[tuple[object, ...]] = []
    report = paste(plan, tmp_path / "out", progress=lambda *step: seen.append(step))
    read = sum(tensor.span.size for module in plan.modules for tensor in module.tensors)
    assert seen[-1] == (report.bytes_copied + read, report.bytes_copied + read, "bytes")
    assert seen[-2][0] < seen[-1][0]  # not at its end before all is read back
    text = json.loads(json.dumps(report.as_dict()))
    assert text["identical"] is True
    assert text["modules"][0]["tensors"][0].keys() >= {"name", "shape", "dtype", "sha256_source"}
