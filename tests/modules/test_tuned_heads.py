"""The head of a tuned copy that has more rows than its base's, or fewer."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.calibration.tiny_training import windows_of
from tests.tiny import tiny_backbone
from transplant.backbones.views import view_of
from transplant.modules.hosted import HostedModel
from transplant.modules.tuned import TunedPair


def tuned_copy(base, *, added, head=0.0):
    """The base with other maps in a layer, and rows of its head and embeddings added."""
    model, draw = copy.deepcopy(base.model), torch.Generator().manual_seed(3)
    with torch.no_grad():
        weight = model.model.layers[0].mlp.down_proj.weight
        weight.add_(torch.randn(weight.shape, generator=draw))
        if added:
            model.resize_token_embeddings(len(base.unembedding) + added, mean_resizing=False)
        model.get_output_embeddings().weight[5].add_(head)
    return HostedModel("tuned", view_of("tuned", model, base.tokenizer))


@torch.no_grad()
@pytest.mark.parametrize("turned", [False, True])
def test_rows_of_added_tokens_make_no_other_head(tiny_tokenizer, tiny_corpus, turned):
    """As a padding token that was added: the change is what it is without."""
    base = tiny_backbone("llama", tiny_tokenizer, seed=1)
    windows = windows_of(base, tiny_corpus[:2])[:2]

    def pair(**changes):
        tuned = tuned_copy(base, **changes)
        if not turned:
            return TunedPair(base, tuned)
        return TunedPair(tuned.backbone, HostedModel("base", base))

    plain, padded = pair(added=0), pair(added=3)
    assert (plain.one_head, padded.one_head) == (True, True)
    tap = plain.change_tap
    ours, theirs = (one.read(windows, [tap]).taps[tap] for one in (plain, padded))
    assert ours.abs().max() > 1e-2
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    other = pair(added=3, head=0.1)  # control: a row that both have
    assert not other.one_head
    rows = min(len(base.unembedding), len(other.tuned.backbone.unembedding))
    assert len(other.unembedding) == rows
