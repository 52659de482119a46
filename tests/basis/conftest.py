from __future__ import annotations

import pytest

from tests.basis.tiny_basis import ragged_windows, tuple_backbone
from tests.tiny import tiny_backbone, tiny_model
from transplant.backbones.load import load_backbone


@pytest.fixture(scope="session")
def windows(tiny_tokenizer):
    return ragged_windows(len(tiny_tokenizer))


@pytest.fixture(scope="session")
def backbones(tiny_tokenizer):
    """A tiny backbone of each family that is asked for, built once."""
    made = {}

    def give(family: str):
        if family not in made:
            make = tuple_backbone if family == "gptj" else tiny_backbone
            made[family] = make(family, tiny_tokenizer)
        return made[family]

    return give


@pytest.fixture
def near_and_far(tiny_tokenizer, tmp_path):
    """The same backbone in memory, and with its weights on the disk."""
    tiny_model("llama", tiny_tokenizer).save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    return load_backbone(tmp_path / "model"), load_backbone(
        tmp_path / "model", device_map={"": "disk"}
    )
