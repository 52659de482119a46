"""Changes to a folder of a backbone: its configuration, its weights, its shards."""

from __future__ import annotations

import json

from safetensors.torch import load_file, save_file

INDEX = "model.safetensors.index.json"


def edit(file, change):
    held = json.loads(file.read_text())
    change(held)
    file.write_text(json.dumps(held))


def configure(path, **values):
    edit(path / "config.json", lambda held: held.update(values))
    return path


def reweigh(path, change):
    tensors = {
        name: tensor.clone() for name, tensor in load_file(path / "model.safetensors").items()
    }
    change(tensors)
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    return path


def shard(path, change):
    tensors = load_file(path / "model.safetensors")
    file = "model-00001-of-00001.safetensors"
    save_file(tensors, path / file, metadata={"format": "pt"})
    (path / "model.safetensors").unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(tensors, file)}
    change(index)
    (path / INDEX).write_text(json.dumps(index))
    return path
