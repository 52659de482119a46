"""Recorded against recomputed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from transplant.errors import InputError
from transplant.evaluation.compare_numbers import (
    OTHER_TEXT,
    SAME_TEXT,
    Tolerances,
    compare_numbers,
    sign_flipped,
)

TIGHT = Tolerances(ppl=0.01, recovered=0.02, top5=0.1, top1=0.1, js=0.1, entropy=0.1)


def agrees(name, recorded, recomputed):
    (compared,) = compare_numbers({name: recorded}, {name: recomputed}, TIGHT)
    return compared.agrees


def test_a_perplexity_is_held_to_a_share_and_a_recovered_to_a_distance():
    assert agrees("ppl.raw", 200.0, 201.9)
    assert not agrees("ppl.raw", 200.0, 202.1)
    assert agrees("recovered.candidate", 0.5, 0.519)
    assert not agrees("recovered.candidate", 0.5, 0.521)
    assert agrees("nib.js", 0.05, 0.14)
    assert not agrees("nib.js", 0.05, 0.16)


def test_what_is_not_a_number_agrees_with_nothing():
    assert not agrees("ppl.raw", 200.0, math.nan)
    with pytest.raises(InputError, match=r"ppl\.raw"):
        agrees("ppl.raw", math.nan, 200.0)


def test_a_recomputed_number_without_a_recorded_one_is_refused():
    with pytest.raises(InputError, match=r"nib\.top5"):
        compare_numbers({"nib.top1": 0.5}, {"nib.top5": 0.5}, TIGHT)


def test_other_text_is_held_to_less_than_the_same_text():
    assert all(getattr(OTHER_TEXT, name) > 10 * value for name, value in vars(SAME_TEXT).items())


def test_a_flipped_sign_changes_the_largest_tensor_of_a_copy_alone():
    module = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    flipped = sign_flipped(module).state_dict()
    assert torch.equal(flipped.pop("0.weight"), -before["0.weight"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in flipped.items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
