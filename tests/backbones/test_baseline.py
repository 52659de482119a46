"""The plain transformer beside a core: as large, and the same blocks without the shared space."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from transplant.backbones.fingerprint import hash_parameters
from transplant.backbones.layercake import SIZES, CoreSize, LayerCakeConfig, build_core
from transplant.backbones.layercake.baseline import TOLERANCE, build_baseline, matched_width
from transplant.backbones.layercake.sizes import count_parameters

TINY = CoreSize(name="tiny", d_model=24, n_layers=2, n_heads=3, d_ff=48, d_abi=16)
VOCAB = 61


def parameters_of(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def count_plain(size: CoreSize, vocab: int, width: int) -> int:
    """The parameters of a plain transformer of any size, without its memory."""
    config = GPTNeoXConfig.from_dict(
        {
            **build_baseline(TINY, VOCAB, 0).config.to_dict(),
            "vocab_size": vocab,
            "hidden_size": size.d_model,
            "num_hidden_layers": size.n_layers,
            "num_attention_heads": size.n_heads,
            "intermediate_size": width,
        }
    )
    with torch.device("meta"):
        return parameters_of(GPTNeoXForCausalLM(config))


@pytest.mark.parametrize("vocab", [4096, 50257])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_the_baseline_has_the_parameters_of_the_core(size, vocab):
    core = count_parameters(size, vocab)
    off = abs(count_plain(size, vocab, matched_width(size, vocab)) - core)
    assert off <= TOLERANCE * core
    one_wider = abs(count_plain(size, vocab, matched_width(size, vocab) + 1) - core)
    one_narrower = abs(count_plain(size, vocab, matched_width(size, vocab) - 1) - core)
    assert off <= min(one_wider, one_narrower)  # no whole width comes closer
    as_wide = abs(count_plain(size, vocab, size.d_ff) - core)
    assert as_wide > off
    if vocab == 4096:  # the control: as wide as the core's blocks, every size misses
        assert as_wide > TOLERANCE * core


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_without_the_shared_space_a_core_counts_what_a_plain_transformer_has(size):
    assert count_plain(size, 4096, size.d_ff) == count_parameters(size, 4096, abi=False)
    assert count_plain(size, 4096, size.d_ff) != count_parameters(size, 4096)


@pytest.mark.parametrize("vocab", [4096, 50257])
def test_a_baseline_that_is_built_has_what_was_counted(vocab):
    size = SIZES["2M"]
    found = parameters_of(build_baseline(size, vocab, 0))
    assert found == count_plain(size, vocab, matched_width(size, vocab))
    assert abs(found - count_parameters(size, vocab)) <= TOLERANCE * found


def test_a_seed_gives_the_same_bytes_and_leaves_the_global_one():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, same, other = (build_baseline(TINY, VOCAB, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert hash_parameters(first) == hash_parameters(same)
    for one, two in zip(first.parameters(), other.parameters(), strict=True):
        drawn = one.ndim > 1  # norms start at one and biases at zero, whatever the seed
        assert torch.equal(one, two) != drawn


@torch.no_grad()
def as_core(plain: Any) -> Any:
    """A core with the weights of a baseline, and nothing on the way through the shared space."""
    config = LayerCakeConfig.from_size(TINY, VOCAB, max_position_embeddings=64)
    config.intermediate_size = plain.config.intermediate_size
    core: Any = build_core(config, 0).eval()
    core.model.abi_to_core.weight.zero_()
    core.model.embed_tokens.load_state_dict(plain.gpt_neox.embed_in.state_dict())
    core.model.final_norm.load_state_dict(plain.gpt_neox.final_layer_norm.state_dict())
    for block, layer in zip(core.model.layers, plain.gpt_neox.layers, strict=True):
        for ours, theirs in (
            (block.attention_norm, layer.input_layernorm),
            (block.ff_norm, layer.post_attention_layernorm),
            (block.out, layer.attention.dense),
            (block.ff_in, layer.mlp.dense_h_to_4h),
            (block.ff_out, layer.mlp.dense_4h_to_h),
        ):
            ours.load_state_dict(theirs.state_dict())
        # GPT-NeoX keeps query, key and value of a head together; a core, the heads of each.
        for kind in ("weight", "bias"):
            stacked = getattr(layer.attention.query_key_value, kind)
            heads = stacked.unflatten(0, (TINY.n_heads, 3, -1))
            getattr(block.qkv, kind).copy_(heads.transpose(0, 1).flatten(0, 2))
    return core


@torch.no_grad()
def drawn(plain: Any) -> Any:
    """Draws every weight anew, biases and norms too, so that each matters."""
    generator = torch.Generator().manual_seed(7)
    for parameter in plain.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return plain.eval()


@torch.no_grad()
def logits_of(model, ids: torch.Tensor) -> torch.Tensor:
    return model(input_ids=ids, use_cache=False).logits


def draw_ids(seq: int) -> torch.Tensor:
    return torch.randint(1, VOCAB, (2, seq), generator=torch.Generator().manual_seed(1))


def test_a_baseline_computes_what_a_cores_blocks_compute():
    """The same norms, rotary positions over whole heads, and one sublayer after the other."""
    plain, ids = drawn(build_baseline(TINY, VOCAB, 0, context=64)), draw_ids(40)
    expected = logits_of(as_core(plain), ids)
    torch.testing.assert_close(logits_of(plain, ids), expected, rtol=1e-4, atol=1e-4)
    for other in (  # the control: of these none does
        {"use_parallel_residual": True},
        {"rope_parameters": {**plain.config.rope_parameters, "partial_rotary_factor": 0.25}},
        {"rope_parameters": {**plain.config.rope_parameters, "rope_theta": 500.0}},
        {"hidden_act": "relu"},
    ):
        config = GPTNeoXConfig.from_dict({**plain.config.to_dict(), **other})
        changed = GPTNeoXForCausalLM(config).eval()
        changed.load_state_dict(plain.state_dict())
        assert not torch.allclose(logits_of(changed, ids), expected, atol=1e-2), other


def test_residual_projections_start_smaller_the_deeper_the_stack_as_in_a_core():
    size = SIZES["2M"]
    plain: Any = build_baseline(size, 300, 0)
    core: Any = build_core(LayerCakeConfig.from_size(size, 300), 0)
    for layer, block in zip(plain.gpt_neox.layers, core.model.layers, strict=True):
        for ours, theirs in (
            (layer.attention.query_key_value, block.qkv),
            (layer.attention.dense, block.out),
            (layer.mlp.dense_h_to_4h, block.ff_in),
            (layer.mlp.dense_4h_to_h, block.ff_out),
        ):
            torch.testing.assert_close(ours.weight.std(), theirs.weight.std(), rtol=0.02, atol=0)
        assert layer.attention.dense.weight.std() < 0.5 * layer.mlp.dense_h_to_4h.weight.std()


def test_a_later_token_changes_no_earlier_logit():
    plain, ids = drawn(build_baseline(TINY, VOCAB, 0)), draw_ids(12)
    changed = ids.clone()
    changed[:, 8:] = (changed[:, 8:] + 5) % VOCAB
    first, second = logits_of(plain, ids), logits_of(plain, changed)
    torch.testing.assert_close(first[:, :8], second[:, :8], rtol=0, atol=1e-5)
    assert (first[:, 8:] - second[:, 8:]).abs().amax(-1).min() > 1e-2


def test_the_head_is_the_embedding_matrix_and_special_tokens_are_kept():
    plain = build_baseline(TINY, VOCAB, 0, context=40, eos_token_id=7, pad_token_id=8)
    assert plain.get_output_embeddings().weight is plain.get_input_embeddings().weight
    config = plain.config
    assert (config.eos_token_id, config.pad_token_id, config.bos_token_id) == (7, 8, None)
    assert config.max_position_embeddings == 40
