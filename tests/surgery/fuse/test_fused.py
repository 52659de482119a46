"""Fusions: exactly the backbone at first, causal, and only the combiner is to be trained."""

from __future__ import annotations

import pytest
import torch

from tests.surgery.fuse.scenes import COMBINER_NAMES, KINDS, busy, members_of, scene
from tests.tiny import LAYERS, tiny_backbone
from transplant.backbones.fingerprint import hash_parameters
from transplant.errors import InputError
from transplant.evaluation.likelihood import score_documents
from transplant.modules.gate import Gate, Gated
from transplant.modules.hosted import HostedModel
from transplant.surgery.fuse.controls import random_slot
from transplant.surgery.fuse.evidence import score_hosted
from transplant.surgery.fuse.hosted import fuse_members
from transplant.surgery.fuse.mean import MeanCombiner
from transplant.surgery.fuse.stored import empty_fusion
from transplant.surgery.fuse.table import make_combiner
from transplant.surgery.inject.hosted import InjectedModel
from transplant.text.windows import Window, cut_windows

pytestmark = pytest.mark.bits

FAMILIES = ("gpt2", "llama", "layercake")


def ids_of(backbone, corpus, length=24):
    return torch.tensor([cut_windows(corpus[:1], backbone.tokenizer, length)[0].ids])


