"""Dtypes and shapes of a model's weights on a hub, before any of these are downloaded."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from transplant.backbones.folder import Header
from transplant.backbones.quiet import quiet


def header_of(hub_id: str, revision: str | None) -> Header | None:
    """The tensors of a model on the hub, by the headers of its safetensors files.

    A file is asked for its first bytes alone, every shard that the index names.

    Args:
        hub_id: the model; the hub is known to answer.
        revision: a branch, a tag or a commit; None for `main`.

    Returns:
        None where the hub does not tell: no such model, no safetensors, no leave to read it. What
        is wrong is left to whoever loads it.
    """
    from huggingface_hub import HfApi

    with quiet(), suppress(Exception):  # of the hub, of httpx, or of what a file holds
        found = HfApi().get_safetensors_metadata(hub_id, revision=revision)
        return {
            name: (tensor.dtype, tuple(tensor.shape))
            for file in found.files_metadata.values()
            for name, tensor in file.tensors.items()
        } or None
    return None


def cached_folder(hub_id: str, revision: str | None) -> Path | None:
    """The folder of what was downloaded of a model; None where nothing was."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub_id, "config.json", revision=revision or "main")
    return Path(found).parent if isinstance(found, str) else None
