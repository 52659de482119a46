"""New LoRAs of a backbone: one that is to learn, and an untrained one as large as another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from transplant.backbones.core import CoreBackbone
from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.surgery.lora.match import PORTABLE, targets_of
from transplant.surgery.lora.settings import ALL_LINEAR, LoraSettings
from transplant.surgery.lora.update import LoraUpdate, Pair


def new_lora(
    backbone: Backbone, rank: int, alpha: float, targets: Sequence[str] = (), *, seed: int = 0
) -> LoraUpdate:
    """Pairs whose tensors ask for a gradient: A is drawn as PEFT draws it, B is 0.

    Args:
        backbone: the frozen language model.
        rank: of every pair.
        alpha: s = alpha / rank is what B A is multiplied with.
        targets: ends of names of linear maps; none: all of them but the head.
        seed: of the draw.

    Raises:
        InputError: no map has such a name, or it is the head or a table of embeddings.
    """
    names = adapted_maps(backbone, rank, alpha, targets)
    generator, modules = torch.Generator().manual_seed(seed), dict(backbone.model.named_modules())
    pairs = {}
    for name in names:
        weight = modules[name].get_parameter("weight")
        out, into = weight.shape if isinstance(modules[name], nn.Linear) else weight.shape[::-1]
        bound = 1 / math.sqrt(into)  # of nn.init.kaiming_uniform_(a=sqrt(5))
        drawn = torch.empty(rank, into).uniform_(-bound, bound, generator=generator)
        pairs[name] = Pair(
            nn.Parameter(drawn.to(backbone.device)),
            nn.Parameter(torch.zeros(out, rank, device=backbone.device)),
            None, alpha / rank,
        )  # fmt: skip
    return LoraUpdate(pairs, {})


def adapted_maps(
    backbone: Backbone, rank: int, alpha: float, targets: Sequence[str] = ()
) -> list[str]:
    """The names of the maps that a new LoRA changes; see `new_lora`.

    Raises:
        InputError: no map has such a name, or it is the head or a table of embeddings.
    """
    settings = LoraSettings(rank=rank, alpha=alpha, targets=tuple(targets) or ALL_LINEAR)
    found = [*targets_of(settings, backbone)]
    if isinstance(backbone, CoreBackbone):  # its domain modules keep their bits
        found = [name for name in found if not {*name.split(".")} & {*PORTABLE}]
    modules, head = dict(backbone.model.named_modules()), backbone.model.get_output_embeddings()
    linear = [*targets_of(LoraSettings(rank=rank, alpha=alpha, targets=ALL_LINEAR), backbone)]
    ends = sorted({name.rpartition(".")[2] for name in linear})
    for name in found:
        if modules[name] is head or isinstance(modules[name], nn.Embedding):
            raise InputError(
                f"`lora_targets`: {name} of {backbone.name} is not adapted here",
                expected=f"maps inside its layers: {', '.join(ends)}",
            )
    unknown = [t for t in targets if not any(n == t or n.endswith(f".{t}") for n in found)]
    if unknown or not found:
        raise InputError(
            f"`lora_targets`: {backbone.name} has no linear map of that name",
            expected=f"of {', '.join(ends)}", found=", ".join(unknown),
        )  # fmt: skip
    return found


@torch.no_grad()
def untrained_like(update: LoraUpdate, seed: int) -> LoraUpdate:
    """Random pairs whose products B A are as large as those of another LoRA, map by map.

    Args:
        update: its ranks, scales and Frobenius norms are taken over.
        seed: of the draw.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like.device)

    pairs = {}
    for name, pair in update.pairs.items():
        a, b = draw(pair.a), draw(pair.b)
        b *= product_norm(pair.a, pair.b) / product_norm(a, b)
        pairs[name] = Pair(a, b, None, pair.scale)
    return LoraUpdate(pairs, {})


def product_norm(a: Tensor, b: Tensor) -> float:
    """|B A| (Frobenius) of A [rank, in] and B [out, rank], without the product."""
    squared = ((b.T @ b).double() * (a @ a.T).double()).sum()
    return math.sqrt(max(0.0, float(squared)))
