"""Fingerprints: which weights and which tokenizer a result was made with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SAFETENSORS_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """One sha256 over named tensors: the identity of a module, whatever file holds it.

    The hash of the lines `name dtype shape sha256(raw bytes)`, sorted; the registry computes the
    same from a manifest, without loading a tensor.
    """
    lines = []
    for name, tensor in tensors.items():
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        digest = hashlib.sha256(raw.data).hexdigest()
        shape = "x".join(map(str, tensor.shape))
        lines.append(f"{name} {SAFETENSORS_NAMES[tensor.dtype]} {shape} {digest}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def hash_parameters(model: nn.Module) -> str:
    """The sha256 over a model's parameters."""
    return hash_tensors(dict(model.named_parameters()))


def hash_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """The sha256 of a tokenizer: of its whole definition where it is a fast one."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        definition = json.loads(backend.to_str())
        definition.pop("truncation", None)  # set by calls, not by the tokenizer's maker
        definition.pop("padding", None)
    else:
        definition = tokenizer.get_vocab()
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
