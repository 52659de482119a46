"""A router: each position by the entropy there, in a pass and in a generation."""

from __future__ import annotations

import pytest
import torch
from transformers import GenerationConfig

from tests.tiny import WIDTH, tiny_backbone
from transplant.backbones.twin import twin_of
from transplant.errors import InputError
from transplant.modules.follower import Follower
from transplant.modules.hosted import HostedModel
from transplant.modules.routed import RoutedModel, next_token_entropy
from transplant.training.loop import new_correction

PROMPT = [[5, 9, 12, 7, 30, 8], [4, 4, 11, 25, 6, 19]]
FAMILIES = ("gpt2", "llama", "opt", "gemma3_text")


def hosted(backbone) -> HostedModel:
    correction = new_correction(WIDTH, 16, (0, backbone.n_layers), 0).eval()
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.3)
    return HostedModel("hosted", backbone, correction)


def routed_pair(family, tokenizer, tau):
    """A router from a module to its own raw backbone, which shares its tensors."""
    backbone = tiny_backbone(family, tokenizer)
    twin = twin_of(backbone)
    return RoutedModel(hosted(backbone), HostedModel("raw", twin), tau)


@torch.no_grad()
def middle(router) -> float:
    """A threshold that half of the positions exceed, between two: no rounding decides."""
    entropies = next_token_entropy(router.model(torch.tensor(PROMPT)).logits).flatten().sort()
    half = len(entropies.values) // 2
    below, above = entropies.values[half - 1 : half + 1].tolist()
    assert above - below > 1e-4
    return (below + above) / 2


@torch.no_grad()
@pytest.mark.parametrize("family", [*FAMILIES, "t5", "layercake"])
def test_every_position_is_the_one_or_the_other(family, tiny_tokenizer):
    router = routed_pair(family, tiny_tokenizer, 0.0)
    ids = torch.tensor(PROMPT)
    one, other = router.model(ids).logits, router.baseline(ids).logits
    assert not torch.allclose(one, other)
    router.tau = middle(router)
    unsure = next_token_entropy(one) > router.tau
    assert unsure.any()
    assert not unsure.all()
    expected = torch.where(unsure[..., None], other, one)
    assert torch.equal(router(ids).logits, expected)
    assert (router.kept, router.seen) == (int((~unsure).sum()), unsure.numel())
    router.tau = 100.0
    assert torch.equal(router(ids).logits, one)
    router.tau = 0.0
    assert torch.equal(router(ids).logits, other)


@torch.no_grad()
def greedy(router, ids, steps: int) -> torch.Tensor:
    """Token by token, everything read anew each time: no cache, no follower."""
    for _ in range(steps):
        logits = router(ids).logits[:, -1]
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
    return ids


@pytest.mark.parametrize("family", FAMILIES)
def test_a_generation_is_that_of_a_loop_without_caches(family, tiny_tokenizer):
    router = routed_pair(family, tiny_tokenizer, 0.0)
    ids, options = (
        torch.tensor(PROMPT),
        {"do_sample": False, "max_new_tokens": 20, "eos_token_id": None},
    )
    router.tau = middle(router)
    found = router.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
    assert 0 < router.kept < router.seen == 2 * 20
    assert torch.equal(found, greedy(router, ids, 20))
    for tau, alone in ((100.0, router.model), (0.0, router.baseline)):  # controls
        router.tau = tau
        own = alone.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
        again = router.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
        assert torch.equal(again, own)
        assert not torch.equal(own, found)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_padding_on_the_left_changes_no_text(family, tiny_tokenizer):
    router = routed_pair(family, tiny_tokenizer, 0.0)
    router.tau = middle(router)
    options = {"do_sample": False, "max_new_tokens": 12, "eos_token_id": None}
    short = torch.tensor([PROMPT[0][2:]])
    alone = router.generate(input_ids=short, attention_mask=torch.ones_like(short), **options)[
        :, short.shape[1] :
    ]
    padded = torch.tensor([[0, 0, *PROMPT[0][2:]], PROMPT[1]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6])
    both = router.generate(input_ids=padded, attention_mask=mask, **options)[:, 6:]
    assert torch.equal(both[:1], alone)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_generation_without_a_cache_writes_the_same_text(family, tiny_tokenizer):
    router = routed_pair(family, tiny_tokenizer, 0.0)
    router.tau = middle(router)
    ids = torch.tensor(PROMPT)
    options = {"attention_mask": torch.ones_like(ids), "do_sample": False, "eos_token_id": None}
    cached = router.generate(ids, max_new_tokens=12, **options)
    assert torch.equal(router.generate(ids, max_new_tokens=12, use_cache=False, **options), cached)
    assert torch.equal(cached, greedy(router, ids, 12))
    own = router.model.generate(ids, max_new_tokens=12, use_cache=False, **options)
    assert not torch.equal(own, cached)  # the baseline has its say in it


