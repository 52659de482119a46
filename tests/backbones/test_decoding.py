"""Plain attention while text is generated in 16 bits on a processor, and nowhere else."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.backbones.decoding import plain_attention
from transplant.calibration.donor_text import write_documents
from transplant.modules.hosted import HostedModel
from transplant.training.loop import new_correction


def attention_of(model):
    return model.config._attn_implementation


@pytest.mark.parametrize(("dtype", "inside"), [(torch.bfloat16, "eager"), (torch.float32, "sdpa")])
def test_the_kernel_is_another_inside_the_block_alone(dtype, inside, tiny_tokenizer):
    model = tiny_backbone("llama", tiny_tokenizer).model.to(dtype)
    ids = tiny_tokenizer("ba cor den", return_tensors="pt").input_ids
    with torch.no_grad():
        fused = model(ids).logits
        with plain_attention(model):
            assert attention_of(model) == inside
            torch.testing.assert_close(model(ids).logits, fused, rtol=0.05, atol=0.05)
        assert attention_of(model) == "sdpa"
        assert torch.equal(model(ids).logits, fused)


def test_an_interrupted_block_gives_the_kernel_back(tiny_tokenizer):
    model = tiny_backbone("llama", tiny_tokenizer).model.to(torch.bfloat16)
    block = plain_attention(model)
    block.__enter__()
    assert not block.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)  # it goes on outwards
    assert attention_of(model) == "sdpa"


def test_a_model_that_was_loaded_with_another_kernel_keeps_it(tiny_tokenizer):
    model = tiny_backbone("llama", tiny_tokenizer).model.to(torch.bfloat16)
    model.set_attn_implementation("eager")
    with plain_attention(model):
        assert attention_of(model) == "eager"
    assert attention_of(model) == "eager"


def test_a_donor_in_16_bits_writes_with_it(tiny_tokenizer):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    backbone.model.to(torch.bfloat16)
    correction = new_correction(backbone.d_model, 8, (backbone.n_layers,), 0)
    seen = set()
    backbone.model.register_forward_pre_hook(lambda model, _: seen.add(attention_of(model)))
    write_documents(HostedModel("tales@tiny", backbone, correction), {"62": 1}, 2, chars=20)
    assert seen == {"eager"}
    assert attention_of(backbone.model) == "sdpa"
