"""Tiny checkpoints that look like LayerCake cores, in one file or in shards."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from transplant.paste.forms import form_shapes

D_ABI = 8

MakeCore = Callable[..., Path]


def _draw(shape: tuple[int, ...], seed: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.fixture
def make_core(tmp_path: Path) -> MakeCore:
    def make(
        name: str,
        modules: Sequence[str] = (),
        *,
        shards: int = 1,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        config: dict[str, Any] | None = None,
        change: Callable[[dict[str, Tensor]], object] | None = None,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        tensors = {f"model.core.{i}": _draw((16, 3 + i), seed + i, dtype) for i in range(5)}
        tensors["model.core.mask"] = torch.tensor([True, False, True])  # an odd number of bytes
        for number, module in enumerate(modules):
            for place, (rest, shape) in enumerate(form_shapes("lite", D_ABI).items()):
                seeded = _draw(shape, 1000 + seed + 10 * number + place, dtype)
                tensors[f"model.domain_modules.{module}.{rest}"] = seeded
            if (config or {}).get("router"):
                tensors[f"model.routers.{module}.weight"] = _draw((1, D_ABI), seed, dtype)
                tensors[f"model.routers.{module}.bias"] = _draw((1,), seed, dtype)
        if change:
            change(tensors)
        _save(folder, tensors, shards)
        entries = {m: {"form": "lite", "active": False, "weight": 0.5} for m in modules}
        fields = {"model_type": "layercake", "d_abi": D_ABI, "router": False}
        fields |= {"domain_modules": entries, **(config or {})}
        (folder / "config.json").write_text(json.dumps(fields))
        (folder / "tokenizer.json").write_text('{"of": "' + name + '"}')
        (folder / "training_args.bin").write_bytes(b"a pickle")
        (folder / "manifest.json").write_text("{}")
        return folder

    return make


def _save(folder: Path, tensors: dict[str, Tensor], shards: int) -> None:
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    places: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = dict(list(tensors.items())[shard::shards])
        save_file(part, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
