"""Sentences and uncertainty of fusions and injected parts: what changes a backbone is at work."""

from __future__ import annotations

import pytest
import torch

from tests.surgery.fuse.scenes import KINDS, busy, scene
from transplant.evaluation.members import perturbed_members
from transplant.evaluation.scoring import hosted_rows
from transplant.evaluation.sentences import sentence_nats
from transplant.modules.hosted import HostedModel
from transplant.surgery.fuse.stored import empty_fusion
from transplant.text.windows import cut_windows


@pytest.mark.parametrize("kind", KINDS)
def test_a_hosted_model_of_each_kind_is_scored_as_it_works(kind, tiny_tokenizer, tiny_corpus):
    backbone, members = scene("llama", kind, tiny_tokenizer)
    fused = empty_fusion("fused@b", members, "gate")
    busy(fused.combiner)
    raw, window = HostedModel("raw", backbone), cut_windows(tiny_corpus[:1], tiny_tokenizer, 30)[0]
    text = tiny_tokenizer.decode(window.ids)
    with torch.no_grad():
        for name, parameter in members[0].named_parameters():
            if "gate" in name:  # of an injected part, shut until then
                parameter.fill_(0.7)
    for model in (fused, members[0]):
        own = hosted_rows(model, window).dense()
        ids = torch.tensor([[*window.ids]])
        with torch.no_grad():
            whole = model(input_ids=ids).logits[0]
        torch.testing.assert_close(own, whole[: len(own)], atol=1e-4, rtol=1e-4)
        assert not torch.allclose(own, hosted_rows(raw, window).dense(), atol=1e-3)
        costs = [float(sentence_nats(one, [text])[0]) for one in (model, raw)]
        assert abs(costs[0] - costs[1]) > 1e-3
        drawn = [rows.dense() for rows in perturbed_members(model, 2, scale=0.2).read(window)]
        assert not torch.allclose(drawn[0], drawn[1], atol=1e-4)
