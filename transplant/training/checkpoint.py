"""Training state on disk: one safetensors file, replaced in one move, never pickled."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from transplant.errors import CorruptError, InputError, StorageError


@dataclass(frozen=True)
class Checkpoint:
    """Everything that the next step depends on."""

    progress: dict[str, Any]  # step, best loss, history: plain JSON
    tensors: dict[str, Tensor]


class CheckpointFile:
    """A training run's file.

    Args:
        path: where it lies.
        run: what identifies the run (configuration, data and backbone fingerprints); a file of
            another run is never resumed.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        self.path = path
        self.run = json.loads(json.dumps(run))  # as it will read back: tuples become lists

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes to a temporary name, flushes, renames.

        Raises:
            StorageError: the disk is full; the previous checkpoint stays.
        """
        header = {"run": json.dumps(self.run), "progress": json.dumps(checkpoint.progress)}
        temporary = self.path.with_suffix(".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_file({k: v.contiguous() for k, v in checkpoint.tensors.items()}, temporary, header)
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
            temporary.replace(self.path)
        except (OSError, SafetensorError) as error:
            temporary.unlink(missing_ok=True)
            full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
            raise StorageError(
                f"cannot write checkpoint {self.path}",
                found="no space left on the disk" if full else str(error),
                hint="free some space, then the same run with `resume`",
            ) from error

    def load(self) -> Checkpoint:
        """Reads the checkpoint back.

        Raises:
            InputError: there is none, or it belongs to another run.
            CorruptError: the file is damaged.
        """
        if not self.path.is_file():
            raise InputError(
                "nothing to resume", expected=self.path, hint="the same run without `resume`"
            )
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            run, progress = json.loads(header["run"]), json.loads(header["progress"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CorruptError(
                f"checkpoint {self.path} is damaged", hint="the same run without `resume`"
            ) from error
        for key in sorted(run.keys() | self.run.keys()):
            if run.get(key) != self.run.get(key):
                raise InputError(
                    f"checkpoint {self.path} belongs to another run: {key} differs",
                    expected=self.run.get(key),
                    found=run.get(key),
                    hint="the same run without `resume`",
                )
        return Checkpoint(progress, tensors)

    def remove(self) -> None:
        """Deletes the file once the run is complete."""
        self.path.unlink(missing_ok=True)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's moments and step counts as named tensors."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{i}.{key}": value for i, row in state.items() for key, value in row.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts the moments and step counts back."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's tensors under a prefix."""
    return {f"{prefix}.{k}": v.detach().clone() for k, v in module.state_dict().items()}


def unprefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
