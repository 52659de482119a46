"""Fingerprints: which weights and which tokenizer a result was made with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from transplant.backbones.identity import tensors_sha256, tokenizer_sha256
from transplant.backbones.spread import every_tensor
from transplant.files.header import WORDS
from transplant.files.safetensors import raw_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST_THREADS = 8


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """One sha256 over named tensors: the identity of a module, whatever file holds it.

    The registry computes the same from a manifest, without loading a tensor.
    """
    return _hash_named(tensors.items())


def hash_parameters(model: nn.Module) -> str:
    """The sha256 over a model's parameters, and over what else of it a file holds.

    What is offloaded to the disk is read in turn.
    """
    return _hash_named(every_tensor(model))


def hash_resident(model: nn.Module) -> str:
    """The same over what is in memory; the rest is read from its files, and never written."""
    return _hash_named(every_tensor(model, away=False))


def hash_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """The sha256 of a tokenizer: of its whole definition where it is a fast one."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        vocabulary = json.dumps(tokenizer.get_vocab(), sort_keys=True)
        return hashlib.sha256(vocabulary.encode()).hexdigest()
    return tokenizer_sha256(json.loads(backend.to_str()))


def _hash_named(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Hashes several tensors at once, and holds no more of them than it has threads."""
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    hashed: list[tuple[str, str, tuple[int, ...], Future[str]]] = []
    with ThreadPoolExecutor(threads) as pool:  # sha256 leaves the interpreter's lock
        for name, tensor in tensors:
            found = pool.submit(_hash_bytes, tensor)
            hashed.append((name, _word(tensor.dtype), tuple(tensor.shape), found))
            if len(hashed) > threads:
                hashed[-threads][-1].result()
    return tensors_sha256(
        (name, word, shape, found.result()) for name, word, shape, found in hashed
    )


def _word(dtype: torch.dtype) -> str:
    """The word of safetensors for a type; its own name for one that only packed weights have."""
    name = str(dtype).removeprefix("torch.")
    return WORDS.get(name) or name.upper()


def _hash_bytes(tensor: Tensor) -> str:
    return hashlib.sha256(raw_bytes(tensor)).hexdigest()
