from __future__ import annotations

import pytest

from tests.basis.tiny_basis import ragged_windows, tuple_backbone
from tests.tiny import tiny_backbone


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
