from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from registry.manifest import BackboneRecord, Manifest
from registry.tensors import hash_tensors
from transplant.errors import (
    CorruptError,
    ExistsError,
    InputError,
    StorageError,
)
from transplant.surgery import paste as pasting
from transplant.surgery.paste import paste, plan_paste, read_back

MakeCore = Callable[..., Path]
PREFIX = "model.domain_modules."
UP = PREFIX + "python.up.weight"
INDEX = "model.safetensors.index.json"


def load_core(folder: Path) -> dict[str, Tensor]:
    """By safetensors itself, through the index where there is one."""
    if not (folder / INDEX).exists():
        return load_file(folder / "model.safetensors")
    places = json.loads((folder / INDEX).read_text())["weight_map"]
    found: dict[str, Tensor] = {}
    for file in sorted(set(places.values())):
        part = load_file(folder / file)
        assert all(places[name] == file for name in part)
        found |= part
    assert found.keys() == places.keys()
    return found


def raw_bytes(tensor: Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


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
    seen: list[tuple[int, int]] = []
    report = paste(plan, tmp_path / "out", progress=lambda *step: seen.append(step))
    assert seen[-1] == (report.bytes_copied, report.bytes_copied)
    text = json.loads(json.dumps(report.as_dict()))
    assert text["identical"] is True
    assert text["modules"][0]["tensors"][0].keys() >= {"name", "shape", "dtype", "sha256_source"}


@pytest.mark.parametrize(
    ("raised", "caught", "message"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (OSError(errno.ENOSPC, "no space"), StorageError, "is full: expected [0-9]+ bytes"),
        (OSError(errno.EACCES, "no"), StorageError, "cannot write"),
    ],
)
@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("replace_out", [True, False])
def test_interrupted_copy_leaves_what_was_there(
    shards: int,
    replace_out: bool,
    raised: BaseException,
    caught: type[BaseException],
    message: str | None,
    make_core: MakeCore,
    tmp_path: Path,
) -> None:
    plan = plan_paste(make_core("source", ["python"]), make_core("target", shards=shards))
    out = make_core("out") if replace_out else tmp_path / "new" / "out"
    before = tree(tmp_path)

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            assert list(out.parent.glob(".out.partial/*"))  # control: it was under way
            raise raised

    with pytest.raises(caught, match=message):
        paste(plan, out, replace_out=replace_out, progress=stop)
    assert tree(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"source", "target", "out"}


def test_out_is_replaced_only_where_asked_and_safe(make_core: MakeCore, tmp_path: Path) -> None:
    source, target = make_core("source", ["python"]), make_core("target")
    plan = plan_paste(source, target)
    before = tree(tmp_path)
    with pytest.raises(ExistsError, match="--replace"):
        paste(plan, target)
    with pytest.raises(InputError, match=r"a folder with a config.json"):
        paste(plan, tmp_path, replace_out=True)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="is in it"):
        paste(plan, tmp_path, replace_out=True)
    (tmp_path / "config.json").unlink()
    assert tree(tmp_path) == before
    paste(plan, target, replace_out=True)
    assert UP in load_core(target)
    assert not list(tmp_path.glob(".*"))


def test_folder_of_another_paste_is_left_alone(make_core: MakeCore, tmp_path: Path) -> None:
    plan = plan_paste(make_core("source", ["python"]), make_core("target"))
    (tmp_path / ".out.partial").mkdir()
    with pytest.raises(StorageError, match=r"rm -r .*\.out\.partial"):
        paste(plan, tmp_path / "out")
    assert (tmp_path / ".out.partial").is_dir()


def test_change_since_the_plan_is_noticed(make_core: MakeCore, tmp_path: Path) -> None:
    source, target = make_core("source", ["python"]), make_core("target")
    plan = plan_paste(source, target)
    file = source / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[plan.modules[0].tensors[-1].span.begin] ^= 1
    file.write_bytes(data)
    with pytest.raises(CorruptError, match="changed since"):
        paste(plan, tmp_path / "out")
    os.utime(target / "config.json", (1, 1))
    with pytest.raises(StorageError, match="was changed"):
        paste(plan_paste_before(plan), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def plan_paste_before(plan: Any) -> Any:
    """The same plan with the source as it is now, the target as it was."""
    fresh = plan_paste(plan.source.path, plan.target.path)
    return type(fresh)(fresh.source, plan.target, fresh.modules, fresh.dtype)


def in_python(code: str, *args: str) -> str:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_import_is_light() -> None:
    code = (
        "import sys, transplant.surgery.paste;"
        "heavy = {'torch', 'numpy', 'safetensors', 'transformers', 'mmap'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert in_python(code) == "[]"


PASTE = """
import sys
from pathlib import Path
from transplant.surgery.paste import paste, plan_paste

def peak():  # ru_maxrss would count what the parent held when it forked
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

source, target, out = map(Path, sys.argv[1:])
peaks = [peak()]
paste(plan_paste(source, target), out)
peaks.append(peak())
(target / "model.safetensors").read_bytes()
print(*peaks, peak())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_target(make_core: MakeCore, tmp_path: Path) -> None:
    source = make_core("source", ["python"])
    peaks: list[int] = []
    for megabytes in (60, 240):
        big = {"model.core.big": torch.zeros(megabytes, 1 << 18)}
        target = make_core(f"target-{megabytes}", change=lambda t, big=big: t.update(big))
        out = tmp_path / f"out-{megabytes}"
        told = in_python(PASTE, str(source), str(target), str(out))
        before, after, control = map(int, told.split())
        assert after - before < 15 * 1024
        assert control - after > (megabytes - 15) * 1024
        peaks.append(after)
    assert abs(peaks[1] - peaks[0]) < 15 * 1024
