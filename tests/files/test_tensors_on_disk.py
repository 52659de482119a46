"""Safetensors files written one tensor at a time, and tensors that stay in them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, load_file
from torch import Tensor

from transplant.errors import CorruptError, InputError
from transplant.files import safetensors
from transplant.files.header import RARE_WORDS, WORDS
from transplant.files.tensors_on_disk import TensorsOnDisk

VALUES = torch.arange(6.0).reshape(2, 3)
TENSORS = {
    "odd": torch.tensor([True, False, True]),
    "strided": VALUES.T,
    "tied": VALUES,
    "tied too": VALUES,
    "one": torch.tensor(3.0, dtype=torch.float64),
    "none": torch.empty(0, 4),
    "half": VALUES.bfloat16(),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "tensors.safetensors"
    safetensors.save(file, TENSORS)
    return file


def test_a_file_holds_what_was_saved(file: Path) -> None:
    for found in (load_file(file), load(file.read_bytes()), TensorsOnDisk([file])):
        assert found.keys() == TENSORS.keys()
        for name, tensor in TENSORS.items():
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("name", [*WORDS, *RARE_WORDS])
def test_every_type_of_the_format_is_read_as_it_was_saved(tmp_path: Path, name: str) -> None:
    dtype = getattr(torch, name)
    raw = torch.arange(16, dtype=torch.uint8) % 2
    file = tmp_path / "one.safetensors"
    safetensors.save(file, {"t": raw.view(dtype)})
    for found in (load_file(file), TensorsOnDisk([file])):
        assert found["t"].dtype == dtype
        assert torch.equal(found["t"].view(torch.uint8), raw)


@pytest.mark.parametrize(
    "tensor", [torch.ones(2, dtype=torch.complex128), torch.eye(2).to_sparse(),
               torch.ones(2, device="meta")],
)  # fmt: skip
def test_what_the_format_cannot_hold_is_named_before_a_byte_is_written(
    tmp_path: Path, tensor: Tensor
) -> None:
    file = tmp_path / "no.safetensors"
    with pytest.raises(InputError, match="cannot store the tensor bad"):
        safetensors.save(file, {"good": VALUES, "bad": tensor})
    assert not file.exists()


class Counted(Mapping[str, Tensor]):
    """Tensors that are made when they are asked for; how many live at once is counted."""

    def __init__(self, many: int) -> None:
        self.names = [str(number) for number in range(many)]
        self.living = self.most = 0

    def __getitem__(self, name: str) -> Tensor:
        made = torch.full((1000,), float(name))
        self.living += 1
        self.most = max(self.most, self.living)
        weakref.finalize(made, self._gone)
        return made

    def _gone(self) -> None:
        self.living -= 1

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def test_saving_holds_no_more_than_two_tensors(tmp_path: Path) -> None:
    tensors = Counted(50)
    safetensors.save(tmp_path / "many.safetensors", tensors)
    gc.collect()
    assert 1 <= tensors.most <= 2
    assert float(load_file(tmp_path / "many.safetensors")["49"][0]) == 49


def test_a_tensor_is_read_when_it_is_asked_for(file: Path) -> None:
    found = TensorsOnDisk([file])
    assert torch.equal(found["tied"], VALUES)
    file.unlink()
    with pytest.raises(CorruptError, match="is missing"):
        found["tied"]
    with pytest.raises(KeyError):
        found["stranger"]


def test_a_tensor_is_compared_with_its_record_each_time(file: Path) -> None:
    records = safetensors.hash_tensors(file)
    found = TensorsOnDisk([file], records)
    assert torch.equal(found["tied"], VALUES)
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1  # of the narrowest type, which is last
    file.write_bytes(raw)
    assert torch.equal(found["tied"], VALUES)
    with pytest.raises(CorruptError, match="tensor odd"):
        found["odd"]


def test_other_tensors_than_recorded_are_named(file: Path) -> None:
    records = safetensors.hash_tensors(file)
    for wrong in ({k: v for k, v in records.items() if k != "odd"},
                  records | {"more": records["odd"]}):  # fmt: skip
        with pytest.raises(CorruptError, match="tensor (odd|more)"):
            TensorsOnDisk([file], wrong)