@torch.no_grad()
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_one_pass_keeps_no_cache_and_takes_none(family, tiny_tokenizer):
    router = routed_pair(family, tiny_tokenizer, 0.0)
    router.tau = middle(router)
    ids = torch.tensor(PROMPT)
    assert router(ids).past_key_values is None
    full = router.model(ids[:, :3], use_cache=True).past_key_values
    for options in ({"past_key_values": full}, {"use_cache": True}):
        with pytest.raises(InputError, match="no cache between passes"):
            router(ids[:, 3:4], **options)
    assert full.get_seq_length() == 3  # nothing was appended to the caller's
    assert torch.equal(router(ids, use_cache=False).logits, router(ids).logits)
    step = router.model(ids[:, 3:4], past_key_values=full).logits  # control: one model takes it
    torch.testing.assert_close(step, router.model(ids[:, :4]).logits[:, 3:], rtol=1e-4, atol=1e-4)


def test_tokens_that_are_guessed_and_filled_caches_are_refused(tiny_tokenizer):
    router = routed_pair("gpt2", tiny_tokenizer, 1.0)
    ids = torch.tensor(PROMPT[:1])
    config = GenerationConfig(prompt_lookup_num_tokens=2)
    cache = router.model(ids, use_cache=True).past_key_values
    for args, options, said in (
        ((ids,), {"prompt_lookup_num_tokens": 2}, "prompt_lookup_num_tokens"),
        ((ids,), {"generation_config": config}, "prompt_lookup_num_tokens"),
        ((ids, config), {}, "prompt_lookup_num_tokens"),
        ((ids, GenerationConfig(num_beams=2)), {}, "2 beams"),
        ((ids,), {"assistant_model": router.baseline}, "assistant_model"),
        ((ids,), {"past_key_values": cache}, "past_key_values"),
    ):
        with pytest.raises(InputError, match=f"token by token.*{said}"):
            router.generate(*args, max_new_tokens=2, **options)
    with pytest.raises(InputError, match="inputs_embeds"):
        router.generate(inputs_embeds=torch.zeros(1, 2, WIDTH), max_new_tokens=2)
    with pytest.raises(InputError, match=r"mask \[batch, seq\].*found \[1, 1, 6, 6\]"):
        Follower(router.baseline).read(ids, {"attention_mask": torch.ones(1, 1, 6, 6)})
    router.generate(ids, max_new_tokens=2, do_sample=False)  # control


def test_no_hook_is_left_and_the_twin_shares_its_tensors(tiny_tokenizer):
    router = routed_pair("gpt2", tiny_tokenizer, 1.0)
    one, other = router.model.backbone.model, router.baseline.backbone.model
    assert one is not other
    shared = zip(one.parameters(), other.parameters(), strict=True)
    assert all(a is b for a, b in shared)
    router(torch.tensor(PROMPT))  # transformers puts hooks of its own into a model that first runs

    def hooks():
        return [len(m._forward_hooks) for model in (one, other) for m in model.modules()]

    before = hooks()
    router.generate(input_ids=torch.tensor(PROMPT), max_new_tokens=2, do_sample=False)
    assert hooks() == before


def test_beams_encoder_decoders_and_other_vocabularies_are_refused(tiny_tokenizer):
    router = routed_pair("gpt2", tiny_tokenizer, 1.0)
    with pytest.raises(InputError, match="2 beams"):
        router.generate(input_ids=torch.tensor(PROMPT), num_beams=2)
    with pytest.raises(InputError, match="t5"):
        routed_pair("t5", tiny_tokenizer, 1.0).generate(input_ids=torch.tensor(PROMPT))
    with pytest.raises(InputError, match="route"):
        RoutedModel(router.model, router.baseline, -1.0)
    other = tiny_backbone("llama", tiny_tokenizer)
    other.tokenizer_sha256 = "other"
    with pytest.raises(InputError, match="one vocabulary"):
        RoutedModel(router.model, HostedModel("x", other), 1.0)