@pytest.mark.parametrize("combiner", COMBINER_NAMES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", [*FAMILIES, "t5"])
def test_a_new_fusion_is_the_backbone_bit_for_bit_and_a_busy_one_is_not(
    family, kind, combiner, tiny_tokenizer, tiny_corpus
):
    backbone, members = scene(family, kind, tiny_tokenizer)
    ids, weights = ids_of(backbone, tiny_corpus), hash_parameters(backbone.model)
    with torch.no_grad():
        raw = HostedModel("raw", backbone)(input_ids=ids).logits
        fused = empty_fusion("fused@b", members, combiner)
        assert not fused.is_raw
        assert torch.equal(fused(input_ids=ids).logits, raw)
        busy(fused.combiner)
        assert not torch.allclose(fused(input_ids=ids).logits, raw, atol=1e-2)
        assert torch.equal(HostedModel("raw", backbone)(input_ids=ids).logits, raw)  # it is gone
    assert hash_parameters(backbone.model) == weights


@pytest.mark.parametrize("combiner", COMBINER_NAMES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_cache_changes_nothing_and_the_future_is_hidden(
    family, kind, combiner, tiny_tokenizer, tiny_corpus
):
    backbone, members = scene(family, kind, tiny_tokenizer)
    fused = empty_fusion("fused@b", members, combiner)
    busy(fused.combiner)
    ids = ids_of(backbone, tiny_corpus, 40)
    with torch.no_grad():
        whole = fused(ids).logits
        steps, cache = [], None
        for step in (ids[:, :6], *ids[:, 6:].split(1, dim=1)):
            output = fused(step, past_key_values=cache, use_cache=True)
            steps.append(output.logits)
            cache = output.past_key_values
        changed = ids.clone()
        changed[0, -1] = ids[0, 0]
        other = fused(changed).logits
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other[:, :-1], whole[:, :-1])
    assert not torch.allclose(other[:, -1], whole[:, -1], atol=1e-3)


@pytest.mark.parametrize("combiner", COMBINER_NAMES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [False, True])
def test_padding_on_either_side_changes_nothing(kind, combiner, left, tiny_tokenizer, tiny_corpus):
    backbone, members = scene("llama", kind, tiny_tokenizer)
    fused = empty_fusion("fused@b", members, combiner)
    busy(fused.combiner)
    texts = [ids_of(backbone, tiny_corpus[n:], length)[0] for n, length in ((0, 24), (3, 15))]
    ids, mask = torch.zeros(2, 24, dtype=torch.long), torch.zeros(2, 24, dtype=torch.long)
    for row, text in enumerate(texts):
        place = slice(24 - len(text), 24) if left else slice(0, len(text))
        ids[row, place], mask[row, place] = text, 1
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    with torch.no_grad():
        together = fused(ids, attention_mask=mask, position_ids=positions).logits
        for row, text in enumerate(texts):
            alone = fused(text[None]).logits[0]
            torch.testing.assert_close(together[row, mask[row].bool()], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_module_takes_part_and_one_with_weight_1_is_itself(kind, tiny_tokenizer, tiny_corpus):
    backbone, members = scene("gpt2", kind, tiny_tokenizer, parts=("ffn.0", "ffn.1"))
    ids = ids_of(backbone, tiny_corpus)
    mean = MeanCombiner(1, backbone.d_model)
    with torch.no_grad():
        found = [fuse_members("one", [m], mean)(input_ids=ids).logits for m in members]
        for member, alone in zip(members, found, strict=True):
            if kind == "parts":  # a fusion sets a part's own gate aside
                member.injections[0].graft.gate.open_to(1.0)
            expected = member(input_ids=ids).logits
            torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(*found, atol=1e-2)  # neither donor is dropped


@pytest.mark.parametrize("combiner", COMBINER_NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_reaches_the_combiner_alone(kind, combiner, tiny_tokenizer, tiny_corpus):
    backbone, members = scene("gpt2", kind, tiny_tokenizer)
    fused = empty_fusion("fused@b", members, combiner).requires_grad_(False)
    fused.combiner.requires_grad_(True)
    with torch.no_grad():
        busy(fused.combiner)
    fused(input_ids=ids_of(backbone, tiny_corpus)).logits.square().mean().backward()
    moved = {name for name, p in fused.named_parameters() if p.grad is not None}
    assert moved == {f"combiner.{name}" for name, _ in fused.combiner.named_parameters()}
    assert all(p.grad.abs().max() > 0 for p in fused.combiner.parameters())


def gated(members, ids):
    """The members, each behind a gate that is open at about half of the positions."""
    found = []
    for number, member in enumerate(members):
        correction, gate = member.correction, Gate(16, 0.9)
        torch.nn.init.normal_(gate.weight, generator=torch.Generator().manual_seed(number + 2))
        states = member.backbone.run([Window(ids[0].tolist(), [0] * ids.shape[1], 0)],
                                     correction.taps)  # fmt: skip
        gate.bias.sub_(Gated(correction, gate).scores(states.taps).mean())
        evidence = gate.evidence(Gated(correction, gate).scores(states.taps)[None])
        assert 0.1 < (evidence > 0).float().mean() < 0.9
        found.append(HostedModel(member.name, member.backbone, correction, gate))
    return found


@torch.no_grad()
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_gate_of_each_member_is_at_work_with_and_without_a_cache(
    family, tiny_tokenizer, tiny_corpus
):
    backbone, plain = scene(family, "modules", tiny_tokenizer)
    ids = ids_of(backbone, tiny_corpus)
    members = gated(plain, ids)
    for one, other in zip(members, plain, strict=True):
        alone = fuse_members("one", [one], MeanCombiner(1, backbone.d_model))(ids).logits
        torch.testing.assert_close(alone, one(ids).logits, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(alone, other(ids).logits, atol=1e-2)  # control: the gate is shut
    fused = empty_fusion("fused@b", members, "gate")
    busy(fused.combiner)
    whole = fused(ids).logits
    assert not torch.allclose(
        whole, fuse_members("x", plain, fused.combiner)(ids).logits, atol=1e-2
    )
    steps, cache = [], None
    for step in (ids[:, :6], *ids[:, 6:].split(1, dim=1)):
        output = fused(step, past_key_values=cache, use_cache=True)
        steps.append(output.logits)
        cache = output.past_key_values
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_members_are_scored_behind_their_gates(tiny_tokenizer, tiny_corpus):
    backbone, plain = scene("gpt2", "modules", tiny_tokenizer)
    ids = ids_of(backbone, tiny_corpus)
    (one, _), (other, _) = gated(plain, ids), plain
    windows = {"text": cut_windows(tiny_corpus[:2], backbone.tokenizer, 24)[:4]}
    found = score_hosted(backbone, windows, {"gated": one, "open": other})["text"]
    fused = fuse_members("one", [one], MeanCombiner(1, backbone.d_model))
    inside = score_documents(backbone, windows["text"], {"x": fused})["x"]
    torch.testing.assert_close(found["gated"].nats, inside.nats, rtol=1e-4, atol=1e-3)
    assert abs(found["gated"].per_token - found["open"].per_token) > 1e-3


@torch.no_grad()
def test_a_drawn_module_stands_behind_the_gate_that_its_maps_were_fitted_with(
    tiny_tokenizer, tiny_corpus
):
    backbone, plain = scene("gpt2", "modules", tiny_tokenizer)
    members = gated(plain, ids_of(backbone, tiny_corpus))
    assert random_slot(members, 1, 0)[1].gate is members[1].gate
    assert random_slot(members, 1, 0, maps=True)[1].gate is None


def test_what_does_not_fit_on_one_layer_is_refused(tiny_tokenizer):
    backbone, modules = scene("gpt2", "modules", tiny_tokenizer)
    parts = members_of(backbone, "parts", tiny_tokenizer)
    combiner = make_combiner("gate", 2, backbone.d_model)
    with pytest.raises(InputError, match="one layer.*injected part"):
        fuse_members("x", [modules[0], parts[0]], combiner)
    with pytest.raises(InputError, match="raw backbone"):
        fuse_members("x", [modules[0], HostedModel("raw", backbone)], combiner)
    other = scene("gpt2", "modules", tiny_tokenizer, seed=5)[1]
    with pytest.raises(InputError, match="another backbone"):
        fuse_members("x", [modules[0], other[0]], combiner)
    elsewhere = members_of(backbone, "parts", tiny_tokenizer, layer=LAYERS - 2)
    with pytest.raises(InputError, match="one block"):
        fuse_members("x", [parts[0], elsewhere[0]], combiner)
    with pytest.raises(InputError, match="a fusion"):
        fuse_members("x", [fuse_members("y", parts, combiner), parts[0]], combiner)
    two = InjectedModel("two", backbone, [part.injections[0] for part in parts])
    raw = HostedModel("raw", backbone)
    for members in ([two, raw], [raw, two], [two, parts[0]], [two]):
        with pytest.raises(InputError, match=r"one of each member.*two \(2 injected parts\)"):
            fuse_members("x", members, make_combiner("gate", 2, backbone.d_model))
    assert fuse_members("x", parts, combiner).injections == two.injections  # control
    with pytest.raises(InputError, match="`combiner`"):
        make_combiner("wood", 2, 8)


def test_a_module_that_keeps_a_state_is_refused(tiny_tokenizer):
    from transplant.modules.core import untrained_in_core

    core = tiny_backbone("layercake", tiny_tokenizer)
    core.switch_off()
    full = HostedModel("full@core", core, untrained_in_core(core, "full", 0))
    with pytest.raises(InputError, match="keeps no cache"):
        fuse_members("x", [full, full], make_combiner("gate", 2, core.d_model))
