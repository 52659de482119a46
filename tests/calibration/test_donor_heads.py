"""Changes of a donor's logits behind a head with a soft cap or a bias: those of its own logits."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.alignment.tokens import token_bytes
from transplant.backbones.split_head import SplitHead
from transplant.calibration.changes.along import log_masses
from transplant.calibration.changes.spec import BEGINS_WITH, PUSH_FORWARD
from transplant.calibration.config import MoveConfig
from transplant.calibration.objectives.chunks import label_nats
from transplant.calibration.objectives.donor_kd import DonorTeacher
from transplant.calibration.output_map import DonorMix, change_of_logits, map_outputs
from transplant.modules.hosted import HostedModel
from transplant.modules.tuned import TunedPair
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.update import LoraUpdate, Pair
from transplant.text.tokenizers import train_tokenizer

HEADS = {"llama": {}, "gemma2": {"final_logit_softcapping": 4.0}, "phi": {}}
"""Of a plain matrix, with a soft cap, with a bias."""


def head_and_rows(family, tiny_texts):
    """A donor, the way to a target of the same tokens, and rows of both."""
    tokenizer = train_tokenizer("bpe", tiny_texts, 330, context=128)
    donor = tiny_backbone(family, tokenizer, seed=1, **HEADS[family])
    generator = torch.Generator().manual_seed(2)
    if donor.head_bias is not None:
        torch.nn.init.normal_(donor.head_bias, generator=generator)
    target = tiny_backbone("llama", tokenizer, seed=3)
    counts = {raw.hex(): 1 for raw in token_bytes(tokenizer).values()}
    h, c, h_target = (
        torch.randn(9, one.d_model, generator=generator) for one in (donor, donor, target)
    )
    return donor, map_outputs(donor, target, counts, MoveConfig()), 2 * h, c, h_target, target


def centred(change):
    return change - change.mean(1, keepdim=True)


@torch.no_grad()
@pytest.mark.parametrize("change", [BEGINS_WITH, PUSH_FORWARD])
@pytest.mark.parametrize("family", HEADS)
def test_what_is_wanted_is_the_change_of_the_donors_own_logits(family, change, tiny_texts):
    donor, way, h, c, h_target, target = head_and_rows(family, tiny_texts)
    before, after = (donor.head(rows).log_softmax(-1) for rows in (h, h + c))
    raw, known = target.head(h_target), way.ways.same >= 0
    assert int(known.sum()) > 300
    images = way.ways.same[known]

    def wanted(**weights):
        mix = DonorMix(change=change, **weights)
        return centred(change_of_logits(way, c, h, raw, mix)[:, images])

    expected = centred((after - before)[:, known])
    torch.testing.assert_close(wanted(), expected, rtol=1e-4, atol=1e-4)
    assert expected.abs().max() > 1
    ratio = centred(before[:, known] - raw.log_softmax(-1)[:, images])
    torch.testing.assert_close(wanted(raw_weight=0.5), expected + ratio / 2, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("family", HEADS)
def test_so_are_its_losses_and_its_masses_of_tokens(family, tiny_texts):
    donor, way, h, c, *_ = head_and_rows(family, tiny_texts)
    before, after = (donor.head(rows).log_softmax(-1) for rows in (h, h + c))
    labels = torch.arange(10, 19)
    for rows, logs in ((h, before), (h + c, after)):
        expected = -logs.gather(1, labels[:, None])[:, 0]
        torch.testing.assert_close(label_nats(way.donor, rows, labels), expected)
    some = [[n, n + 40] for n in range(9)]
    expected = torch.stack([
        torch.stack([logs[row, tokens].logsumexp(0) for row, tokens in enumerate(some)])
        for logs in (before, after)
    ])  # fmt: skip
    torch.testing.assert_close(log_masses(h, c, some, way.donor), expected)


@torch.no_grad()
@pytest.mark.parametrize("family", HEADS)
def test_a_teacher_has_the_states_that_such_a_head_needs(family, tiny_texts):
    donor, way, h, c, h_target, target = head_and_rows(family, tiny_texts)
    teacher = DonorTeacher(target, way, DonorMix())
    rows = type("Rows", (), {"taps": {}, "h_last": h})
    taught = teacher.logits(h_target, teacher.correction(lambda _: c, rows))  # pyright: ignore
    raw, known = target.head(h_target), way.ways.same >= 0
    found = centred((taught - raw)[:, way.ways.same[known]])
    expected = (donor.head(h + c) - donor.head(h))[:, known]
    torch.testing.assert_close(found, centred(expected), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("family", HEADS)
@pytest.mark.parametrize("two_heads", [False, True])
def test_a_base_and_its_copy_have_their_heads_bias_and_cap(family, two_heads, tiny_texts):
    base, _, h, c, _, target = head_and_rows(family, tiny_texts)
    tuned = tiny_backbone(family, base.tokenizer, seed=5 if two_heads else 1, **HEADS[family])
    if base.head_bias is not None and not two_heads:
        tuned.head_bias.copy_(base.head_bias)
    pair = TunedPair(base, HostedModel("tuned", tuned))
    assert pair.one_head != two_heads
    counts = {raw.hex(): 1 for raw in token_bytes(base.tokenizer).values()}
    way = map_outputs(pair, target, counts, MoveConfig())
    if two_heads:
        one = torch.ones(len(h), 1)
        rows = torch.cat([torch.zeros_like(h), -h, 0 * one, one], 1)
        change = torch.cat([h + c, h, one, -one], 1)
    else:
        rows, change = h, c
    torch.testing.assert_close(way.donor.of_all(rows), base.head(h), rtol=1e-4, atol=1e-4)
    expected = tuned.head(h + c) - base.head(h)
    found = way.donor.change_of_all(rows, change)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    tokens = torch.arange(12, 21)[:, None] + torch.arange(5)
    found = way.donor.change_at(rows, change, tokens)
    torch.testing.assert_close(found, expected.gather(1, tokens), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("family", ["llama", "phi", "t5", "t5-untied"])
def test_a_lora_on_a_16_bit_head_is_not_rounded_before_its_change_is_taken(family, tiny_texts):
    tokenizer = train_tokenizer("bpe", tiny_texts, 330, context=128)
    base = tiny_backbone(family, tokenizer, seed=1)
    base.model.to(torch.bfloat16)
    own, (vocab, width) = base.unembedding, base.unembedding.shape
    draw = torch.Generator().manual_seed(2)
    small = 1e-3 * float(own.float().std())
    pair = Pair(
        torch.randn(2, width, generator=draw), torch.randn(vocab, 2, generator=draw), None, small
    )
    model = LoraModel("lora", base, LoraUpdate({"lm_head": pair}, {}))
    h = torch.randn(9, width, generator=draw).bfloat16()
    scale = float(own.double().norm() / base.model.get_output_embeddings().weight.double().norm())
    expected = scale * h.double() @ pair.delta.double().T

    def lost(both: TunedPair) -> float:
        """The share of the change of logits that is missing, where only the head changes."""
        assert not both.one_head
        one = torch.ones(len(h), 1)
        way = SplitHead(both.unembedding)
        change = way.change_of_all(h, torch.cat([h.float(), h.float(), one, -one], 1))
        return float((change - expected).norm() / expected.norm())

    found = model.head
    assert found is not None
    assert lost(TunedPair(base, model, found)) < 1e-3
    rounded = (found[0].to(own.dtype), found[1])
    assert lost(TunedPair(base, model, rounded)) > 0.1  # control
    nothing = LoraUpdate({"lm_head": Pair(pair.a, 0 * pair.b, None, small)}, {})
    assert TunedPair(base, model, LoraModel("none", base, nothing).head).one_head
