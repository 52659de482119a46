"""The LayerCake core as a model of `transformers`."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, DynamicCache, StaticCache

from tests.backbones.layercake_cores import (
    LAYERS,
    VOCAB,
    draw_ids,
    logits_of,
    tiny_config,
    tiny_core,
)
from transplant.backbones.layercake import (
    LayerCakeForCausalLM,
    build_core,
    register,
)
from transplant.backbones.views import view_of
from transplant.errors import InputError
from transplant.text.windows import cut_windows

pytestmark = pytest.mark.bits

BOTH = {"law": "lite", "code-2": "full"}
SETS = [{}, {"a": "lite"}, {"a": "full"}, BOTH, {"a": "full", "b": "full"}]


@pytest.mark.parametrize("seed", [0, 1, 2])  # the bits hang on where the weights lie in memory
@pytest.mark.parametrize("router", [False, True])
@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_a_saved_core_comes_back_bit_for_bit(tmp_path, positions, router, seed):
    core = tiny_core(BOTH, seed, positions=positions, router=router)
    core.set_weight("law", 0.625)
    expected = logits_of(core, ids := draw_ids(2, 9))
    core.save_pretrained(tmp_path)
    found = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert isinstance(found, LayerCakeForCausalLM)
    assert not found.training
    assert found.config.domain_modules == core.config.domain_modules
    assert list(found.state_dict()) == list(core.state_dict())
    assert torch.equal(logits_of(found, ids), expected)
    decoder, _ = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    last = decoder(input_ids=ids, use_cache=False).last_hidden_state
    assert torch.equal(found.lm_head(last), expected)
    found.set_weight("law", 0.5)
    assert not torch.equal(logits_of(found, ids), expected)  # the weight had been at work


def test_a_module_without_stored_weights_starts_as_the_identity(tmp_path):
    core = tiny_core(router=True)
    core.save_pretrained(tmp_path)
    config = tiny_config(router=True, domain_modules={n: {"form": f} for n, f in BOTH.items()})
    found = LayerCakeForCausalLM.from_pretrained(tmp_path, config=config)
    assert torch.equal(logits_of(found, ids := draw_ids(1, 8)), logits_of(core, ids))
    assert found.model.domain_modules["law"].gate.weight.std() > 0
    assert not found.model.routers["law"].weight.any()


def test_a_seed_gives_the_same_bytes_and_leaves_the_global_one():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    cores = []
    for seed in (0, 0, 1):
        core = build_core(tiny_config(), seed)
        core.add_domain_module("law", "full", seed)
        cores.append(core.state_dict())
    assert torch.equal(torch.random.get_rng_state(), before)
    first, same, other = cores
    assert all(torch.equal(first[name], same[name]) for name in first)
    for name in ("model.layers.1.ff_out.weight", "model.domain_modules.law.layers.0.qkv.weight"):
        assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize("forms", SETS, ids=str)
@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_generation_with_a_cache_is_generation_without(positions, forms):
    # Untied: a tied head of drawn weights says its own token over and over.
    core = tiny_core(forms, positions=positions, router=True, tie_word_embeddings=False)
    core.double()  # so that rounding does not choose between two tokens
    options = {"max_new_tokens": 20, "do_sample": False}
    ids = draw_ids(2, 7)
    mask = torch.ones_like(ids)
    mask[1, :3] = 0
    expected = core.generate(ids, attention_mask=mask, use_cache=False, **options)
    assert torch.equal(core.generate(ids, attention_mask=mask, use_cache=True, **options), expected)
    assert expected.shape == (2, 27)
    assert len(expected[:, 7:].unique()) > 3  # not one token over and over
    alone = core.generate(ids[1:, 3:], **options)
    assert torch.equal(expected[1, 3:], alone[0])


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_chunks_through_a_cache_give_the_whole_texts_logits(positions):
    core = tiny_core(BOTH, positions=positions)
    ids = draw_ids(2, 12)
    cache, parts = DynamicCache(config=core.config), []
    for chunk in ids.split(5, dim=1):
        parts.append(core(input_ids=chunk, past_key_values=cache).logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), logits_of(core, ids), rtol=1e-4, atol=1e-4)
    assert len(cache.layers) == LAYERS + 2
    assert cache.get_seq_length(LAYERS + 1) == 12


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_padding_shows_in_no_logit(positions, side):
    core = tiny_core(BOTH, positions=positions, router=True)
    ids = draw_ids(1, 6)
    pad = torch.zeros(1, 4, dtype=torch.long)
    real, none = torch.ones_like(ids), torch.zeros_like(pad)
    order = (pad, ids), (none, real)
    if side == "right":
        order = (ids, pad), (real, none)
    padded, mask = (torch.cat(parts, dim=1) for parts in order)
    found = logits_of(core, padded, attention_mask=mask)
    assert found.isfinite().all()
    torch.testing.assert_close(found[:, mask[0].bool()], logits_of(core, ids), rtol=1e-4, atol=1e-4)
    if side == "left":  # without the mask it does show
        bare = logits_of(core, padded)[:, 4:]
        assert not torch.allclose(bare, logits_of(core, ids), atol=1e-2)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("forms", SETS, ids=str)
def test_a_later_token_changes_no_earlier_logit(forms, masked):
    core = tiny_core(forms, router=True)
    ids = draw_ids(2, 12)
    mask = torch.ones_like(ids)
    mask[0, :2] = 0
    options = {"attention_mask": mask} if masked else {}
    changed = ids.clone()
    changed[:, 8:] = (changed[:, 8:] + 5) % VOCAB
    first, second = logits_of(core, ids, **options), logits_of(core, changed, **options)
    torch.testing.assert_close(first[:, :8], second[:, :8], rtol=0, atol=1e-6)
    assert (first[:, 8:] - second[:, 8:]).abs().amax(-1).min() > 1e-2
    changed[:, 4] = (changed[:, 4] + 5) % VOCAB  # the control: an earlier token does
    assert (first - logits_of(core, changed, **options))[:, 4:8].abs().amax(-1).min() > 1e-2


def test_the_view_reads_what_the_head_reads(tiny_tokenizer, tiny_corpus):
    core = tiny_core(BOTH, vocab_size=len(tiny_tokenizer), router=True)
    view = view_of("cake", core, tiny_tokenizer)
    windows = cut_windows(tiny_corpus[:1], tiny_tokenizer, 20)[:2]
    windows += cut_windows(tiny_corpus[3:4], tiny_tokenizer, 9)[:1]
    states = view.read(windows, view.all_taps)
    assert (view.n_layers, view.d_model, view.context) == (LAYERS + 1, 24, 64)
    assert view.reader() is core.model
    assert states.taps[LAYERS + 1] is states.h_last
    for number, window in enumerate(windows):
        expected = logits_of(core, torch.tensor([window.ids]))[0]
        found = view.head(states.h_last[states.windows == number])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_hidden_states_run_from_the_embeddings_to_what_the_head_reads(positions):
    core = tiny_core(BOTH, positions=positions)
    ids = draw_ids(2, 5)
    output = core(input_ids=ids, output_hidden_states=True, use_cache=False)
    inner = core.get_decoder()(input_ids=ids, use_cache=False)
    assert inner.hidden_states is None
    assert len(output.hidden_states) == LAYERS + 2
    embedded = core.model.embed_tokens(ids)
    if positions == "learned":
        embedded = embedded + core.model.embed_positions(torch.arange(5))
    assert torch.equal(output.hidden_states[0], embedded)
    assert torch.equal(output.hidden_states[-1], inner.last_hidden_state)
    assert torch.equal(core.get_output_embeddings()(inner.last_hidden_state), output.logits)
    assert core.lm_head.weight is core.model.embed_tokens.weight
    kept = core(input_ids=ids, logits_to_keep=1).logits
    torch.testing.assert_close(kept, output.logits[:, -1:])


def test_the_loss_is_the_next_tokens_cross_entropy():
    core = tiny_core()
    ids = draw_ids(2, 6)
    logits = logits_of(core, ids)
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    torch.testing.assert_close(core(input_ids=ids, labels=ids).loss, expected)


def test_registering_twice_is_registering_once():
    register()
    register()
    config = tiny_config()
    assert isinstance(AutoModelForCausalLM.from_config(config), LayerCakeForCausalLM)


def test_inputs_that_cannot_be_read_are_refused():
    core, ids = tiny_core(positions="learned"), draw_ids(1, 6)
    for options, message in (
        ({}, "one of them"),
        ({"input_ids": ids, "attention_mask": torch.ones(1, 5)}, "wrong shape"),
        ({"input_ids": draw_ids(1, 65)}, "longer than"),
        ({"input_ids": ids, "past_key_values": StaticCache(core.config, 8)}, "DynamicCache"),
    ):
        with pytest.raises(InputError, match=message):
            core(**options)
