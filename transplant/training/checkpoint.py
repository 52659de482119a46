"""Training state on disk: one safetensors file, replaced in one move, never pickled.

The header carries the sha256 of all that is read back. A checkpoint without one is refused, also
where an earlier version wrote it: a damaged name of that field looks the same, a checkpoint lives
only as long as its run, and another version may not end in the same bytes.
"""

from __future__ import annotations

import errno
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from transplant.errors import CorruptError, InputError, StorageError, VersionError, foreign
from transplant.files.whole_file import whole_file
from transplant.files.whole_folder import sibling

AFRESH = "the same run without `resume`"
SHA256 = "content_sha256"


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
        tensors = {k: v.detach().contiguous().cpu() for k, v in checkpoint.tensors.items()}
        header[SHA256] = _sha256_of(header, tensors)
        resumable = self.path.is_file()
        try:
            with whole_file(self.path) as temporary:
                save_file(tensors, temporary, header)
        except (OSError, SafetensorError) as error:
            full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
            raise StorageError(
                f"cannot write checkpoint {self.path}",
                found="no space left on the disk" if full else str(error),
                hint=f"free some space, then the same run{' with `resume`' * resumable}",
            ) from error

    def load(self) -> Checkpoint:
        """Reads the checkpoint back.

        Raises:
            InputError: there is none, or it belongs to another run.
            CorruptError: the file is damaged.
            VersionError: it has no checksum.
        """
        if not self.path.is_file():
            raise InputError("nothing to resume", expected=self.path, hint=AFRESH)
        with foreign(f"checkpoint {self.path} is damaged", CorruptError, hint=AFRESH):
            with safe_open(self.path, framework="pt") as file:
                header = dict(file.metadata() or {})
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            self._check(header, tensors)
            run, progress = json.loads(header["run"]), json.loads(header["progress"])
        for key in sorted(run.keys() | self.run.keys()):
            if run.get(key) != self.run.get(key):
                raise InputError(
                    f"checkpoint {self.path} belongs to another run: {key} differs",
                    expected=self.run.get(key),
                    found=run.get(key),
                    hint=AFRESH,
                )
        return Checkpoint(progress, tensors)

    def _check(self, header: dict[str, str], tensors: dict[str, Tensor]) -> None:
        expected = header.pop(SHA256, None)
        if expected is None:
            what = f"checkpoint {self.path} has no checksum: an earlier version wrote it, or damage"
            raise VersionError(what, expected=SHA256, found=sorted(header), hint=AFRESH)
        if expected != (found := _sha256_of(header, tensors)):
            what = f"checkpoint {self.path} is damaged"
            raise CorruptError(what, expected=expected[:12], found=found[:12], hint=AFRESH)

    def remove(self) -> None:
        """Deletes the file once the run is complete."""
        killed = (
            sibling(self.path, "tmp"),
            self.path.with_suffix(".partial"),
        )  # the older name
        for path in (self.path, *killed):
            path.unlink(missing_ok=True)


def _sha256_of(header: dict[str, str], tensors: dict[str, Tensor]) -> str:
    """Of what identifies the run, of its progress, and of every tensor: name, type, shape, bytes.

    Args:
        header: `run` and `progress`, as JSON.
        tensors: contiguous, on the CPU.
    """
    total = hashlib.sha256(json.dumps([header.get("run"), header.get("progress")]).encode())
    for name, tensor in sorted(tensors.items()):
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


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
