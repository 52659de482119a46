"""Donor parts at work inside a target: shut they change nothing, open they are what they were."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import WHOLE, tiny_backbone
from transplant.alignment.affine import AffineMap
from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.fingerprint import hash_parameters
from transplant.backbones.parts import block_width
from transplant.errors import InputError, ShapeError
from transplant.surgery.bank.extract import extract
from transplant.surgery.inject.config import InjectConfig
from transplant.surgery.inject.graft import Graft
from transplant.surgery.inject.hosted import InjectedModel, Injection
from transplant.text.windows import cut_windows

pytestmark = pytest.mark.bits

DONOR = {"gpt2": "llama", "llama": "mistral", "t5": "gpt2"}


def identity(width):
    return AffineMap(torch.eye(width), torch.zeros(width))


def random_map(p, q, seed):
    generator = torch.Generator().manual_seed(seed)
    return AffineMap(torch.randn(p, q, generator=generator) * p**-0.5, torch.zeros(q))


def inject(target, donor, part, layer, *, same=False, **config):
    """An injected model: identity bridges where `same`, random ones otherwise."""
    piece = extract(donor, ("heads", "ffn")).part(part)
    width = block_width(target)
    graft = Graft(piece, width, InjectConfig(**config))
    graft.bridges.set_inward(identity(width) if same else random_map(width, piece.width, 1))
    graft.bridges.set_outward(identity(width) if same else random_map(piece.width, width, 2))
    return InjectedModel(
        f"probe@{target.name}", target, [Injection(layer, part.split(".")[0], graft)]
    )


def batch_of(backbone, corpus, *, left=False):
    """Two texts of unequal length: ids and mask, padded on the right or on the left."""
    windows = cut_windows(corpus[:2], backbone.tokenizer, 24)[:1]
    windows += cut_windows(corpus[3:4], backbone.tokenizer, 15)[:1]
    ids = torch.full((2, 24), backbone.tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, window in enumerate(windows):
        place = slice(24 - len(window), 24) if left else slice(0, len(window))
        ids[row, place], mask[row, place] = torch.tensor(window.ids), 1
    return ids, mask


def logits_of(model, ids, mask):
    with torch.no_grad():
        if isinstance(model, InjectedModel) and isinstance(model.backbone, PrefixBackbone):
            return model(ids, attention_mask=mask).logits[mask[:, 12:].bool()]
        return model(input_ids=ids, attention_mask=mask).logits[mask.bool()]


@pytest.mark.parametrize("part", ["ffn.1", "heads.1", "layer.1"])
@pytest.mark.parametrize("family", WHOLE)
def test_a_part_put_back_is_the_target_again_and_a_shut_gate_is_exactly_it(
    family, part, tiny_tokenizer, tiny_corpus
):
    target = tiny_backbone(family, tiny_tokenizer)
    if part == "layer.1" and isinstance(target, PrefixBackbone):
        pytest.skip("a block that attends to an encoder is no layer of a bank")
    windows = (
        cut_windows(tiny_corpus[:2], tiny_tokenizer, 24)[:1]
        + cut_windows(tiny_corpus[3:4], tiny_tokenizer, 15)[:1]
    )
    before, weights = target.read(windows).h_last, hash_parameters(target.model)
    shut = inject(target, tiny_backbone("llama", tiny_tokenizer, seed=5), "ffn.0", 1)
    with shut.inside():
        assert torch.equal(target.read(windows).h_last, before)
    back = inject(target, target, part, 1, same=True, opening=1.0)
    with back.inside():
        after = target.read(windows).h_last
    logits = target.head(before)
    torch.testing.assert_close(target.head(after), logits, rtol=1e-4, atol=1e-4)
    other = inject(target, target, part.replace("1", "0"), 1, same=True, opening=1.0)
    with other.inside():  # the control: another block's part is another function
        assert not torch.allclose(target.read(windows).h_last, before, atol=1e-2)
    assert torch.equal(target.read(windows).h_last, before)  # nothing is left behind
    assert hash_parameters(target.model) == weights


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral", "gemma2", "opt", "layercake"])
def test_padding_on_either_side_changes_nothing(family, left, tiny_tokenizer, tiny_corpus):
    target = tiny_backbone(family, tiny_tokenizer)
    donor = tiny_backbone(DONOR.get(family, "llama"), tiny_tokenizer, seed=3)
    model = inject(target, donor, "heads.0", 1, opening=0.7)
    ids, mask = batch_of(target, tiny_corpus, left=left)
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    with torch.no_grad():
        together = model(ids, attention_mask=mask, position_ids=positions).logits
        for row in range(2):
            alone = model(ids[row : row + 1, mask[row].bool()]).logits[0]
            torch.testing.assert_close(together[row, mask[row].bool()], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral", "layercake"])
def test_a_cache_changes_nothing_and_the_future_is_hidden(family, tiny_tokenizer, tiny_corpus):
    target = tiny_backbone(family, tiny_tokenizer)
    donor = tiny_backbone(DONOR.get(family, "llama"), tiny_tokenizer, seed=3)
    model = inject(target, donor, "layer.0", 1, opening=0.7)
    ids = torch.tensor([cut_windows(tiny_corpus[:1], tiny_tokenizer, 40)[0].ids])
    with torch.no_grad():
        whole = model(ids).logits
        steps, cache = [], None
        for step in (ids[:, :6], *ids[:, 6:].split(1, dim=1)):
            output = model(step, past_key_values=cache, use_cache=True)
            steps.append(output.logits)
            cache = output.past_key_values
        changed = ids.clone()
        changed[0, -1] = ids[0, 0]
        other = model(changed).logits
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other[:, :-1], whole[:, :-1])
    assert not torch.allclose(other[:, -1], whole[:, -1], atol=1e-3)


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5", "layercake"])
def test_generate_goes_on_as_the_target_does_where_its_own_part_was_put_back(
    family, tiny_tokenizer, tiny_corpus
):
    target = tiny_backbone(family, tiny_tokenizer)
    back = inject(target, target, "heads.1", 1, same=True, opening=1.0)
    foreign = inject(
        target, tiny_backbone("llama", tiny_tokenizer, seed=3), "heads.0", 1, opening=3.0
    )
    for model in (target.model, back, foreign):  # so that rounding does not choose between tokens
        model.double()
    ids, mask = batch_of(target, tiny_corpus, left=True)
    options = {"attention_mask": mask, "max_new_tokens": 8, "do_sample": False}
    expected = target.model.generate(ids, **options)
    assert torch.equal(back.generate(ids, **options), expected)
    beams = {**options, "num_beams": 3}
    assert torch.equal(back.generate(ids, **beams), target.model.generate(ids, **beams))
    assert not torch.equal(foreign.generate(ids, **options), expected)  # it is at work


@pytest.mark.parametrize("gate", ["scalar", "vector", "input"])
@pytest.mark.parametrize("mixture", [1, 3])
def test_every_gate_is_shut_at_first_and_stored_tensors_say_all(
    gate, mixture, tiny_tokenizer, tiny_corpus
):
    target = tiny_backbone("gpt2", tiny_tokenizer)
    donor = tiny_backbone("llama", tiny_tokenizer, seed=3, hidden_size=48, head_dim=12)
    model = inject(target, donor, "ffn.0", 0, gate=gate, mixture=mixture)
    ids, mask = batch_of(target, tiny_corpus)
    before = logits_of(raw_hosted(target), ids, mask)
    assert torch.equal(logits_of(model, ids, mask), before)
    graft = model.injections[0].graft
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in (*graft.gate.parameters(), *graft.bridges.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    changed = logits_of(model, ids, mask)
    assert not torch.allclose(changed, before, atol=1e-2)
    again = inject(target, donor, "ffn.0", 0, gate=gate, mixture=mixture)
    again.injections[0].graft.load_own(graft.own_tensors())
    assert torch.equal(logits_of(again, ids, mask), changed)
    assert not any(name.startswith("part.") for name in graft.own_tensors())
    with pytest.raises(ShapeError, match=r"gate\."):
        again.injections[0].graft.load_own({"gate.nose": torch.zeros(1), **graft.own_tensors()})


def raw_hosted(backbone):
    from transplant.modules.hosted import HostedModel

    return HostedModel(backbone.name, backbone)


def test_bridges_of_another_width_and_masks_made_elsewhere_are_refused(tiny_tokenizer):
    target = tiny_backbone("llama", tiny_tokenizer)
    model = inject(target, target, "heads.0", 0, same=True, opening=1.0)
    ids = torch.arange(6)[None]
    with pytest.raises(InputError, match="takes a mask"):
        model(ids, attention_mask=torch.ones(1, 1, 6, 6))
    wide = tiny_backbone("llama", tiny_tokenizer, hidden_size=48, head_dim=12)
    with pytest.raises(ShapeError, match="do not fit"):
        InjectedModel("probe", wide, model.injections)
