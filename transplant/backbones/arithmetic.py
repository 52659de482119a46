"""The type in which a backbone computes: the one its weights are stored in, or another.

Interfaces, modules, fits and the losses that decide stay in float32 or float64, whatever it is.
"""

from __future__ import annotations

import platform
import re
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from transplant.dtypes import AUTO
from transplant.errors import InputError
from transplant.ranks import current

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
INSTRUCTIONS = {
    torch.bfloat16: ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"),
    torch.float16: ("avx512_fp16", "amx_fp16", "fp16_arith"),
}
"""Capabilities of a processor, as `torch.cpu` names them, that multiply a type."""


def name_of(dtype: torch.dtype) -> str:
    """The name of a type, as manifests hold it: `bfloat16`."""
    return str(dtype).removeprefix("torch.")


def computed_in(backbone: Backbone) -> dict[str, str]:
    """The type in which a backbone computes, for records; float32 goes without saying."""
    return {} if backbone.dtype == torch.float32 else {"dtype": name_of(backbone.dtype)}


def multiplies(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `device` has instructions for products of a type; elsewhere they are slow."""
    if dtype == torch.float32:
        return True
    if device.type == "cuda":
        return dtype == torch.float16 or torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "mps":
        return dtype == torch.float16 or _macos() >= 14
    if device.type != "cpu":
        return False
    # A torch before 2.13 does not tell: nothing is multiplied natively, float32 is chosen.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in INSTRUCTIONS[dtype])


def choose_dtype(wanted: str, stored: torch.dtype, device: torch.device) -> torch.dtype:
    """The type to compute in.

    Args:
        wanted: a name of `transplant.dtypes`; `auto` takes what the weights are stored in where
            `device` multiplies it, else float32; of float16 a processor computes float32.
        stored: of the weights.
        device: where the model runs.

    Raises:
        InputError: bfloat16, asked of a device that does not multiply it.
    """
    if wanted == AUTO:
        known = stored in DTYPES.values() and (stored, device.type) != (torch.float16, "cpu")
        return stored if known and multiplies(device, stored) else torch.float32
    chosen = DTYPES[wanted]
    if chosen == torch.bfloat16 and not multiplies(device, chosen):
        raise InputError(
            f"`dtype={wanted!r}`: this {device.type} has no instructions that multiply it",
            expected="float32, or auto, which takes what is fast here", found=wanted,
            hint="`dtype='auto'`",
        )  # fmt: skip
    return chosen


def stored_dtype(model: nn.Module) -> torch.dtype:
    """The type of most of a model's numbers."""
    counts: Counter[torch.dtype] = Counter()
    for parameter in model.parameters():
        if parameter.is_floating_point():
            counts[parameter.dtype] += parameter.numel()
    return counts.most_common(1)[0][0] if counts else torch.float32


@torch.no_grad()
def cast(model: Any, dtype: torch.dtype) -> Any:
    """The model with its weights in another type, in place.

    Left as they are: what is computed of the configuration rather than read from a file (the
    frequencies of rotary positions need float32), and, in 16 bits, the weights that the family
    says need 32.
    """
    wide = _kept_wide(model, dtype)
    held = model.state_dict().keys()
    buffers = ((name, buffer) for name, buffer in model.named_buffers() if name in held)
    for name, tensor in chain(model.named_parameters(), buffers):
        if tensor.is_floating_point() and tensor.dtype != dtype:
            tensor.data = tensor.data.to(torch.float32 if wide and wide.search(name) else dtype)
    return model


def has_rounded_buffers(model: nn.Module) -> bool:
    """Whether something was computed of the configuration in 16 bits, as the weights are stored.

    A cast would keep it as it was rounded: the factor on Gemma 3's embeddings.
    """
    held = model.state_dict().keys()
    return any(
        name not in held and buffer.is_floating_point() and buffer.element_size() == 2
        for name, buffer in model.named_buffers()
    )


def best_device() -> str:
    """The device that `auto` stands for: a GPU where there is one, else the processor."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def own_of_rank(device: torch.device) -> torch.device:
    """The GPU of this process, of several that share one job, in place of one without a number.

    Where there are more processes on the machine than GPUs, these are dealt out in turns.
    """
    ranks = current()
    if ranks.count == 1 or device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", ranks.on_machine % max(1, torch.cuda.device_count()))


def _kept_wide(model: Any, dtype: torch.dtype) -> re.Pattern[str] | None:
    """The names that stay in float32, as the classes of `transformers` list them."""
    names = {*(getattr(model, "_keep_in_fp32_modules_strict", None) or ())}
    if dtype == torch.float16:
        names |= {*(getattr(model, "_keep_in_fp32_modules", None) or ())}
    if dtype == torch.float32 or not names:
        return None
    return re.compile("|".join(rf"(^|\.){re.escape(name)}(\.|$)" for name in sorted(names)))


def _macos() -> int:
    return int(platform.mac_ver()[0].partition(".")[0] or 0)
