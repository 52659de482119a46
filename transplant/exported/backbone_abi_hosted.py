"""Backbone of a hosted model: found where its reference says, and compared with its fingerprint.

This file needs torch and `transformers` alone: it may stand beside the weights that it checks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import logging

SUBFOLDER = "backbone"
PLACES = (
    "cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token",
)  # fmt: skip
"""Options of `from_pretrained` that say where files are."""
FOUND_BY_NAME: list[Callable[[str], Path | None]] = []
"""Ways to the folder of a backbone by its name, where its recorded folder is not there."""
WORDS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL", torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip
"""What a fingerprint calls each type, as safetensors does."""
logger = logging.get_logger(__name__)


def auto_class(config: Any) -> Any:
    """The class that loads such a backbone."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def load_backbone(config: Any, source: Any, places: dict[str, Any], options: dict[str, Any]) -> Any:
    """The backbone that a configuration refers to, in the type that was asked for.

    Args:
        config: with `backbone_reference` and `text_config`.
        source: the folder or hub id that the configuration came from.
        places: options that say where its files are.
        options: of `from_pretrained`, without those.

    Raises:
        ValueError: it is not where it was, or its weights are others.
    """
    options = {name: value for name, value in options.items() if not name.startswith("_")}
    given, check = options.pop("backbone", None), options.pop("check_backbone", True)
    dtype = options.pop("dtype", None) or options.pop("torch_dtype", None) or "auto"
    attention = getattr(config, "_attn_implementation_internal", None)
    if attention is not None:
        options.setdefault("attn_implementation", attention)
    where, more = _place(config.backbone_reference, given, source, places)
    options |= more | {"config": config.text_config}
    load = auto_class(config).from_pretrained
    model = load(where, dtype="auto", **options)
    if check and "quantization_config" not in options:  # else the weights are not as stored
        _check(model, config.backbone_reference, where)
    wanted = getattr(torch, dtype) if isinstance(dtype, str) and dtype != "auto" else dtype
    if wanted not in ("auto", model.dtype):
        del model
        model = load(where, dtype=wanted, **options)
    return model


def fingerprint(model: nn.Module) -> str:
    """The sha256 over the lines `name dtype shape sha256`, sorted, of all tensors that are stored.

    The shape is written as `4x2`, the last hash is that of the tensor's bytes.
    """
    stored = model.state_dict().keys()
    buffers = ((name, buffer) for name, buffer in model.named_buffers() if name in stored)
    lines = []
    for name, tensor in chain(model.named_parameters(), buffers):
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        word = WORDS.get(tensor.dtype) or str(tensor.dtype).removeprefix("torch.").upper()
        shape = "x".join(map(str, tensor.shape))
        lines.append(f"{name} {word} {shape} {hashlib.sha256(raw.data).hexdigest()}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def folder_here(reference: dict[str, Any]) -> Path | None:
    """The folder of a backbone on this machine: the recorded one, or one that its name leads to.

    Of a backbone whose commit on a hub is known, without a folder, None: the hub has it.
    """
    path = reference.get("path")
    if path is not None and Path(path).is_dir():
        return Path(path)
    if path is None and reference.get("revision") is not None:
        return None
    found = (find(reference["id"]) for find in FOUND_BY_NAME)
    return next((folder for folder in found if folder is not None), None)


def _check(model: nn.Module, reference: dict[str, Any], where: str) -> None:
    expected = reference.get("weights_sha256")
    if expected is None:
        return
    if any(parameter.is_meta for parameter in model.parameters()):
        logger.warning(f"{where} is partly on the disk: its weights are not compared")
        return
    found = fingerprint(model)
    if found != expected:
        raise ValueError(
            f"the weights of {where} are not those that this model was made for: expected sha256 "
            f"{expected[:12]}, found {found[:12]}. Pass `backbone=` with the right ones."
        )


def _place(
    reference: dict[str, Any], given: Any, source: Any, places: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Where the backbone is, and the options that go with it."""
    own = {name: value for name, value in places.items() if name not in ("revision", "subfolder")}
    if given is not None:
        return str(given), own
    if inner := reference.get("subfolder"):
        outer = places.get("subfolder")
        inner = f"{outer}/{inner}" if outer else inner
        revision = {name: places[name] for name in ("revision",) if name in places}
        return str(source), own | revision | {"subfolder": inner}
    if (folder := folder_here(reference)) is not None:
        return str(folder), own
    name, revision = reference["id"], reference.get("revision")
    if reference.get("path") is None or revision is not None:
        return name, own | {"revision": revision}
    raise ValueError(
        f"the backbone {name} is not at {reference['path']}. Pass `backbone=`, a folder or a hub "
        "id with its weights, or export again with the backbone inside."
    )
