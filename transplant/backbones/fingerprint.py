"""Fingerprints: which weights and which tokenizer a result was made with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from transplant.backbones.identity import tensors_sha256, tokenizer_sha256

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SAFETENSORS_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """One sha256 over named tensors: the identity of a module, whatever file holds it.

    The registry computes the same from a manifest, without loading a tensor.
    """
    return tensors_sha256(
        (name, SAFETENSORS_NAMES[tensor.dtype], tuple(tensor.shape), _hash_bytes(tensor))
        for name, tensor in tensors.items()
    )


def hash_parameters(model: nn.Module) -> str:
    """The sha256 over a model's parameters, and over what else of it a file holds."""
    tensors: dict[str, Tensor] = dict(model.named_parameters())
    held = model.state_dict().keys()
    tensors |= {name: buffer for name, buffer in model.named_buffers() if name in held}
    return hash_tensors(tensors)


def hash_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """The sha256 of a tokenizer: of its whole definition where it is a fast one."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        vocabulary = json.dumps(tokenizer.get_vocab(), sort_keys=True)
        return hashlib.sha256(vocabulary.encode()).hexdigest()
    return tokenizer_sha256(json.loads(backend.to_str()))


def _hash_bytes(tensor: Tensor) -> str:
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return hashlib.sha256(raw.data).hexdigest()
