"""Reading a folder that PEFT has saved: its settings checked, its tensors as they are named."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from transplant.errors import CorruptError, InputError, NotFoundError, NumericalError, foreign
from transplant.files.plain import open_plain, read_plain
from transplant.surgery.lora.config import read_settings
from transplant.surgery.lora.settings import LoraSettings

CONFIG, WEIGHTS, PICKLED = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."
MAX_CONFIG = 1 << 24  # bytes


@dataclass(frozen=True)
class LoraFolder:
    """A saved adapter: what it says, what it holds, and which bytes it was."""

    path: Path
    settings: LoraSettings
    tensors: dict[str, Tensor]
    """By the names of the model that was adapted: `transformer.h.0.attn.c_attn.lora_A.weight`."""
    config_sha256: str
    weights_sha256: str


def read_lora(path: Path) -> LoraFolder:
    """Reads `adapter_config.json` and `adapter_model.safetensors`.

    Links to files are followed: a snapshot in the hub's cache consists of them.

    Raises:
        NotFoundError: one of them is not there.
        InputError: a pickle, another kind of adapter, or a setting that no such sum can express.
        CorruptError: a file that cannot be read, or a pipe, a device or a folder in its place.
        NumericalError: a tensor with NaN or infinity.
    """
    if not _is_there(path / CONFIG):
        raise NotFoundError(
            f"{path} is no adapter", expected=f"a folder with {CONFIG} and {WEIGHTS}",
            found="no such folder" if not path.is_dir() else f"no {CONFIG}",
            hint="the folder that PEFT's save_pretrained wrote",
        )  # fmt: skip
    with foreign(f"{path / CONFIG} cannot be read", CorruptError):
        raw = read_plain(path / CONFIG, MAX_CONFIG, follow=True)
    settings = read_settings(raw, path / CONFIG)
    file = path / WEIGHTS
    if not _is_there(file):
        _refuse_missing(path)
    with foreign(f"{file}", CorruptError, expected="safetensors"):
        tensors = load_file(file)
    with open_plain(file, follow=True) as opened:
        weights_sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise CorruptError(f"{file}: {name}", expected="numbers", found=tensor.dtype)
        if not torch.isfinite(tensor.float()).all():
            raise NumericalError(f"{file}: {name} holds NaN or infinity")
    config_sha256 = hashlib.sha256(raw).hexdigest()
    return LoraFolder(path, settings, _own_names(tensors, file), config_sha256, weights_sha256)


def _is_there(file: Path) -> bool:
    """Whether there is a file of that name, or a link to one; anything else is refused."""
    if not os.path.lexists(file):
        return False
    with foreign(f"{file} cannot be read", CorruptError, expected="a regular file"):
        open_plain(file, follow=True).close()
    return True


def _refuse_missing(path: Path) -> None:
    if (path / PICKLED).is_file():
        raise InputError(
            f"{path / PICKLED} is a pickle, and pickle is never loaded", expected=WEIGHTS,
            hint="where its maker is trusted: PeftModel.from_pretrained(model, "
            f"'{path}').save_pretrained(DIR, safe_serialization=True)",
        )  # fmt: skip
    raise NotFoundError(
        f"{path} has no weights", expected=WEIGHTS,
        hint=f"of a hub {PICKLED} is not fetched, as pickle is never loaded; where its maker is "
        f"trusted, PEFT's save_pretrained writes {WEIGHTS} of it",
    )  # fmt: skip


def _own_names(tensors: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Names inside the model: without PEFT's own layers around it."""
    strangers = [name for name in tensors if not name.startswith(PREFIX)]
    if strangers:
        raise InputError(
            f"{file}: keys that PEFT does not write", expected=f"{PREFIX}...", found=strangers[:3]
        )
    own: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        inside = name.removeprefix(PREFIX)
        inside = inside.replace(".modules_to_save.", ".").replace(".base_layer.", ".")
        if inside in own:
            raise InputError(f"{file}: two keys for {inside}", expected="one", found=name)
        own[inside] = tensor
    return own
