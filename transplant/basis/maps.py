"""The linear maps inside a backbone, by name: y = W x, whatever module holds W."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.packed import quantisation
from transplant.backbones.view import Backbone
from transplant.errors import BackboneError, InputError
from transplant.surgery.lora.match import PORTABLE
from transplant.surgery.lora.patterns import check_pattern
from transplant.surgery.lora.settings import ALL_LINEAR, LoraSettings

ALL = "all"
STACKS = ("encoder", "decoder")
_BLOCK = re.compile(r"(?P<above>.*?)\.(?P<number>\d+)\.(?P<inside>.*)")
SHOWN = 4  # of the names, in a message


@dataclass(frozen=True)
class LinearMap:
    """One of them: a `Linear` holds W [out, in], a `Conv1D` (GPT-2) its transpose."""

    name: str
    module: nn.Module
    out: int
    into: int

    @property
    def weight(self) -> Tensor:
        """W [out, in]; a view of the module's own."""
        own = self.module.get_parameter("weight")
        return own.T if isinstance(self.module, Conv1D) else own

    @property
    def bias(self) -> Tensor | None:
        """What the module adds to W x [out]."""
        found = self.module.bias
        return found if isinstance(found, Tensor) else None

    def beside(self, device: torch.device) -> torch.device:
        """Where its sums are kept: beside its weights, on `device` if these are on the disk."""
        return device if self.weight.is_meta else self.weight.device

    @property
    def layer(self) -> int | None:
        """The number of its block; None outside of blocks."""
        found = _BLOCK.fullmatch(self.name)
        return int(found["number"]) if found else None

    @property
    def type(self) -> str:
        """The name inside its block, behind `encoder` or `decoder` where there are both."""
        found = _BLOCK.fullmatch(self.name)
        if found is None:
            return self.name
        stack = found["above"].partition(".")[0]
        return f"{stack}.{found['inside']}" if stack in STACKS else found["inside"]


def select_maps(backbone: Backbone, pattern: str = ALL) -> list[LinearMap]:
    """The linear maps between the embeddings and the head that a pattern names, in order.

    Args:
        backbone: of any family; of one that sees, too, those that read text.
        pattern: `all`; ends of names, as `q_proj,v_proj`; or a regular expression of whole names.

    Raises:
        InputError: it, or a name of it, names no map, or it is no regular expression.
        BackboneError: the weights are quantised: they are no matrices to project.
    """
    check_not_quantised(backbone.model.config, backbone.name)
    known = [*_linear_maps(backbone)]
    settings = LoraSettings(rank=1, alpha=1.0, targets=_targets(pattern))
    chosen = [found for found in known if settings.is_target(found.name)]
    asked = settings.targets if isinstance(settings.targets, tuple) else ()
    unknown = [end for end in asked if not any(_ends_with(found.name, end) for found in chosen)]
    if unknown or not chosen:
        types = [*dict.fromkeys(found.type for found in known)]
        raise InputError(
            f"`layers` names no linear map of {backbone.name}",
            expected=f"all, or of {', '.join(types[:SHOWN])}" + ", ..." * (len(types) > SHOWN),
            found=", ".join(unknown) or pattern,
        )
    return chosen


def check_not_quantised(config: Any, name: str) -> None:
    """Refuses weights that are no matrices to project.

    Args:
        config: of the backbone.
        name: of the backbone, for the message.

    Raises:
        BackboneError: they are quantised.
    """
    packed = quantisation(config)
    if packed is not None:
        raise BackboneError(
            f"a basis of {name} needs its weights as they are",
            expected="float32, bfloat16 or float16", found=f"quantised ({packed})",
            hint="the model before it was quantised",
        )  # fmt: skip


def _ends_with(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _targets(pattern: str) -> tuple[str, ...] | str:
    if pattern == ALL:
        return ALL_LINEAR
    names = tuple(name.strip() for name in pattern.split(","))
    if all(re.fullmatch(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", name) for name in names):
        return names
    return check_pattern(pattern)


def _linear_maps(backbone: Backbone) -> Iterator[LinearMap]:
    inside = {id(module) for stack in stacks(backbone) for module in stack.modules()}
    for name, module in backbone.model.named_modules():
        if id(module) not in inside or any(word in name.split(".") for word in PORTABLE):
            continue
        if isinstance(module, nn.Linear):
            yield LinearMap(name, module, module.out_features, module.in_features)
        elif isinstance(module, Conv1D):
            yield LinearMap(name, module, module.nf, module.nx)


def stacks(backbone: Backbone) -> list[nn.Module]:
    """The modules that read token ids: the decoder, behind the encoder where there is one."""
    encoders = [backbone.model.get_encoder()] if isinstance(backbone, PrefixBackbone) else []
    return [*encoders, backbone.reader()]
