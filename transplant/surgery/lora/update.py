"""Changes of a LoRA to a backbone: pairs by module, and parameters that were trained whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from transplant.errors import CorruptError, foreign

ADAPTED = (nn.Linear, Conv1D, nn.Embedding)
A, B, B_BIAS = "lora_A.weight", "lora_B.weight", "lora_B.bias"
TABLE_A, TABLE_B = "lora_embedding_A", "lora_embedding_B"
WHOLE = "whole."  # before the names of whole parameters, in an artifact


@dataclass(frozen=True)
class Pair:
    """scale * B A of one module: a linear map, or a table of embeddings (in = entries)."""

    a: Tensor  # [rank, in]
    b: Tensor  # [out, rank]
    bias: Tensor | None  # [out], behind B
    scale: float

    @property
    def delta(self) -> Tensor:
        """What it adds to a weight [out, in], in single precision or better."""
        return self.scale * (self.b.float() @ self.a.float())

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Pair:
        """The same numbers elsewhere, in another type."""
        bias = None if self.bias is None else self.bias.to(device, dtype)
        return Pair(self.a.to(device, dtype), self.b.to(device, dtype), bias, self.scale)


@dataclass(frozen=True)
class LoraUpdate:
    """All of it, by the names of the backbone's own modules and parameters."""

    pairs: Mapping[str, Pair]
    whole: Mapping[str, Tensor]
    """Parameters that take the place of the backbone's."""

    @property
    def touched(self) -> tuple[str, ...]:
        """The modules that act differently."""
        return tuple(sorted({*self.pairs, *(name.rpartition(".")[0] for name in self.whole)}))

    def scales(self) -> dict[str, float]:
        """What an artifact keeps of it beside the tensors."""
        return {name: pair.scale for name, pair in self.pairs.items()}

    def as_tensors(self) -> dict[str, Tensor]:
        """Everything but the scales, for a file; `from_tensors` reads it back."""
        tensors = {f"{WHOLE}{name}": tensor for name, tensor in self.whole.items()}
        for name, pair in self.pairs.items():
            tensors |= {f"{name}.{A}": pair.a, f"{name}.{B}": pair.b}
            if pair.bias is not None:
                tensors[f"{name}.{B_BIAS}"] = pair.bias
        return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], scales: Any) -> LoraUpdate:
        """Reads what `as_tensors` and `scales` gave.

        Raises:
            CorruptError: they do not belong together.
        """
        if not isinstance(scales, Mapping):
            raise CorruptError("the record of an adapter", expected="scales by module")
        left = dict(tensors)
        whole = {n.removeprefix(WHOLE): left.pop(n) for n in tensors if n.startswith(WHOLE)}
        with foreign("an adapter lacks a tensor, or a scale is no number", CorruptError):
            pairs = {
                name: Pair(
                    left.pop(f"{name}.{A}"), left.pop(f"{name}.{B}"),
                    left.pop(f"{name}.{B_BIAS}", None), float(scale),
                )
                for name, scale in scales.items()
            }  # fmt: skip
        if left:
            raise CorruptError("an adapter has a tensor without a scale", found=sorted(left)[:3])
        return cls(pairs, whole)
