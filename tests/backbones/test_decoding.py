"""Plain attention while text is generated in 16 bits on a processor, and nowhere else."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.backbones import decoding
from transplant.backbones.decoding import plain_attention
from transplant.calibration.donor_text import write_documents
from transplant.modules.hosted import HostedModel
from transplant.training.loop import new_correction


def attention_of(model):
    return model.config._attn_implementation


@pytest.mark.parametrize(
    ("dtype", "inside"), [(torch.bfloat16, "abi_plain"), (torch.float32, "sdpa")]
)
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


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("heads_of_keys", [1, 2, 4])
def test_plain_products_say_what_the_fused_kernel_says(
    heads_of_keys, window, tiny_tokenizer, monkeypatch
):
    """Heads that share keys, padding, and positions outside of a sliding window."""
    monkeypatch.setattr(decoding, "HALVES", (torch.float32,))  # to compare without rounding
    family = "llama" if window is None else "mistral"
    changes = {} if window is None else {"sliding_window": window}
    backbone = tiny_backbone(
        family, tiny_tokenizer, num_attention_heads=4, num_key_value_heads=heads_of_keys, **changes
    )
    model = backbone.model
    ids = torch.randint(0, backbone.vocab_size, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, [0, 1, 7]] = 0

    def last_logits():
        with torch.no_grad():
            before = model(ids[:, :-1], attention_mask=mask[:, :-1], use_cache=True)
            cache = before.past_key_values
            return model(ids[:, -1:], attention_mask=mask, past_key_values=cache).logits

    fused = last_logits()
    with plain_attention(model):
        torch.testing.assert_close(last_logits(), fused, rtol=1e-4, atol=1e-4)
        mask[0] = 1
        assert (last_logits() - fused).abs().max() > 1e-3  # the mask is looked at


def test_a_head_reads_last_positions_in_one_piece(tiny_tokenizer, monkeypatch):
    """Each would be multiplied by a copy of the head, else."""
    backbone = tiny_backbone("llama", tiny_tokenizer)
    model, ids = backbone.model.to(torch.bfloat16), torch.arange(12).reshape(3, 4)
    whole, multiplied = [], model.lm_head.forward

    def forward(rows):
        whole.append(rows.is_contiguous())
        return multiplied(rows)

    monkeypatch.setattr(model.lm_head, "forward", forward)
    for writer in (HostedModel("tiny", backbone), model):
        writer.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=2, do_sample=False)
    assert whole == [True, True, False, True]  # a control: behind a prompt they lie apart


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
    assert seen == {"abi_plain"}
    assert attention_of(backbone.model) == "sdpa"
