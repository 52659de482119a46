"""The file of a run that can be resumed: whole or refused, and offered only where it is there."""

from __future__ import annotations

import random

import pytest
import torch
from safetensors.torch import save_file

from transplant.errors import CorruptError, StorageError, VersionError
from transplant.training import checkpoint as checkpoint_file
from transplant.training.checkpoint import Checkpoint, CheckpointFile


def test_a_flip_anywhere_in_a_checkpoint_is_refused_or_changes_nothing(tmp_path):
    file = CheckpointFile(tmp_path / "run.safetensors", {"seed": 0})
    tensors = {"model.w": torch.arange(24.0).reshape(4, 6), "optimizer.0.step": torch.tensor(3.0)}
    file.save(Checkpoint({"step": 3, "best": 1.5}, tensors))
    whole = file.path.read_bytes()
    draw = random.Random(0)
    refused = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        file.path.write_bytes(damaged)
        try:
            read = file.load()
        except (CorruptError, VersionError) as error:
            refused += str(file.path) in str(error)
        else:
            assert read.progress == {"step": 3, "best": 1.5}
            assert all(torch.equal(read.tensors[name], tensors[name]) for name in tensors)
    assert refused > 0.95 * len(whole)


def test_a_checkpoint_without_a_checksum_is_refused_with_the_next_step(tmp_path):
    file = CheckpointFile(tmp_path / "run.safetensors", {"seed": 0})
    header = {"run": '{"seed": 0}', "progress": '{"step": 3}'}
    save_file({"model.w": torch.zeros(3)}, file.path, header)
    with pytest.raises(VersionError, match="no checksum: an earlier version .* without `resume`"):
        file.load()


def test_a_full_disk_offers_to_resume_only_what_was_kept(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    file = CheckpointFile(tmp_path / "run.safetensors", {})
    first = Checkpoint({"step": 1}, {"model.w": torch.zeros(3)})
    for kept in (False, True):
        if kept:
            file.save(first)
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint_file, "save_file", full)
            with pytest.raises(StorageError) as info:
                file.save(first)
        assert ("`resume`" in str(info.value)) == kept
