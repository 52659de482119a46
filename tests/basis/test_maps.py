"""Linear maps by name: every one between the embeddings and the head, and those a pattern names."""

from __future__ import annotations

import pytest
import torch

from transplant.basis.maps import select_maps
from transplant.errors import BackboneError, InputError


@pytest.mark.parametrize(
    ("family", "per_layer"), [("gpt2", 4), ("llama", 7), ("gemma3_text", 7), ("gemma3", 7)]
)
def test_all_names_the_maps_of_every_layer_and_neither_head_nor_eyes(backbones, family, per_layer):
    maps = select_maps(backbones(family))
    assert len(maps) == 2 * per_layer
    assert {found.layer for found in maps} == {0, 1}
    assert len({found.type for found in maps}) == per_layer


def test_t5_has_maps_in_both_stacks(backbones):
    types = {found.type for found in select_maps(backbones("t5"))}
    assert {"encoder.layer.0.SelfAttention.q", "decoder.layer.1.EncDecAttention.k"} <= types


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_the_weight_is_out_by_in_whatever_the_module_holds(backbones, family):
    for found in select_maps(backbones(family)):
        x = torch.randn(3, found.into)
        y = found.module(x) - (0 if found.bias is None else found.bias)
        assert torch.allclose(y, x @ found.weight.T, atol=1e-5)


def test_domain_modules_of_a_core_keep_their_bits(backbones):
    names = [found.name for found in select_maps(backbones("layercake"))]
    assert names
    assert not any("domain_modules" in name for name in names)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("q_proj,v_proj", 4),
        ("q_proj, v_proj", 4),
        ("self_attn.o_proj", 2),
        (r".*layers\.1\..*_proj", 7),
    ],
)
def test_a_pattern_is_ends_of_names_or_an_expression(backbones, pattern, count):
    assert len(select_maps(backbones("llama"), pattern)) == count


@pytest.mark.parametrize("pattern", ["q", "nowhere", "lm_head", "("])
def test_a_pattern_that_names_nothing_is_refused(backbones, pattern):
    with pytest.raises(InputError, match=r"layers|expression"):
        select_maps(backbones("llama"), pattern)


@pytest.mark.parametrize("pattern", ["q_proj,v_porj", "v_porj,q_proj", "q_proj, lm_head"])
def test_each_name_of_a_list_must_name_a_map(backbones, pattern):
    (wrong,) = {*pattern.replace(" ", "").split(",")} - {"q_proj"}
    with pytest.raises(InputError, match="layers") as told:
        select_maps(backbones("llama"), pattern)
    assert told.value.found == wrong


def test_a_quantised_backbone_is_refused(backbones, monkeypatch):
    backbone = backbones("llama")
    monkeypatch.setattr(
        backbone.model.config, "quantization_config", {"quant_method": "gptq"}, raising=False
    )
    with pytest.raises(BackboneError, match="gptq"):
        select_maps(backbone)
