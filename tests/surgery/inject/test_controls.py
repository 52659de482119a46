"""The control part: of the donor's shape and size, and none of its knowledge."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.surgery.bank.extract import extract
from transplant.surgery.inject.controls import random_like


@pytest.mark.parametrize(("family", "part"), [("llama", "ffn.0"), ("t5", "heads.0")])
def test_a_random_part_has_the_shape_and_the_size_of_the_donors(family, part, tiny_tokenizer):
    donor = extract(tiny_backbone(family, tiny_tokenizer), ("heads", "ffn")).part(part)
    before = {name: tensor.clone() for name, tensor in donor.state_dict().items()}
    drawn = random_like(donor, 0)
    for name, tensor in drawn.state_dict().items():
        assert tensor.shape == before[name].shape
        assert torch.equal(donor.state_dict()[name], before[name])
        kept = "norm" in name or name in ("relative", "frequencies")
        assert torch.equal(tensor, before[name]) == kept
        if not kept:
            assert tensor.std().item() == pytest.approx(before[name].std().item(), rel=0.15)
    assert torch.equal(random_like(donor, 0).state_dict()["norm.weight"], before["norm.weight"])
